"""The fan follows the smallest headroom: exact speeds by a virtual clock; at full speed where the headroom is not known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action, LogEvent, SetFan
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import BUS, Endpoint, Exited, StickGone
from ncs_cluster.core.fan import SAID_AFTER_S, Fan
from ncs_cluster.specs import FanSpec
from ncs_cluster.testing.world import installation
from ncs_cluster.types import StickId
from tests.core.oneengine import stick_up

SPEC = FanSpec("pwmfan", off_above_k=20.0, full_below_k=10.0, hysteresis_k=2.0, least_run_s=60.0, least_duty=0.2)
ONE, TWO = Endpoint("worker", "sim-1"), Endpoint("worker", "sim-2")


def turned(fan: Fan, *headrooms_k: float | None, begin_s: float = 0.0, every_s: float = 1.0) -> list[float]:
    """The duty after each of these headrooms."""
    duties = []
    for at, headroom_k in enumerate(headrooms_k):
        fan.turn(headroom_k, begin_s + at * every_s)
        duties.append(round(fan.duty, 6))
    return duties


@pytest.mark.parametrize(
    ("headroom_k", "duty"),
    [(50.0, 0.0), (20.0, 0.0), (19.999, 0.20008), (15.0, 0.6), (12.5, 0.8), (10.0, 1.0), (3.0, 1.0), (-4.0, 1.0)],
)
def test_it_is_off_with_much_headroom_at_full_speed_with_little_and_linear_between(headroom_k: float, duty: float) -> None:
    assert turned(Fan(SPEC), headroom_k) == [duty]


def test_a_smaller_headroom_counts_at_once_and_a_larger_one_only_beyond_the_hysteresis() -> None:
    headrooms = (15.0, 14.0, 15.9, 16.0, 16.5, 15.0)
    assert turned(Fan(SPEC), *headrooms) == [0.6, 0.68, 0.68, 0.68, 0.64, 0.64]


def test_it_stays_on_at_its_slowest_until_it_has_run_for_its_least_time() -> None:
    fan = Fan(SPEC)
    assert turned(fan, 19.0, 30.0, 30.0, 30.0, every_s=29.0) == [0.28, 0.2, 0.2, 0.0]
    assert turned(fan, 30.0, 19.0, 30.0, begin_s=1000.0, every_s=59.0) == [0.0, 0.28, 0.2], "the time begins anew"


def test_it_goes_off_only_where_the_headroom_is_larger_by_the_hysteresis() -> None:
    fan = Fan(SPEC)
    assert turned(fan, 19.0, 21.9, 22.0, every_s=100.0) == [0.28, 0.208, 0.0]
    assert turned(fan, 21.0, 20.0, begin_s=1000.0) == [0.0, 0.0], "what is off stays off down to off_above_k"


def test_it_is_at_full_speed_before_anything_is_known_and_whenever_it_is_not() -> None:
    fan = Fan(SPEC)
    assert fan.duty == 1.0
    assert turned(fan, None, 15.0, None, 30.0, every_s=100.0) == [1.0, 0.76, 1.0, 0.0]


STEPS = st.lists(st.tuples(st.floats(0.1, 100.0), st.none() | st.floats(-20.0, 60.0)), max_size=60)
SPECS = st.builds(
    FanSpec,
    st.just("pwmfan"),
    off_above_k=st.floats(10.1, 40.0),
    full_below_k=st.floats(0.0, 10.0),
    hysteresis_k=st.floats(0.0, 5.0),
    least_run_s=st.floats(0.0, 300.0),
    least_duty=st.floats(0.05, 1.0),
)


@given(SPECS, STEPS)
def test_whatever_the_headroom_does_it_is_never_slower_than_asked_and_never_faster_than_the_hysteresis_explains(
    spec: FanSpec, steps: list[tuple[float, float | None]]
) -> None:
    def asked(headroom_k: float) -> float:
        """The same line, written down apart."""
        if headroom_k >= spec.off_above_k:
            return 0.0
        if headroom_k <= spec.full_below_k:
            return 1.0
        slope = (1.0 - spec.least_duty) / (spec.off_above_k - spec.full_below_k)
        return 1.0 - slope * (headroom_k - spec.full_below_k)

    fan, now_s = Fan(spec), 0.0
    began_s = -math.inf
    for dt_s, headroom_k in steps:
        now_s += dt_s
        before, was_on = fan.duty, began_s > -math.inf
        fan.turn(headroom_k, now_s)
        if headroom_k is None:
            assert fan.duty == 1.0
        else:
            held = spec.least_duty if was_on and now_s < began_s + spec.least_run_s else 0.0
            most = max(asked(headroom_k - spec.hysteresis_k) if was_on else asked(headroom_k), held)
            assert max(asked(headroom_k), held) - 1e-9 <= fan.duty <= most + 1e-9
            if was_on and asked(headroom_k) <= before <= asked(headroom_k - spec.hysteresis_k) and before >= held:
                assert fan.duty == pytest.approx(before), "inside the hysteresis nothing changes"
        assert fan.duty == 0.0 or spec.least_duty - 1e-9 <= fan.duty <= 1.0
        if not fan.duty:
            began_s = -math.inf
        elif not was_on:
            began_s = now_s


# -- which headroom it is


class Cooled:
    """A daemon with a fan, from 1000 s on; every stick tells its temperature each second."""

    def __init__(self, **temperatures_c: float) -> None:
        """By stick: sim_1=40.0."""
        self.told: dict[str, float | None] = {}
        self.now_s = 1001.0
        self.engine = Engine(replace(installation(len(temperatures_c)), fan=SPEC), 1000.0)
        self.engine.start(1000.0)
        for name, temperature_c in temperatures_c.items():
            stick = name.replace("_", "-")
            stick_up(self.engine, stick, temperature_c)
            self.told[stick] = temperature_c

    def pass_s(self, seconds: float, throttle_level: int = 0) -> list[Action]:
        """The actions that are about the fan."""
        actions: list[Action] = []
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.now_s += 0.25
            for child in self.engine.children():
                if child.running:
                    self.engine.handle(child.endpoint, m.Heartbeat(), self.now_s)
            if self.now_s % 1.0 == 0.0:
                for stick, temperature_c in self.told.items():
                    # a sensor that repeats itself would count as frozen
                    told_c = None if temperature_c is None else temperature_c + 0.1 * (self.now_s % 2)
                    self.engine.handle(Endpoint("worker", stick), m.Telemetry(told_c, throttle_level), self.now_s)
            actions += self.engine.wake(self.now_s)
        return [each for each in actions if isinstance(each, SetFan) or (isinstance(each, LogEvent) and each.origin == "fan")]

    def headroom_k(self, stick: str) -> float:
        (regulator,) = self.engine.workers.regulators.values()
        headroom_k = regulator.shadow.headroom_c(StickId(stick))
        assert headroom_k is not None
        return headroom_k

    @property
    def duty(self) -> float:
        assert self.engine.fan is not None
        return self.engine.fan.duty


def test_the_hottest_stick_sets_the_speed_which_is_told_every_second() -> None:
    daemon = Cooled(sim_1=30.0, sim_2=50.0)
    actions = daemon.pass_s(90.0)
    assert len(actions) == 90
    assert actions[-1] == SetFan(daemon.duty)
    assert daemon.headroom_k("sim-2") == pytest.approx(15.0, abs=0.5)
    assert daemon.headroom_k("sim-1") == pytest.approx(35.0, abs=0.5)
    assert daemon.duty == pytest.approx(1.0 - 0.08 * (daemon.headroom_k("sim-2") - 10.0), abs=0.08 * SPEC.hysteresis_k)


def test_it_is_off_while_all_are_cool_and_turns_when_one_gets_warm() -> None:
    daemon = Cooled(sim_1=30.0, sim_2=32.0)
    assert daemon.pass_s(90.0)[-1] == SetFan(0.0)
    daemon.told["sim-1"] = 60.0
    assert daemon.pass_s(30.0)[-1] == SetFan(1.0)


def test_a_reading_that_fails_makes_it_full_and_an_event_once_and_its_return_another() -> None:
    daemon = Cooled(sim_1=30.0, sim_2=32.0)
    daemon.pass_s(90.0)
    daemon.told["sim-1"] = None
    actions = daemon.pass_s(60.0)
    assert actions[-1] == SetFan(1.0)
    said = [each for each in actions if isinstance(each, LogEvent)]
    assert said == [LogEvent("warning", "fan", "at full speed: sim-1 has no temperature that can be trusted")]
    assert actions.index(said[0]) >= SAID_AFTER_S
    daemon.told["sim-1"] = 30.0
    actions = daemon.pass_s(90.0)
    said = [each for each in actions if isinstance(each, LogEvent)]
    assert (said, actions[-1]) == ([LogEvent("info", "fan", "follows the headroom of the sticks again")], SetFan(0.0))


def test_a_sensor_that_freezes_makes_it_full_though_another_stick_has_headroom() -> None:
    daemon = Cooled(sim_1=30.0, sim_2=32.0)
    daemon.pass_s(90.0)
    assert daemon.duty == 0.0
    del daemon.told["sim-1"]
    for _ in range(300):
        daemon.engine.handle(ONE, m.Telemetry(30.0), daemon.now_s)
        daemon.pass_s(1.0)
    assert daemon.headroom_k("sim-2") > SPEC.off_above_k
    assert daemon.duty == 1.0


def test_a_stick_whose_process_has_died_makes_it_full_and_one_that_is_unplugged_does_not() -> None:
    daemon = Cooled(sim_1=30.0, sim_2=32.0)
    daemon.pass_s(90.0)
    daemon.engine.handle(TWO, Exited("killed by SIGSEGV", -11), daemon.now_s)
    del daemon.told["sim-2"]
    assert daemon.pass_s(3.0)[-1] == SetFan(1.0)
    daemon.engine.handle(BUS, StickGone(StickId("sim-2")), daemon.now_s)
    assert daemon.pass_s(90.0)[-1] == SetFan(0.0)


def test_a_stick_that_its_firmware_throttles_has_no_headroom() -> None:
    daemon = Cooled(sim_1=30.0)
    daemon.pass_s(90.0)
    assert daemon.pass_s(3.0, throttle_level=1)[-1] == SetFan(1.0)


def test_without_any_temperature_it_is_full_and_says_why() -> None:
    daemon = Cooled()
    daemon.engine = Engine(replace(installation(1), fan=SPEC), 1000.0)
    daemon.engine.start(1000.0)
    actions = daemon.pass_s(30.0)
    assert LogEvent("warning", "fan", "at full speed: no stick's temperature is known") in actions
    assert {each for each in actions if isinstance(each, SetFan)} == {SetFan(1.0)}


def test_a_daemon_without_a_fan_tells_nothing() -> None:
    daemon = Cooled(sim_1=30.0)
    daemon.engine = Engine(installation(1), 1000.0)
    daemon.engine.start(1000.0)
    assert daemon.pass_s(5.0) == []
