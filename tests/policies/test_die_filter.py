"""The filter of one die: forecast and covariance against matrices, its update against the distribution on a fine grid."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from ncs_cluster.policies._die_filter import WORK_W, DieFilter, response, unit_of
from ncs_cluster.specs import DieFigures
from ncs_cluster.thermal import Heat, Plant

NAMES = ("die_c", "case_c", "air_c", "gain")
UPPER = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3))


def covariance(state: DieFilter) -> np.ndarray:
    matrix = np.zeros((4, 4))
    for (row, column), value in zip(UPPER, state._p, strict=True):
        matrix[row, column] = matrix[column, row] = value
    return matrix


def used(seed: int) -> DieFilter:
    """A filter after some minutes of work, with a full covariance."""
    chance, state = random.Random(seed), DieFilter(30.0)
    for second in range(200):
        state.predict(1.0, 0.8 if second % 40 < 25 else 0.1)
        state.update(round(state.die_c + chance.gauss(0.0, 0.5)))
    return state


@pytest.mark.parametrize(("after_s", "work", "air_c"), [(0.25, 1.0, 25.0), (1.0, 0.3, 40.0), (40.0, 0.0, -10.0)])
def test_the_response_is_the_thermal_models(after_s: float, work: float, air_c: float) -> None:
    plant, heat = Plant(), Heat(51.0, 43.0)
    expected = plant.step(heat, after_s, work, air_c)
    power_w = plant.idle_w + plant.work_w * work
    for row, wanted_c in zip(response(after_s), expected, strict=True):
        assert np.dot(row, (heat.die_c, heat.case_c, air_c, power_w)) == pytest.approx(wanted_c)


@pytest.mark.parametrize("unsettled", [False, True])
def test_the_forecast_and_its_covariance_are_those_of_the_linear_model(unsettled: bool) -> None:
    state, work, dt_s = used(1), 0.7, 3.0
    (a0, a1, a2, a3), (b0, b1, b2, b3) = response(dt_s)
    before, p = [getattr(state, name) for name in NAMES], covariance(state)
    power_w = 0.45 + state.gain * 1.35 * work
    f = np.array([[a0, a1, a2, a3 * 1.35 * work], [b0, b1, b2, b3 * 1.35 * work], [0, 0, 1, 0], [0, 0, 0, 1]])
    grown = 8.0 if unsettled else 1.0
    state.predict(dt_s, work, unsettled=unsettled)
    assert covariance(state) == pytest.approx(f @ p @ f.T + dt_s * np.diag([1e-5, 2e-5 * grown, 2e-4 * grown, 4e-7]))
    assert state.die_c == pytest.approx(np.dot((a0, a1, a2, a3), [*before[:3], power_w]))
    assert state.case_c == pytest.approx(np.dot((b0, b1, b2, b3), [*before[:3], power_w]))
    assert (state.air_c, state.gain) == (before[2], before[3])


@pytest.mark.parametrize("error_c", [-2.6, -0.4, 0.0, 0.9, 3.1])
def test_a_reading_gives_the_mean_and_variance_of_the_die_given_the_interval_it_was_rounded_from(error_c: float) -> None:
    """By Bayes: the normal density of the die, times the chance that this reading comes of it, over a fine grid."""
    state = used(2)
    mean_c, variance = state.die_c, covariance(state)[0, 0]
    reading_c = mean_c + error_c
    # what the filter thinks of the sensor after this reading
    difference = abs(reading_c - state._last_c)
    noise = state._noise + 0.005 * (difference**2 / 2 - state._noise)
    step_c = min(state._step_c, difference)
    sensor = min(4.0, max(0.12, noise - step_c**2 / 12)) + 0.03
    grid = np.linspace(mean_c - 9, mean_c + 9, 40_001)
    erf = np.vectorize(math.erf)
    chance = erf((reading_c + step_c / 2 - grid) / math.sqrt(2 * sensor)) - erf(
        (reading_c - step_c / 2 - grid) / math.sqrt(2 * sensor)
    )
    weight = np.exp(-((grid - mean_c) ** 2) / (2 * variance)) * chance
    weight /= weight.sum()
    expected_c = float((weight * grid).sum())
    state.update(reading_c)
    assert state.die_c == pytest.approx(expected_c, abs=1e-5)
    assert covariance(state)[0, 0] == pytest.approx(float((weight * (grid - expected_c) ** 2).sum()), rel=1e-4)


def test_a_sensor_that_is_not_rounded_is_an_ordinary_kalman_filter() -> None:
    state = used(3)
    state._step_c, state._noise = 0.001, 0.5
    before, p = np.array([getattr(state, name) for name in NAMES]), covariance(state)
    reading_c = state.die_c + 0.7
    difference = reading_c - state._last_c
    variance = p[0, 0] + (0.5 + 0.005 * (difference**2 / 2 - 0.5)) - 0.0 + 0.03
    state.update(reading_c)
    assert [getattr(state, name) for name in NAMES] == pytest.approx(list(before + p[:, 0] / variance * 0.7))
    assert covariance(state) == pytest.approx(p - np.outer(p[:, 0], p[:, 0]) / variance)


def test_a_reading_far_outside_moves_the_estimate_and_is_no_division_by_zero() -> None:
    state = used(4)
    before_c = state.die_c
    score, info = state.update(before_c + 60.0)
    assert score > 0
    assert info > 0
    assert before_c < state.die_c < before_c + 60.0


def test_a_step_of_the_air_moves_all_three_temperatures_and_their_covariance() -> None:
    state = used(5)
    before, p = [getattr(state, name) for name in NAMES], covariance(state)
    state.shift(10.0, 0.3, 0.05, 2.0)
    assert [getattr(state, name) for name in NAMES] == pytest.approx(
        [before[0] + 3.0, before[1] + 0.5, before[2] + 10.0, before[3]]
    )
    way = np.array([0.3, 0.05, 1.0, 0.0])
    assert covariance(state) == pytest.approx(p + 4.0 * np.outer(way, way))


@pytest.mark.parametrize(("error_c", "step_c"), [(0.4, 1.0), (0.4, 0.0), (0.0, 0.0), (1.0, 0.5), (0.4, 2.0)])
def test_it_finds_the_die_of_a_stick_that_is_not_as_the_model_has_it(error_c: float, step_c: float) -> None:
    """Warms 25 % more by working, in air of 33 C, told from 30 C on: within 0.6 K of the truth after ten minutes."""
    chance, plant = random.Random(6), Plant(work_w=1.35 * 1.25)
    heat, state = Heat(30.0, 30.0), DieFilter(30.0)
    errors = []
    for second in range(1500):
        work = 0.6 if second % 90 < 60 else 0.0
        heat = plant.step(heat, 1.0, work, 33.0)
        state.predict(1.0, work)
        value_c = heat.die_c + chance.gauss(0.0, error_c)
        state.update(round(value_c / step_c) * step_c if step_c else value_c)
        if second > 600:
            errors.append(state.die_c - heat.die_c)
    assert max(map(abs, errors)) < 0.8
    assert math.sqrt(sum(error * error for error in errors) / len(errors)) < 0.35
    assert 1.05 < state.gain < 1.45


def test_a_calibrated_stick_is_followed_by_its_own_figures() -> None:
    """Products of resistance, capacity and power are all that temperatures tell: another plant with the same ones is the same."""
    plant = Plant(die_j_k=2.0, die_case_k_w=22.0, case_j_k=40.0, case_air_k_w=10.0, idle_w=0.0, work_w=1.5)
    figures = DieFigures(die_rise_k=33.0, die_s=44.0, case_rise_k=15.0, case_s=400.0, sigma=0.03)
    row, _ = response(30.0, unit_of(figures))
    expected = plant.step(Heat(51.0, 43.0), 30.0, 0.7, 28.0)
    assert np.dot(row, (51.0, 43.0, 28.0, WORK_W * 0.7)) == pytest.approx(expected.die_c)
    followed = DieFilter(40.0, figures)
    followed.predict(1.0, 1.0)
    assert followed.unit == unit_of(figures) != unit_of(None)
    assert followed._p[9] < 0.1 * DieFilter(40.0)._p[9], "how much it warms by working is known"
