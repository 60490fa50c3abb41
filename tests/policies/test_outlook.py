"""What is said of the long run: by the thermal model's own steady states, and against sticks whose figures are known."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from ncs_cluster.policies._dies import Die
from ncs_cluster.policies.outlook import AHEAD_S, beside_peers, mean_weight, rises_k_w, seconds_until, sigma, sustained
from ncs_cluster.policies.predictive import margin_k
from ncs_cluster.thermal import Heat, Plant
from ncs_cluster.types import StickId
from tests.policies.test_die_filter import covariance

A, B, C = StickId("a"), StickId("b"), StickId("c")


def die_of(plant: Plant, air_c: float, work: float = 0.5, *, for_s: int = 1200) -> Die:
    """A die whose filter has followed this stick for so long; it works in turns of 10 s."""
    chance, heat = random.Random(7), Heat(air_c, air_c)
    die, worked_s = Die(float(round(air_c)), 0.0, 0.0), 0.0
    for second in range(1, for_s):
        share = 2 * work if second % 20 < 10 else 0.0
        worked_s += share
        heat = plant.step(heat, 1.0, share, air_c)
        die.go_on(float(second), worked_s)
        die.read(float(round(heat.die_c + chance.gauss(0.0, 0.4))), float(second))
    return die


@pytest.mark.parametrize("air_c", [25.0, 35.0, 45.0])
def test_the_sustained_duty_brings_the_die_to_the_limit_less_the_margin_in_the_steady_state(air_c: float) -> None:
    die = die_of(Plant(), air_c)
    die.filter.die_c, die.filter.case_c, die.filter.air_c, die.filter.gain = 60.0, 50.0, air_c, 1.0
    duty = sustained(die, 65.0)
    assert 0.0 < duty < 1.0
    assert Plant().steady(duty, air_c).die_c == pytest.approx(65.0 - margin_k(die, 65.0))


def test_a_duty_is_within_0_and_1() -> None:
    assert sustained(die_of(Plant(), 0.0), 65.0) == 1.0
    assert sustained(die_of(Plant(), 60.0, 0.1), 65.0) == 0.0


@pytest.mark.parametrize("plant", [Plant(), Plant(work_w=1.6), Plant(case_air_k_w=15.0), Plant(die_case_k_w=15.0, idle_w=0.5)])
def test_what_is_sustained_is_near_the_truth_for_sticks_that_are_not_as_the_model_has_them(plant: Plant) -> None:
    """The truth: the duty at which this plant's steady state has the same distance to the limit."""
    die = die_of(plant, 30.0)
    wanted_c = 65.0 - margin_k(die, 65.0)
    idle_c, full_c = plant.steady(0.0, 30.0).die_c, plant.steady(1.0, 30.0).die_c
    truth = (wanted_c - idle_c) / (full_c - idle_c)
    assert sustained(die, 65.0) == pytest.approx(truth, rel=0.06)


def test_its_standard_deviation_is_that_of_the_steady_state_under_the_filters_covariance() -> None:
    die = die_of(Plant(), 30.0)
    duty = sustained(die, 65.0)
    way = np.array([0.0, 0.0, 1.0, 31.0 * 1.35 * duty])
    spread_c = math.sqrt(way @ covariance(die.filter) @ way)
    assert sigma(die, duty) == pytest.approx(spread_c / (31.0 * 1.35 * die.filter.gain))
    assert sigma(Die(30.0, 0.0, 0.0), 0.5) > 4 * sigma(die, 0.5), "a die that was just found is not known"


@pytest.mark.parametrize("work", [0.8, 1.0])
def test_the_time_to_the_limit_is_the_thermal_models(work: float) -> None:
    plant, heat, crossed_s = Plant(), Heat(55.0, 45.0), 0.0
    die = Die(55.0, 0.0, 0.0)
    die.filter.case_c, die.filter.air_c = 45.0, 30.0
    expected = seconds_until(die, 65.0, work)
    while heat.die_c < 65.0:
        heat, crossed_s = plant.step(heat, 0.1, work, 30.0), crossed_s + 0.1
    assert expected == pytest.approx(crossed_s, rel=0.12), "linear between the times of AHEAD_S"


def test_over_the_limit_it_is_0_and_a_stick_that_never_gets_there_has_none() -> None:
    die = Die(60.0, 0.0, 0.0)
    assert seconds_until(die, 59.9, 0.0) == 0.0
    die.filter.case_c = die.filter.air_c = 40.0
    assert seconds_until(die, 65.0, 0.0) is None
    cool = Die(25.0, 0.0, 0.0)
    assert seconds_until(cool, 25.0 + 31.0 * 1.8 + 0.1, 1.0) is None, "its steady state is just below"
    assert (seconds_until(cool, 25.0 + 31.0 * 1.8 - 8.0, 1.0) or 0.0) > AHEAD_S[-4]


def test_a_stick_with_twice_the_resistance_to_the_air_cools_worse_by_what_it_gets_warmer_by_the_same_power() -> None:
    covered = Plant(case_air_k_w=26.0)
    dies = {A: die_of(Plant(), 30.0, 0.3), B: die_of(Plant(), 30.0, 0.4), C: die_of(covered, 30.0, 0.3, for_s=5000)}
    rises = rises_k_w(dies, {A: 0.3, B: 0.4, C: 0.3})
    assert beside_peers(rises, C) == pytest.approx(44.0 / 31.0 - 1.0, abs=0.06)
    assert beside_peers(rises, A) == pytest.approx(0.0, abs=0.35), "the median of two others lies between them"


def test_fewer_than_two_peers_say_nothing() -> None:
    assert beside_peers({A: 30.0, B: 60.0}, A) is None
    assert rises_k_w({}, {}) == {}
    assert beside_peers({A: 30.0, B: 0.0, C: 0.0}, A) is None, "peers that do not warm up"


def test_a_mean_is_plain_at_first_and_exponential_later() -> None:
    values, mean = [1.0, 0.0, 1.0, 1.0, 0.0], 0.0
    for second, value in enumerate(values, start=1):
        mean += mean_weight(1.0, 1000.0, float(second)) * (value - mean)
    assert mean == pytest.approx(0.6)
    assert mean_weight(1.0, 10.0, 1e6) == pytest.approx(1 - math.exp(-0.1))
