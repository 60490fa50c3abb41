"""A trial: the same for the same seed, exact where a policy always does the same, and driven through the real core."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from ncs_cluster.testing.thermal_lab import scenario
from ncs_cluster.testing.thermal_lab.core_pool import CorePool
from ncs_cluster.testing.thermal_lab.plant import INFERENCE_S, Network, spread
from ncs_cluster.testing.thermal_lab.scenario import Scenario
from ncs_cluster.testing.thermal_lab.sensors import Fault, Sensors
from ncs_cluster.testing.thermal_lab.trial import Trial


def short(until_s: float = 60.0, **changes: Any) -> Scenario:
    return scenario.constant(4, 2, 25.0)._replace(until_s=until_s, judged_s=until_s, **changes)


def test_the_same_seed_gives_the_same_sticks_and_the_same_result() -> None:
    story = scenario.step(3, 1, 40.0)._replace(until_s=600.0)
    one, same, other = (Trial(story, "ring", seed) for seed in (1, 1, 2))
    assert one.plant.bodies == same.plant.bodies != other.plant.bodies
    assert str(one.run()) == str(same.run()) != str(other.run())


def test_a_shadow_beside_the_policy_changes_nothing() -> None:
    story = scenario.constant(3, 1, 40.0)._replace(until_s=300.0)
    alone, beside = (Trial(story, "ring", 1, shadowed=shadowed) for shadowed in (False, True))
    assert str(alone.run()) == str(beside.run())
    assert isinstance(alone.pool, CorePool)
    assert isinstance(beside.pool, CorePool)
    assert (len(alone.pool.regulator.shadow.sticks), len(beside.pool.regulator.shadow.sticks)) == (0, 3)


def test_two_cool_sticks_of_four_work_all_the_time_and_take_turns() -> None:
    trial = Trial(short(), "ring", 1)
    trial.traced = True
    result = trial.run()
    assert (result.rate, result.switches, result.over_s, result.throttle_events) == (pytest.approx(2 / INFERENCE_S), 5, 0.0, 0)
    assert result.gap_s == pytest.approx(INFERENCE_S / 2)
    seen = [work for _, _, work in trial.trace]
    assert seen == [[1.0, 1.0, 0.0, 0.0] if second % 20 < 10 else [0.0, 0.0, 1.0, 1.0] for second in range(60)]


def test_the_die_it_reports_is_the_hottest_true_one_and_not_a_reading() -> None:
    trial = Trial(short(sensors=Sensors(5.0, 10.0)), "all", 1)
    trial.traced = True
    result = trial.run()
    assert result.hottest_c == max(max(dies) for _, dies, _ in trial.trace)


def test_seconds_over_the_limit_and_the_longest_gap_are_those_of_the_sticks() -> None:
    """A limit far below: the sticks warm up, rest for good, and are over it from then on."""
    trial = Trial(short(until_s=300.0, limit_c=30.0, sensors=Sensors(0.0, 0.0)), "all", 1)
    trial.traced = True
    result = trial.run()
    over = [now_s for now_s, dies, _ in trial.trace if max(dies) > 30.0]
    assert result.over_s == len(over) > 200
    worked = [now_s for now_s, _, work in trial.trace if sum(work) > 0]
    assert result.gap_s == pytest.approx(300.0 - worked[-1], abs=1.0)
    assert math.isnan(result.dynamic_share)


def test_a_stick_that_is_plugged_in_later_works_from_then_on() -> None:
    trial = Trial(short(cluster_size=0, plugged_s=30.0), "all", 1)
    trial.traced = True
    trial.run()
    assert [work[3] for _, _, work in trial.trace] == [0.0] * 30 + [1.0] * 30


def test_a_silent_sensor_is_hot_for_the_core_and_a_frozen_one_is_believed_until_the_firmware_throttles() -> None:
    story = short(cluster_size=0, sensors=Sensors(faults=(Fault(0, 20.0, "nan"), Fault(1, 0.0, "frozen"))), until_s=2000.0)
    trial = Trial(story, "all", 1)
    trial.traced = True
    result = trial.run()
    assert [work[0] for _, _, work in trial.trace[:40]] == [1.0] * 20 + [0.0] * 20
    assert min(work[1] for _, _, work in trial.trace) > 0.0, "it works on until its firmware throttles it, and then too"
    assert (result.throttle_events > 0, result.hottest_c >= 70.0) == (True, True)


def test_readings_have_the_error_and_the_step_of_the_sensor() -> None:
    chance = random.Random(1)
    fine = [Sensors(0.4, 0.0).reading(50.0, chance) for _ in range(4000)]
    assert sum(fine) / 4000 == pytest.approx(50.0, abs=0.03)
    assert math.sqrt(sum((value - 50.0) ** 2 for value in fine) / 4000) == pytest.approx(0.4, rel=0.05)
    assert {Sensors(0.4, 2.0).reading(50.9, chance) for _ in range(200)} == {50.0, 52.0}
    assert Sensors(0.0, 1.0).reading(50.6, chance) == 51.0


@pytest.mark.parametrize(
    ("story", "when_s", "air_c"),
    [
        (scenario.step(2, 1, 25.0), 3599.0, 25.0),
        (scenario.step(2, 1, 25.0), 3600.0, 40.0),
        (scenario.step(2, 1, 25.0, ramp_s=300.0), 3750.0, 32.5),
        (scenario.step(2, 1, 25.0, ramp_s=300.0), 3900.0, 40.0),
        (scenario.heat_wave(2, 1), 1800.0, 25.0),
        (scenario.heat_wave(2, 1), 3600.0, 40.0),
        (scenario.heat_wave(2, 1), 5400.0, 25.0),
        (scenario.constant(2, 1, 31.0), 77.0, 31.0),
    ],
)
def test_the_air_of_the_stories(story: Scenario, when_s: float, air_c: float) -> None:
    assert story.air_c(when_s) == pytest.approx(air_c)


def test_sticks_differ_by_up_to_the_scenarios_share() -> None:
    trial = Trial(short(parameters=0.0), "all", 1)
    assert len(set(trial.plant.bodies)) == 1
    assert Trial(short(), "all", 7).plant.bodies == spread(4, 0.2, random.Random("sticks 7"))


def test_a_stick_that_is_covered_finds_more_resistance_to_the_air_and_the_bound_knows_it() -> None:
    trial = Trial(scenario.covering(2, 0, 30.0, factor=2.0)._replace(until_s=3601.0), "all", 1)
    for _ in range(3600):
        trial.second()
    before = list(trial.plant.bodies)
    dies_c = list(trial.plant.dies_c)
    trial.second()
    after = trial.plant.bodies
    assert after == [before[0]._replace(case_air_k_w=2 * before[0].case_air_k_w), before[1]]
    assert trial.plant.dies_c == pytest.approx(dies_c, abs=1.0), "its temperature stays and then rises"
    assert (trial.plant.network.die_k_w() > Network(before).die_k_w()).all()


def test_while_the_host_stalls_nothing_is_read_or_decided_and_the_sticks_work_on() -> None:
    """A stick that gets hot meanwhile is found out afterwards."""
    story = scenario.constant(1, 0, 45.0)._replace(until_s=90.0, parameters=0.0, sensors=Sensors(0.0, 0.0), limit_c=66.5)
    free, stalled = Trial(story, "all", 1), Trial(story._replace(stalls=((40.0, 20.0),)), "all", 1)
    for trial in (free, stalled):
        trial.traced = True
        trial.run()
    first_rest_s = [next(now_s for now_s, _, work in trial.trace if work[0] == 0.0) for trial in (free, stalled)]
    assert 41.0 < first_rest_s[0] < 60.0
    assert first_rest_s[1] == 61.0


def test_a_jump_of_the_clock_is_the_hosts_and_not_the_plants() -> None:
    """The ring's turn of 10 s is over at once."""
    trial = Trial(short(jumps=((23.0, 8.0),)), "ring", 1)
    trial.traced = True
    trial.run()
    seen = [work[0] for _, _, work in trial.trace]
    assert seen == [1.0] * 10 + [0.0] * 10 + [1.0] * 3 + [0.0] * 10 + [1.0] * 10 + [0.0] * 10 + [1.0] * 7
    assert len(trial.done) == 60
