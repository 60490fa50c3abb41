"""Duties just under the limit: exact for states made by hand, safe for whatever happens, and near the bound in the laboratory."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.policies.predictive import FROZEN_DUTY, HORIZONS_S, LEAST_DUTY, Predictive
from ncs_cluster.specs import DieFigures
from ncs_cluster.testing.thermal_lab import scenario
from ncs_cluster.testing.thermal_lab.sensors import Fault, Sensors
from ncs_cluster.testing.thermal_lab.trial import Result, Trial
from ncs_cluster.testing.thermal_lab.unlike import UNLIKE
from ncs_cluster.thermal import Heat, Plant, sensor_reading
from ncs_cluster.types import StickId
from tests.hypothesis_profiles import examples
from tests.policies.views import view

A = StickId("1")


def at_the_limit(seed: int = 1) -> tuple[Predictive, float]:
    """A policy that has followed one stick for ten minutes which reads about 63 C though it works only 40 % of the time."""
    policy, chance, worked_s = Predictive(), random.Random(seed), 0.0
    for second in range(600):
        worked_s += 0.4
        policy.advise(view(float(second), float(round(63.0 + chance.gauss(0.0, 0.4))), worked_s=worked_s))
    return policy, worked_s


def test_cool_sticks_work_at_full_duty() -> None:
    assert Predictive().advise(view(0.0, 25.0, 30.0, 35.0)).duties == {"1": 1.0, "2": 1.0, "3": 1.0}


def test_with_a_cluster_size_duties_are_scaled_down_to_it() -> None:
    duties = Predictive().advise(view(0.0, 25.0, 25.0, 25.0, 25.0, 25.0, size=2)).duties
    assert duties == dict.fromkeys("12345", pytest.approx(0.4))
    assert Predictive().advise(view(0.0, 25.0, size=2)).duties == {"1": 1.0}


def test_a_duty_is_the_largest_whose_forecasts_stay_under_the_limit_less_the_margin() -> None:
    policy, worked_s = at_the_limit()
    duty = policy.advise(view(600.0, 63.0, worked_s=worked_s)).duties[A]
    die = policy._dies.known[A]
    margin_k = 0.07 + 0.028 * max(0.0, 65.0 - die.filter.air_c - 31.0 * 0.45 - 11.0) + 3.0 * die.filter.sigma_c
    own, pool = policy._steps[A][1], policy._pool

    def hottest_c(work: float) -> float:
        return max(
            die.forecast_c(after_s, work) + max(pool.rise_k(after_s, 1.8), own.rise_k(after_s, 2.4)) for after_s in HORIZONS_S
        )

    assert 0.05 < duty < 0.95
    assert hottest_c(duty) == pytest.approx(65.0 - margin_k)


def test_a_lower_limit_lowers_the_duty() -> None:
    duties = []
    for limit_c in (66.0, 65.0, 64.0):
        policy, worked_s = at_the_limit()
        duties.append(policy.advise(view(600.0, 63.0, worked_s=worked_s, limit_c=limit_c)).duties.get(A, 0.0))
    assert duties == sorted(duties, reverse=True)
    assert duties[0] > duties[2] + 0.1


def test_a_stick_that_is_hot_throttled_or_closed_rests() -> None:
    for second in range(3):
        advice = Predictive().advise(view(float(second), 70.0, 40.0, 40.0, 40.0, hot=(1,), throttled=(2,), away=(3,)))
        assert list(advice.duties) == ["4"]


def test_a_stick_without_a_sensor_works_as_under_every_policy() -> None:
    assert Predictive().advise(view(0.0, None, 40.0)).duties[StickId("1")] == 1.0


def test_a_stick_over_the_limit_rests_though_the_core_does_not_take_it_for_hot() -> None:
    policy, chance = Predictive(), random.Random(1)
    for second in range(60):
        duties = policy.advise(view(float(second), float(round(65.5 + chance.gauss(0.0, 0.4))))).duties
    assert duties == {}


def test_a_frozen_sensor_costs_the_duty_until_it_says_something_else() -> None:
    policy, worked_s = at_the_limit()
    for second in range(600, 640):
        duties = policy.advise(view(float(second), 62.0, worked_s=worked_s)).duties
    assert duties == {A: FROZEN_DUTY}
    duties = policy.advise(view(640.0, 61.0, worked_s=worked_s)).duties
    assert duties[A] > FROZEN_DUTY


@pytest.mark.parametrize("value_c", [25.0, 45.0, 55.0])
def test_a_sensor_that_never_moves_costs_nothing_once_its_stick_has_worked(value_c: float) -> None:
    """A simulated stick without heat."""
    policy, worked_s, duty = Predictive(), 0.0, 1.0
    for second in range(400):
        duty = policy.advise(view(float(second), value_c, worked_s=worked_s)).duties.get(A, 0.0)
        worked_s += duty
        assert duty >= FROZEN_DUTY
    assert duty == 1.0


def test_a_sensor_that_works_is_not_mistaken_for_none_however_coarse_it_is() -> None:
    """Steps of 2 C without an error, work in bursts after pauses: the die stays under the limit."""
    plant, heat, policy, worked_s, hottest_c = Plant(), Heat(50.0, 50.0), Predictive(), 0.0, 0.0
    for second in range(3600):
        wanted = 1.0 if second % 300 >= 120 else 0.0
        duty = policy.advise(view(float(second), sensor_reading(heat.die_c, step_c=2.0), worked_s=worked_s)).duties.get(A, 0.0)
        worked_s += duty * wanted
        heat = plant.step(heat, 1.0, duty * wanted, 40.0)
        hottest_c = max(hottest_c, heat.die_c)
    assert hottest_c <= 65.5
    assert A in policy.dies


def test_duties_change_once_a_second_and_it_asks_for_the_next_one() -> None:
    policy, worked_s = at_the_limit()
    advice = policy.advise(view(600.0, 63.0, worked_s=worked_s))
    assert advice.next_s == 601.0
    again = policy.advise(view(600.4, 64.0, worked_s=worked_s))
    assert (again.duties, again.next_s) == (advice.duties, 601.0)
    assert policy.advise(view(601.0, 64.0, worked_s=worked_s)).duties != advice.duties


def test_warmer_air_that_all_sticks_see_lowers_the_duties_before_one_stick_alone_would() -> None:
    """Four sticks and one, the same readings: what they say together is seen earlier."""

    def seconds_until_cut(count: int) -> int:
        policy, chance, worked_s = Predictive(), random.Random(2), 0.0
        for second in range(1000):
            worked_s += 0.3
            risen_k = 0.0035 * max(0, second - 700) ** 2
            readings_c = [float(round(58.0 + risen_k + chance.gauss(0.0, 0.4))) for _ in range(count)]
            policy.advise(view(float(second), *readings_c, worked_s=worked_s))
            if policy._pool.rise_k(40.0, 1.8) > 1.0 and second > 700:
                return second - 700
        return 300

    alone, together = seconds_until_cut(1), seconds_until_cut(8)
    assert together < alone
    assert together < 40


def test_a_clock_that_jumps_back_costs_neither_the_state_nor_the_readings_afterwards() -> None:
    policy, worked_s = at_the_limit()
    before = policy.advise(view(600.0, 63.0, worked_s=worked_s)).duties[A]
    for second in range(100, 120):
        worked_s += 0.4
        after = policy.advise(view(float(second), 66.0, worked_s=worked_s)).duties.get(A, 0.0)
    assert after < 0.5 * before


def test_a_calibrated_stick_that_warms_more_by_working_gets_less_work() -> None:
    """The same readings, before the filters have learned."""
    duties = []
    for rise in (0.8, 1.0, 1.3):
        figures = DieFigures(24.3 * rise, 45.0, 17.55 * rise, 390.0, 0.02)
        policy = Predictive({A: figures})
        duties.append(policy.advise(view(0.0, 52.0)).duties[A])
    assert 1.0 > duties[0] > duties[1] > duties[2]
    usual = Predictive().advise(view(0.0, 52.0)).duties[A]
    assert duties[1] == pytest.approx(usual)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.01, 0.5, 1.0, 1.7, 20.0, 90.0, -0.4, -50.0]),
        st.lists(st.none() | st.floats(-20.0, 125.0), min_size=5, max_size=5),
        st.sets(st.integers(1, 5), max_size=3),
        st.sets(st.integers(1, 5), max_size=2),
        st.floats(0.0, 1.0),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=examples(150))
@given(sticks=st.integers(0, 5), size=st.integers(0, 3), steps=STEPS)
def test_whatever_happens(sticks: int, size: int, steps: list[tuple[float, list[float | None], set[int], set[int], float]]) -> None:
    """Never a hot or absent stick, never more work than K sticks can do, duties within bounds, one story one advice."""
    one, same = Predictive(), Predictive()
    now_s = worked_s = 0.0
    for dt_s, readings_c, hot, away, work in steps:
        now_s, worked_s = now_s + dt_s, worked_s + work * abs(dt_s)
        seen = view(now_s, *readings_c[:sticks], size=size, hot=tuple(hot), away=tuple(away), worked_s=worked_s)
        advice = one.advise(seen)
        assert set(advice.duties) <= {stick.id for stick in seen.sticks if stick.usable and not stick.hot}
        assert all(LEAST_DUTY <= duty <= 1.0 for duty in advice.duties.values())
        assert not size or sum(advice.duties.values()) <= size + 1e-9
        assert advice.next_s is not None
        assert now_s < advice.next_s <= now_s + 1.0
        assert same.advise(seen) == advice


def kept(result: Result) -> None:
    assert (result.over_s, result.throttle_events, result.switches) == (0.0, 0, 0)
    assert result.hottest_c <= 65.0


@pytest.mark.slow
@pytest.mark.parametrize(("sticks", "size", "ramp_s"), [(3, 1, 0.0), (2, 1, 300.0)])
def test_unknown_sticks_stay_under_the_limit_at_nearly_the_best_rate_when_the_air_warms_up(
    sticks: int, size: int, ramp_s: float
) -> None:
    """15 K at once and in five minutes while all are at the limit, then a cold stick."""
    result = Trial(scenario.step(sticks, size, ramp_s=ramp_s), "predictive", 3).run()
    kept(result)
    assert result.steady_share >= 0.965
    assert result.gap_s <= 1.5


@pytest.mark.slow
def test_calibrated_sticks_stay_under_the_limit_too() -> None:
    story = scenario.step(2, 1)._replace(until_s=5400.0, plugged_s=0.0, judged_s=600.0)
    result = Trial(story, "predictive", 3, calibrated=True).run()
    kept(result)
    assert result.steady_share >= 0.965


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jump", "late", "stuck"])
def test_scenarios_that_the_model_does_not_have_are_safe(name: str) -> None:
    result = Trial(UNLIKE[name](2, 1)._replace(until_s=4500.0), "predictive", 5).run()
    assert result.hottest_c <= 65.5
    assert result.throttle_events == 0
    assert result.steady_share >= 0.5


@pytest.mark.slow
def test_sensors_that_fail_at_the_limit_harm_neither_their_sticks_nor_the_others() -> None:
    """One freezes and one falls silent ten minutes before the air warms up by 15 K; two of four sticks are left."""
    sensors = Sensors(faults=(Fault(0, 3000.0, "frozen"), Fault(1, 3000.0, "nan")))
    story = scenario.step(4, 0)._replace(sensors=sensors, until_s=4500.0, plugged_s=0.0, judged_s=600.0)
    result = Trial(story, "predictive", 4).run()
    kept(result)
    assert result.steady_share >= 0.45
