"""The simulated stick on a clock that the test turns: exact times, whoever is late."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ncs_cluster.backends.base import Completed, Reading
from ncs_cluster.backends.simulated import Options, Simulated
from ncs_cluster.errors import StickError
from ncs_cluster.specs import StickSpec
from ncs_cluster.thermal import Plant
from ncs_cluster.types import StickId


class Bench:
    """An open stick and its clock."""

    def __init__(self, time_scale: float = 1.0, name: str = "sim-1", **options: Any) -> None:
        self.now_s = 1000.0
        self.stick = Simulated(time_scale, lambda: self.now_s)
        self.device = self.stick.open(StickSpec(StickId(name), "here", "simulated", options), [], lambda _: None)

    def work(self, for_s: float, tick_s: float = 1.0) -> list[Completed]:
        """Keep it busy, always exactly on time, measuring every `tick_s`."""
        end_s, tag, done = self.now_s + for_s, 0, []
        tick_at_s = self.now_s
        while self.now_s < end_s:
            while len(self.stick._queue) < self.device.max_in_flight:
                self.stick.submit(tag, 0, None)
                tag += 1
            due_s = self.stick.due_s
            assert due_s is not None
            if tick_at_s < due_s:
                self.now_s = tick_at_s
                tick_at_s += tick_s
                self.stick.read_sensor()
            else:
                self.now_s = due_s
                done += self.stick.collect()
        return done

    def celsius(self) -> float:
        """What its sensor reads."""
        read = self.stick.read_sensor().temperature_c
        assert read is not None
        return read


class AnyUse(RuleBasedStateMachine):
    """Requests and looks at any time: the stick keeps its own time exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(latency_ms=50, depth=64, heat=False)
        self.submitted: list[tuple[int, float]] = []
        self.expected_end_s: list[float] = []
        self.done: list[Completed] = []

    @rule(after_s=st.floats(0, 0.3))
    def time_passes(self, after_s: float) -> None:
        self.bench.now_s += after_s

    @precondition(lambda self: len(self.submitted) - len(self.done) < 64)
    @rule()
    def submit(self) -> None:
        now_s, tag = self.bench.now_s, len(self.submitted)
        last_s = self.expected_end_s[-1] if self.expected_end_s else -math.inf
        self.submitted.append((tag, now_s))
        self.expected_end_s.append(max(now_s, last_s) + 0.05)
        self.bench.stick.submit(tag, 0, None)

    @rule()
    def collect(self) -> None:
        self.done += self.bench.stick.collect()
        ended = [end_s for end_s in self.expected_end_s if end_s <= self.bench.now_s]
        assert len(self.done) == pytest.approx(len(ended), abs=1)  # a rounding's width at the very instant
        due_s = self.bench.stick.due_s
        assert due_s is None or due_s > self.bench.now_s

    @invariant()
    def each_once_in_order_at_its_time(self) -> None:
        assert [completed.tag for completed in self.done] == list(range(len(self.done)))
        for completed in self.done:
            assert completed.latency_s == pytest.approx(0.05)
        waiting = len(self.submitted) > len(self.done)
        assert (self.bench.stick.due_s is not None) == waiting
        if waiting:
            assert self.bench.stick.due_s == pytest.approx(self.expected_end_s[len(self.done)])


TestAnyUse = AnyUse.TestCase


def test_a_late_look_costs_the_stick_no_time() -> None:
    bench = Bench(latency_ms=50, depth=4)
    for tag in range(4):
        bench.stick.submit(tag, 0, None)
    bench.now_s += 0.16
    assert [completed.tag for completed in bench.stick.collect()] == [0, 1, 2]
    assert bench.stick.due_s == pytest.approx(1000.2)


def test_jitter_stays_within_its_bounds_and_repeats_with_its_seed() -> None:
    def latencies(name: str) -> list[float]:
        return [completed.latency_s for completed in Bench(name=name, latency_ms=50, jitter_ms=20).work(5)]

    first = latencies("a")
    assert all(0.03 <= latency_s <= 0.07 for latency_s in first)
    assert max(first) - min(first) > 0.02
    assert latencies("a") == first
    assert latencies("b") != first


@pytest.mark.parametrize("time_scale", [1.0, 20.0])
def test_at_full_load_it_warms_as_the_model_says_and_a_tenth_of_the_load_warms_less(time_scale: float) -> None:
    bench = Bench(time_scale, latency_ms=50, ambient_c=5)
    bench.work(4000 / time_scale, tick_s=1 / time_scale)
    assert bench.stick.read_sensor().temperature_c == pytest.approx(Plant().steady(1.0, 5.0).die_c, abs=0.1)
    tenth = Bench(time_scale, latency_ms=50, ambient_c=5)
    for tag in range(int(8000 / time_scale)):
        tenth.stick.submit(tag, 0, None)
        tenth.now_s += 0.5
        tenth.stick.collect()
        tenth.stick.read_sensor()
    assert tenth.stick.read_sensor().temperature_c == pytest.approx(Plant().steady(0.1, 5.0).die_c, abs=0.2)


def test_throttling_holds_a_stick_that_never_rests_near_its_limit() -> None:
    # 33 % duty at level 1, so the die hovers around the guard rather than reaching the 80.8 C of full load
    bench = Bench(20.0, latency_ms=50, ambient_c=25)
    done = bench.work(150, tick_s=0.05)
    temperature_c = bench.stick.read_sensor().temperature_c
    assert temperature_c is not None
    assert 66 < temperature_c < 72
    assert {round(completed.latency_s, 3) for completed in done} == {0.05, 0.15}


def test_the_pause_of_a_throttled_stick_is_no_work() -> None:
    bench = Bench(latency_ms=50, initial_c=72, ambient_c=72)
    bench.work(200)
    # level 2 by now: a pause of 10 s after each 50 ms, so as good as idle
    assert bench.stick.read_sensor().throttle_level == 2
    bench.work(4000)
    assert bench.stick.read_sensor().temperature_c == pytest.approx(Plant().steady(0.005, 72.0).die_c, abs=0.5)


def test_without_heat_it_stays_as_it_began() -> None:
    bench = Bench(heat=False, initial_c=61.5)
    bench.work(500)
    assert bench.stick.read_sensor() == Reading(61.5, 0)


def test_a_frozen_sensor_repeats_itself_while_the_stick_warms() -> None:
    bench = Bench(latency_ms=50, faults=["freeze@60:60"])
    readings = []
    for _ in range(9):
        bench.work(20)
        readings.append(bench.celsius())
    assert readings[0] < readings[1] < readings[2]
    assert len(set(readings[3:5])) == 1
    assert readings[6] > readings[4] + 5


def test_a_heat_wave_is_fifteen_degrees_and_passes() -> None:
    bench = Bench(faults=["heat@0:20000"])
    for _ in range(2):
        bench.now_s += 9_000
        during_c = bench.stick.read_sensor().temperature_c
    assert during_c == pytest.approx(Plant().steady(0.0, 40.0).die_c, abs=0.1)
    for _ in range(3):
        bench.now_s += 9_000
        after_c = bench.stick.read_sensor().temperature_c
    assert after_c == pytest.approx(Plant().steady(0.0, 25.0).die_c, abs=0.1)


def test_a_stick_without_a_sensor_says_so_and_still_throttles() -> None:
    bench = Bench(sensor=False, initial_c=73, ambient_c=73)
    assert not bench.device.has_sensor
    bench.work(2)
    assert bench.stick.read_sensor() == Reading(None, 1)


def test_the_script_wakes_a_resting_stick() -> None:
    bench = Bench(faults=["unplug@7"])
    assert bench.stick.due_s == 1007.0
    bench.now_s = 1007.0
    with pytest.raises(StickError, match="unplugged"):
        bench.stick.collect()


@given(st.sampled_from(["latency_ms", "jitter_ms", "noise_c", "step_c"]), st.sampled_from([-1.0, math.nan, math.inf]))
def test_options_refuse_what_is_no_amount(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Options(**{name: value})  # type: ignore[arg-type]


def test_a_noisy_sensor_scatters_around_the_truth_in_whole_steps() -> None:
    bench = Bench(heat=False, initial_c=51.3, noise_c=0.4, step_c=1.0)
    readings = [bench.celsius() for _ in range(500)]
    assert all(reading == round(reading) for reading in readings)
    assert sum(readings) / len(readings) == pytest.approx(51.3, abs=0.1)
