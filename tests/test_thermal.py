"""The heat model against its own physics: balances, limits and the figures it was built on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.thermal import REST_S, Heat, Plant, sensor_reading, throttle_level

PLANT = Plant()
temperatures = st.floats(-20, 120)
heats = st.builds(Heat, temperatures, temperatures)
utilisations = st.floats(0, 1)
durations = st.floats(0, 100_000)


def test_a_lone_stick_at_full_load_ends_where_users_saw_it_throttle() -> None:
    assert PLANT.steady(1.0, 25.0).die_c == pytest.approx(80.8)
    assert PLANT.steady(0.0, 25.0).die_c == pytest.approx(38.95)


def test_time_constants_are_about_45_and_390_seconds() -> None:
    cold = Heat(25.0, 25.0)
    die = PLANT.step(cold, 45.0, 1.0, 25.0)
    assert 0.6 < (die.die_c - die.case_c) / (1.8 * 18.0) < 0.7
    case = PLANT.step(cold, 435.0, 1.0, 25.0)
    assert 0.55 < (case.case_c - 25.0) / (PLANT.steady(1.0, 25.0).case_c - 25.0) < 0.7


@given(heats, utilisations, temperatures, st.floats(0, 5000), st.floats(0, 5000))
def test_two_steps_are_one_long_step(heat: Heat, utilisation: float, ambient_c: float, first_s: float, second_s: float) -> None:
    once = PLANT.step(heat, first_s + second_s, utilisation, ambient_c)
    twice = PLANT.step(PLANT.step(heat, first_s, utilisation, ambient_c), second_s, utilisation, ambient_c)
    assert twice == pytest.approx(once, abs=1e-6)


@given(heats, utilisations, temperatures, durations)
def test_any_step_stays_between_where_it_was_and_where_it_ends(
    heat: Heat, utilisation: float, ambient_c: float, dt_s: float
) -> None:
    end = PLANT.steady(utilisation, ambient_c)
    after = PLANT.step(heat, dt_s, utilisation, ambient_c)
    # the die may pass the case on its way, never all of the nodes and the end
    low = min(*heat, end.case_c, end.die_c, ambient_c) - 1e-6
    high = max(*heat, end.case_c, end.die_c, max(heat) + 18.0 * PLANT.power_w(utilisation)) + 1e-6
    assert low <= after.die_c <= high
    assert low <= after.case_c <= high


@given(heats, utilisations, temperatures)
def test_a_very_long_step_reaches_the_steady_state(heat: Heat, utilisation: float, ambient_c: float) -> None:
    assert PLANT.step(heat, 1e6, utilisation, ambient_c) == pytest.approx(PLANT.steady(utilisation, ambient_c), abs=1e-6)


@given(heats, utilisations, temperatures)
def test_a_short_step_agrees_with_the_heat_flows(heat: Heat, utilisation: float, ambient_c: float) -> None:
    dt_s = 1e-3
    after = PLANT.step(heat, dt_s, utilisation, ambient_c)
    to_case_w = (heat.die_c - heat.case_c) / 18.0
    to_air_w = (heat.case_c - ambient_c) / 13.0
    assert (after.die_c - heat.die_c) / dt_s == pytest.approx((PLANT.power_w(utilisation) - to_case_w) / 2.5, abs=1e-2)
    assert (after.case_c - heat.case_c) / dt_s == pytest.approx((to_case_w - to_air_w) / 30.0, abs=1e-2)


def test_throttling_begins_at_70_and_75_and_is_left_3_below() -> None:
    seen, level = [], 0
    for die_c in (69.9, 70.0, 74.9, 75.0, 72.1, 72.0, 67.1, 67.0, 80.0, 50.0):
        level = throttle_level(level, die_c)
        seen.append(level)
    assert seen == [0, 1, 1, 2, 2, 1, 1, 0, 2, 0]


@given(st.integers(0, 2), temperatures)
def test_a_throttle_level_is_stable_while_the_temperature_stands_still(level: int, die_c: float) -> None:
    after = throttle_level(level, die_c)
    assert throttle_level(after, die_c) == after
    assert REST_S[after] >= 0


@given(temperatures, st.floats(-2, 2), st.floats(0.1, 2))
def test_a_sensor_speaks_in_whole_steps_near_the_truth(true_c: float, error_c: float, step_c: float) -> None:
    said_c = sensor_reading(true_c, error_c, step_c)
    assert abs(said_c - (true_c + error_c)) <= step_c / 2 + 1e-6
    assert said_c / step_c == pytest.approx(round(said_c / step_c))


def test_a_perfect_sensor_tells_the_truth() -> None:
    assert sensor_reading(51.34, 0, 0) == 51.34
