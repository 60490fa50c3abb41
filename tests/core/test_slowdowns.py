"""Which sticks count as slow: worlds in which a stick throttles, a host is busy, a camera is slow, a setting changes."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest

from ncs_cluster.core import report
from ncs_cluster.core.actions import LogEvent
from ncs_cluster.core.events import OPERATOR, Configured
from ncs_cluster.core.slowdowns import Slowdowns
from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.messages import StickOpened, Telemetry
from ncs_cluster.status import Status
from ncs_cluster.testing.world import World, installation
from ncs_cluster.thermal import Heat, Plant
from ncs_cluster.types import FrameRef, StickId
from tests.core.onepool import SticksSetup
from tests.core.oneworkers import CAM0

SIM1 = StickId("sim-1")


def warnings(world: World) -> list[str]:
    """Log events about inference times."""
    return [
        f"{each.origin} {each.text}" for _, each in world.log_events if "for an inference" in each.text or "as fast as" in each.text
    ]


def status(world: World) -> Status:
    return report.status(world.engine, world.now_s, 1.7e9, version="0", pid=1, machine=None, usage={})


def world_of(sticks: int = 3, *, sensor: bool = False, camera_s: float = 0.02, graphs: tuple[str, ...] = ("demo",)) -> World:
    """Sticks of 100 ms that have worked for a minute."""
    world = World(installation(sticks, results=False, graphs=graphs))
    world.cameras["cam0"].period_s = camera_s
    for number in range(1, sticks + 1):
        world.sticks[f"sim-{number}"].sensor = sensor
    world.start().run(60.0)
    assert warnings(world) == []
    return world


def test_a_stick_that_becomes_slow_by_itself_is_paced_until_it_is_as_fast_as_before() -> None:
    world = world_of()
    world.sticks["sim-2"].latency_s = 0.25
    world.run(9.0)
    assert warnings(world) == ["sim-2 takes 250 ms instead of 100 ms for an inference; works 70 % of the time until it is faster"]
    seen = {stick.id: stick for stick in status(world).sticks}
    assert (seen["sim-1"].slowdown, seen["sim-2"].slowdown) == (1.0, 2.5)
    assert (seen["sim-1"].duty, seen["sim-2"].duty) == (1.0, 0.7)
    assert status(world).daemon.reasons == ["sim-2 takes 250 ms instead of 100 ms for an inference"]
    world.sticks["sim-2"].latency_s = 0.1
    world.run(10.0)
    assert warnings(world)[1:] == ["sim-2 is as fast as before; works 70 % of the time, and more with care"]
    assert (status(world).daemon.state, status(world).daemon.reasons) == ("ok", [])


def test_a_stick_with_a_sensor_near_its_limit_gets_a_lower_one_and_rests_at_once() -> None:
    world = world_of(sensor=True)
    world.sticks["sim-2"].temperature_c, world.sticks["sim-2"].latency_s = 63.0, 0.25
    world.run(10.0)
    assert warnings(world) == ["sim-2 takes 250 ms instead of 100 ms for an inference; at 63.0 °C: no frame from 62.0 °C on"]
    seen = {stick.id: stick for stick in status(world).sticks}
    assert (seen["sim-2"].limit_c, seen["sim-2"].state, seen["sim-1"].limit_c) == (62.0, "resting", 65.0)
    world.sticks["sim-2"].temperature_c, world.sticks["sim-2"].latency_s = 58.5, 0.1
    world.run(10.0)
    assert warnings(world)[1:] == ["sim-2 is as fast as before"]
    assert status(world).sticks[1].limit_c == 62.0, "what was learned is kept"


def test_a_cool_stick_that_becomes_slow_is_told_and_works_on() -> None:
    world = world_of(sensor=True)
    world.sticks["sim-2"].latency_s = 0.25
    world.run(10.0)
    assert warnings(world) == ["sim-2 takes 250 ms instead of 100 ms for an inference; at 40.0 °C, so not by heat"]
    assert (status(world).sticks[1].duty, status(world).sticks[1].limit_c) == (1.0, 65.0)


def test_a_slow_camera_is_no_slow_stick() -> None:
    world = world_of()
    for period_s in (1.0, 0.02, 0.2, 0.05, 0.5):
        world.cameras["cam0"].period_s = period_s
        world.run(120.0)
    assert warnings(world) == []


def test_each_graph_has_its_own_usual_time() -> None:
    world = World(installation(2, results=False, graphs=("small", "large")))
    for number in (1, 2):
        world.sticks[f"sim-{number}"].sensor = False
        world.sticks[f"sim-{number}"].slower = {0: 0.03, 1: 0.3}
    world.start().run(300.0)
    assert warnings(world) == []
    world.sticks["sim-1"].slower = {0: 0.06, 1: 0.6}
    world.run(60.0)
    assert warnings(world)[0].partition(" for ")[0] in (
        "sim-1 takes 60 ms instead of 30 ms",
        "sim-1 takes 600 ms instead of 300 ms",
    )


def test_other_settings_of_a_graph_begin_a_new_baseline() -> None:
    world = world_of(2)
    stricter = [msgspec.structs.replace(graph, threshold=0.9) for graph in world.settings.graphs]
    world.deliver(OPERATOR, Configured(msgspec.structs.replace(world.settings, graphs=stricter)))
    for number in (1, 2):
        world.sticks[f"sim-{number}"].latency_s = 0.13
    world.run(120.0)
    assert warnings(world) == []


def test_fewer_requests_in_flight_are_no_change_of_a_sticks_time() -> None:
    world = world_of(2)
    for number in (1, 2):
        world.engine.dispatcher.limit(StickId(f"sim-{number}"), 1)
    world.run(60.0)
    world.engine.dispatcher.limit(SIM1, 2)
    world.run(60.0)
    assert warnings(world) == []


# -- a busy host, and what is not like it: times by hand


class Answers:
    """Sticks that answer every 50 ms after a time of theirs; nothing else happens."""

    def __init__(self, sticks: int, *, sensor: bool = False) -> None:
        self.setup = SticksSetup(sticks)
        self.setup.open(*range(1, sticks + 1), sensor=sensor)
        self.slowdowns = Slowdowns(self.setup.sticks, self.setup.dispatcher)
        self.now_s, self.count = 2.0, sticks

    def run(self, inferences: int, took_s: Callable[[int], float]) -> list[str]:
        """`took_s`: of a stick of this number."""
        told = []
        for _ in range(inferences):
            self.now_s += 0.05
            for number in range(1, self.count + 1):
                unit = Unit("cam0", Frame(FrameRef(CAM0, 1, 0, 0, 640, 480), None, self.now_s, 1.7e9, None), 0)
                told += self.slowdowns.answered(self.setup[number], unit, took_s(number), self.now_s)
            told += self.slowdowns.tick(self.now_s)
        return [f"{event.origin}: {event.text}" for event in told if isinstance(event, LogEvent)]


def busy(chance: random.Random, least: float) -> Callable[[int], float]:
    """Every answer is later than on an idle host, by `least` and up to fourfold."""
    return lambda _: 0.05 * (least + chance.expovariate(1.0))


@pytest.mark.parametrize("sticks", [1, 2, 4])
@pytest.mark.parametrize("least", [1.0, 1.2, 1.4])
def test_a_busy_host_is_no_slow_stick(sticks: int, least: float) -> None:
    chance = random.Random(sticks)
    answers = Answers(sticks)
    assert answers.run(600, lambda _: 0.05 * (1 + 0.02 * chance.random())) == []
    assert answers.run(600, busy(chance, least)) == []
    assert answers.run(600, lambda _: 0.05 * (1 + 0.02 * chance.random())) == []


@pytest.mark.parametrize("sticks", [1, 3])
def test_a_host_that_becomes_busier_is_no_slow_stick(sticks: int) -> None:
    """The usual times were learned while it was busy."""
    chance = random.Random(sticks)
    answers = Answers(sticks)
    assert answers.run(600, lambda _: 0.05 * (1 + 0.3 * chance.random())) == []
    assert answers.run(600, lambda _: 0.05 * (1.6 + 0.9 * chance.random())) == []


def test_a_stick_that_throttles_on_a_busy_host_is_found_by_the_others() -> None:
    chance = random.Random(1)
    answers = Answers(4)
    answers.run(600, lambda _: 0.05 * (1 + 0.02 * chance.random()))
    late = busy(chance, 1.2)
    told = answers.run(200, lambda number: late(number) + (0.1 if number == 3 else 0.0))
    assert [each.partition(":")[0] for each in told] == ["sim-3"]


def test_a_bus_that_slows_all_sticks_alike_is_no_throttling() -> None:
    answers = Answers(4)
    answers.run(600, lambda _: 0.05)
    assert answers.run(600, lambda _: 0.05 * 1.3) == []


def test_all_sticks_that_throttle_at_once_are_found() -> None:
    answers = Answers(3)
    answers.run(600, lambda _: 0.05)
    told = answers.run(40, lambda _: 0.15)
    assert [each.partition(":")[0] for each in told] == ["sim-1", "sim-2", "sim-3"]


def test_a_processor_of_this_machine_is_not_judged() -> None:
    answers = Answers(2)
    for number in (1, 2):
        stick = answers.setup[number]
        stick.spec = msgspec.structs.replace(stick.spec, on_host=True)
    answers.run(600, lambda _: 0.05)
    assert answers.run(600, lambda _: 0.5) == []
    assert answers.slowdowns.factor(SIM1) is None


def test_a_stick_that_is_opened_as_another_device_begins_anew() -> None:
    answers = Answers(2)
    answers.run(600, lambda _: 0.05)
    answers.setup.dispatcher.detach(SIM1)
    answers.setup.sticks.opened(answers.setup[1], StickOpened("another device", False, 2), answers.now_s)
    assert answers.run(600, lambda number: 0.1 if number == 1 else 0.05) == []


def test_a_stick_that_is_opened_again_is_compared_with_what_it_took_before() -> None:
    answers = Answers(2)
    answers.run(600, lambda _: 0.05)
    answers.setup.dispatcher.detach(SIM1)
    answers.setup.sticks.opened(answers.setup[1], StickOpened("a device", False, 2), answers.now_s)
    assert len(answers.run(100, lambda number: 0.1 if number == 1 else 0.05)) == 1


def test_a_stick_that_is_as_slow_at_rest_has_another_usual_time() -> None:
    answers = Answers(2)
    answers.run(600, lambda _: 0.05)
    told = answers.run(20_000, lambda number: 0.07 if number == 1 else 0.05)
    assert [each.partition("; ")[0] for each in told] == [
        "sim-1: takes 70 ms instead of 50 ms for an inference",
        "sim-1: takes 70 ms instead of 50 ms for an inference, also at rest: not by heat",
    ]
    assert answers.setup[1].throttling.duty == 1.0
    assert answers.slowdowns.complaint(SIM1) is None


@pytest.mark.slow
def test_a_stick_without_a_sensor_that_throttles_is_paced_to_where_it_does_not() -> None:
    """In 30 °C. Unpaced it is throttled nearly all of the time; the best rate below the throttle is 1.18 a second."""
    world = World(installation(1, results=False))
    world.ambient_c, world.cameras["cam0"].period_s = 30.0, 0.25
    traits = world.sticks["sim-1"]
    traits.sensor, traits.throttles, traits.throttle_level, traits.latency_s = False, True, None, 0.5
    traits.plant, traits.heat = Plant(), Heat(30.0, 30.0)
    world.start().run(2700.0)
    throttled_s, hottest_c, done = 0, 0.0, traits.done
    for _ in range(3600):
        world.run(1.0)
        throttled_s += traits.level > 0
        hottest_c = max(hottest_c, traits.heat.die_c)
    assert throttled_s < 0.03 * 3600
    assert (traits.done - done) / 3600 > 0.85 * 1.18
    assert hottest_c < 71.0


def test_telemetry_of_a_stick_without_a_sensor_lowers_no_limit() -> None:
    answers = Answers(1)
    answers.run(600, lambda _: 0.05)
    answers.setup[1].record_telemetry(Telemetry(64.0), answers.now_s, 0.0)
    answers.run(40, lambda _: 0.15)
    assert answers.setup[1].zone.trip_c == 65.0
