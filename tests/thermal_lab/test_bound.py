"""The bound: against figures by hand, against the greedy policy that is the best one for a single stick, and against policies."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from ncs_cluster.testing.thermal_lab import bound, scenario
from ncs_cluster.testing.thermal_lab.plant import INFERENCE_S, Body, Network, Plant, spread
from ncs_cluster.testing.thermal_lab.trial import Trial
from tests.needs import need_module


def test_one_stick_may_work_as_much_as_its_rise_leaves_room_for() -> None:
    network = Network([Body()])
    rise_k_w = float(network.die_k_w()[0, 0])
    for air_c in (30.0, 40.0, 48.0):
        by_hand = (65.0 - air_c - 0.45 * rise_k_w) / (1.35 * rise_k_w) / INFERENCE_S
        assert bound.steady(network, air_c, 65.0) == pytest.approx(by_hand)
    assert bound.steady(network, -20.0, 65.0) == pytest.approx(20.0), "it cannot do more than one inference after another"
    assert bound.steady(network, 60.0, 65.0) == 0.0, "too hot though it rests"


def test_where_all_are_at_the_limit_the_bound_solves_a_linear_system() -> None:
    network = Network(spread(5, 0.1, random.Random(1)))
    rise = network.die_k_w()
    work = np.linalg.solve(rise * network.work_w, 65.0 - 40.0 - rise @ network.idle_w)
    assert ((work > 0) & (work < 1)).all()
    assert bound.steady(network, 40.0, 65.0) == pytest.approx(work.sum() / INFERENCE_S)
    assert bound.steady(network, 40.0, 65.0, cluster_size=1) == pytest.approx(20.0)


@pytest.mark.parametrize("seed", range(30))
def test_the_steady_bound_is_what_another_solver_finds(seed: int) -> None:
    chance = random.Random(seed)
    count, size = chance.randint(1, 9), chance.choice([0, 0, 1, 2, 3])
    network, air_c, limit_c = Network(spread(count, 0.4, chance)), chance.uniform(-10.0, 52.0), chance.uniform(60.0, 75.0)
    rise = network.die_k_w()
    # half a second to import, in each process of the run
    found = need_module("scipy.optimize").linprog(
        -np.ones(count),
        np.vstack([rise * network.work_w, np.ones(count)]),
        np.append(limit_c - air_c - rise @ network.idle_w, size or count),
        bounds=(0, 1),
    )
    expected = -found.fun / INFERENCE_S if found.status == 0 else 0.0
    assert bound.steady(network, air_c, limit_c, size) == pytest.approx(expected, abs=1e-6)


def test_what_one_stick_can_do_in_an_hour_is_what_the_greediest_policy_does() -> None:
    """More heat now never leaves less heat for the air later, so work done as early as the limit allows is the most."""
    body, step_s = Body(), 20.0
    plant, kept_driven = Plant([body], 30.0), Network([body]).step_matrices(step_s)
    done = 0.0
    for step in range(180):
        air_c = 30.0 if step < 90 else 40.0
        kept, driven, _ = kept_driven
        rests_c = air_c + (kept @ (plant.nodes_c - air_c))[0] + driven[0, 0] * body.idle_w
        work = min(1.0, max(0.0, (65.0 - rests_c) / (driven[0, 0] * body.work_w)))
        plant.advance(step_s, [work], air_c, [True])
        done += work * step_s / INFERENCE_S
    best = bound.dynamic(Network([body]), lambda now_s: 30.0 if now_s < 1800 else 40.0, lambda *_: True, 3600.0, 65.0)
    assert best == pytest.approx(done, rel=1e-6)


def test_over_a_long_time_the_dynamic_bound_is_the_steady_one() -> None:
    network = Network(spread(3, 0.2, random.Random(4)))
    best = bound.dynamic(network, lambda _: 40.0, lambda *_: True, 40 * 3600.0, 65.0, step_s=600.0)
    assert best / (40 * 3600.0) == pytest.approx(bound.steady(network, 40.0, 65.0), rel=0.01)


def test_a_limit_that_cannot_be_kept_has_no_dynamic_bound() -> None:
    assert math.isnan(bound.dynamic(Network([Body()]), lambda _: 64.0, lambda *_: True, 3600.0, 65.0))


def test_a_stick_that_comes_later_does_no_work_before_and_comes_cold() -> None:
    network = Network([Body()] * 2)
    hour_s = 1800.0
    late = bound.dynamic(network, lambda _: 40.0, lambda stick, now_s: stick == 0 or now_s >= hour_s, 2 * hour_s, 65.0)
    alone = bound.dynamic(network, lambda _: 40.0, lambda stick, _: stick == 0, 2 * hour_s, 65.0)
    both = bound.dynamic(network, lambda _: 40.0, lambda *_: True, 2 * hour_s, 65.0)
    assert alone < late < both
    fresh = bound.dynamic(network, lambda _: 40.0, lambda *_: True, hour_s, 65.0)
    assert late < alone + fresh / 2


def test_a_policy_that_keeps_the_limit_does_no_more_than_the_bound() -> None:
    story = scenario.constant(2, 1, 40.0)._replace(plugged_s=1800.0)
    result = Trial(story, "ring", 5).run(dynamic=True)
    assert 0.5 < result.dynamic_share <= 1.01
