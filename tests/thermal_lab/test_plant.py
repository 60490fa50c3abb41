"""The laboratory's physics, against the heat balance of each node written out and integrated by small steps."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ncs_cluster.testing.thermal_lab.plant import Body, Box, Network, Plant, spread

AIR_C = 25.0


def balance(bodies: list[Body], nodes_c: list[float], power_w: list[float]) -> list[float]:
    """K/s of each node: what flows in and out of it, by its neighbours."""
    count = len(bodies)
    dies, cases, hub = nodes_c[:count], nodes_c[count:-1], nodes_c[-1]
    rates, into_hub = [], -0.15 * (hub - AIR_C)
    for die_c, case_c, body, watts in zip(dies, cases, bodies, power_w, strict=True):
        rates.append((watts - (die_c - case_c) / body.die_case_k_w) / body.die_j_k)
        into_hub += 0.012 * (case_c - hub)
    for number, (die_c, case_c, body) in enumerate(zip(dies, cases, bodies, strict=True)):
        flow_w = (die_c - case_c) / body.die_case_k_w - (case_c - AIR_C) / body.case_air_k_w - 0.012 * (case_c - hub)
        for neighbour in (number - 1, number + 1):
            if 0 <= neighbour < count:
                flow_w += 0.015 * (cases[neighbour] - case_c)
        rates.append(flow_w / body.case_j_k)
    return [*rates, into_hub / 60.0]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_step_is_what_small_steps_of_the_heat_balance_add_up_to(count: int) -> None:
    bodies = spread(count, 0.3, random.Random(count))
    plant = Plant(bodies, AIR_C)
    work = [0.9 - 0.15 * number for number in range(count)]
    power_w = [body.idle_w + body.work_w * share for body, share in zip(bodies, work, strict=True)]
    nodes_c = [AIR_C] * (2 * count + 1)
    for _ in range(100):
        for _ in range(100):
            rates = balance(bodies, nodes_c, power_w)
            middle = balance(bodies, [c + 0.025 * rate for c, rate in zip(nodes_c, rates, strict=True)], power_w)
            nodes_c = [c + 0.05 * rate for c, rate in zip(nodes_c, middle, strict=True)]
        plant.advance(5.0, work, AIR_C, [True] * count)
        assert plant.nodes_c == pytest.approx(nodes_c, abs=1e-4)


def test_in_the_steady_state_all_power_goes_into_the_air() -> None:
    bodies = spread(4, 0.2, random.Random(1))
    plant = Plant(bodies, AIR_C)
    plant.advance(1e6, [0.5] * 4, AIR_C, [True] * 4)
    power_w = [body.idle_w + 0.5 * body.work_w for body in bodies]
    cases_c = plant.nodes_c[4:8]
    away_w = sum((case_c - AIR_C) / body.case_air_k_w for case_c, body in zip(cases_c, bodies, strict=True))
    assert away_w + 0.15 * (plant.nodes_c[8] - AIR_C) == pytest.approx(sum(power_w))
    for number, body in enumerate(bodies):
        assert plant.dies_c[number] - cases_c[number] == pytest.approx(body.die_case_k_w * power_w[number])
    assert plant.dies_c == pytest.approx(AIR_C + plant.network.die_k_w() @ np.array(power_w))


def test_one_long_step_is_many_short_ones() -> None:
    once, often = (Plant(spread(3, 0.2, random.Random(2)), AIR_C) for _ in range(2))
    once.advance(100.0, [1.0, 0.0, 0.3], 30.0, [True] * 3)
    for _ in range(400):
        often.advance(0.25, [1.0, 0.0, 0.3], 30.0, [True] * 3)
    assert once.nodes_c == pytest.approx(often.nodes_c)


def test_sticks_without_power_stay_as_cold_as_the_air() -> None:
    plant = Plant([Body()] * 2, AIR_C)
    plant.advance(1e5, [1.0, 1.0], AIR_C, [False, False])
    assert plant.nodes_c == pytest.approx([AIR_C] * 5)


def test_a_stick_that_is_replaced_is_as_cold_as_the_air() -> None:
    plant = Plant([Body()] * 2, AIR_C)
    plant.advance(1e5, [1.0, 1.0], AIR_C, [True, True])
    hot = list(plant.nodes_c)
    plant.replace(1, AIR_C)
    assert list(plant.nodes_c) == [hot[0], AIR_C, hot[2], AIR_C, hot[4]]


def test_the_firmware_throttles_in_two_levels_and_each_ends_three_kelvin_lower() -> None:
    plant = Plant([Body(onset_c=50.0)], AIR_C)
    told = []
    for die_c in (49.9, 50.0, 47.1, 47.0, 55.0, 52.1, 52.0, 46.9, 60.0):
        plant.nodes_c[:] = die_c
        plant.advance(0.0, [0.0], AIR_C, [True])
        told.append(plant.levels[0])
    assert told == [0, 1, 1, 0, 2, 2, 1, 0, 2]
    assert plant.throttle_events == 3, "each rise is one, also by two levels"
    assert plant.speed(0) == pytest.approx(0.05 / 10.05)


def test_figures_are_spread_evenly_around_the_usual_ones() -> None:
    bodies = spread(2000, 0.2, random.Random(3))
    for name in Body._fields[:6]:
        usual, values = getattr(Body(), name), [getattr(body, name) for body in bodies]
        assert 0.8 * usual <= min(values) < 0.81 * usual
        assert 1.19 * usual < max(values) <= 1.2 * usual
        assert sum(values) / len(values) == pytest.approx(usual, rel=0.01)


def test_the_matrices_of_a_step_add_up_to_the_air_where_nothing_draws_power() -> None:
    kept, driven, _ = Network([Body()] * 3).step_matrices(7.0)
    assert (kept >= -1e-12).all()
    assert (driven >= -1e-12).all()
    assert (kept.sum(axis=1) < 1.0 + 1e-12).all()


def test_a_package_between_die_and_case_changes_when_heat_arrives_and_not_how_much() -> None:
    plain, third = Network([Body()]), Network([Body(package_j_k=3.0)])
    assert third.die_k_w() == pytest.approx(plain.die_k_w())
    assert (plain.nodes, third.nodes) == (3, 4)
    soon_k, later_k = ([network.step_matrices(dt_s)[1][0, 0] for network in (plain, third)] for dt_s in (10.0, 1e5))
    assert later_k[1] == pytest.approx(later_k[0])
    # a tenth of the die's heat has left it by then; through half of the resistance more of it leaves
    assert soon_k[1] < 0.95 * soon_k[0]


def test_in_a_box_all_heat_goes_through_its_walls() -> None:
    bodies, box = spread(3, 0.2, random.Random(5)), Box()
    plant = Plant(bodies, AIR_C, box)
    plant.advance(1e7, [0.5] * 3, AIR_C, [True] * 3, [0.0, 0.2, 0.0])
    power_w = sum(body.idle_w + 0.5 * body.work_w for body in bodies) + 0.2
    assert (plant.nodes_c[-1] - AIR_C) * 3 / box.air_k_w == pytest.approx(power_w)
    away_w = sum((case_c - plant.nodes_c[-1]) / body.case_air_k_w for case_c, body in zip(plant.nodes_c[3:6], bodies, strict=True))
    assert away_w + 0.15 * (plant.nodes_c[6] - plant.nodes_c[-1]) == pytest.approx(power_w)


def test_the_sun_warms_die_and_case_of_its_stick_alike() -> None:
    shade, sun = (Plant([Body()] * 2, AIR_C) for _ in range(2))
    shade.advance(1e6, [0.3, 0.3], AIR_C, [True, True])
    sun.advance(1e6, [0.3, 0.3], AIR_C, [True, True], [1.0, 0.0])
    risen_k = sun.nodes_c - shade.nodes_c
    # the heat that the case does not give to hub and neighbour goes through its own resistance
    assert risen_k[0] == pytest.approx(risen_k[2]) == pytest.approx(shade.network.die_k_w()[0, 0] - 18.0)
    assert 0.0 < risen_k[1] < 0.3 * risen_k[0]


def test_a_cover_changes_the_resistance_as_often_as_it_comes_and_goes() -> None:
    plant = Plant(spread(2, 0.2, random.Random(6)), AIR_C)
    drawn = list(plant.bodies)
    for factor in (2.0, 0.5, 2.0):
        plant.resist([factor, 1.0])
        assert plant.bodies == [drawn[0]._replace(case_air_k_w=factor * drawn[0].case_air_k_w), drawn[1]]
        assert plant.network.die_k_w() == pytest.approx(Network(plant.bodies).die_k_w())
    plant.resist([1.0, 1.0])
    assert plant.bodies == drawn
