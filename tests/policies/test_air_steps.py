"""The matched filter for steps of the air, against steps whose scores are known."""

from __future__ import annotations

import random

import pytest

from ncs_cluster.policies._air_steps import AGES_S, AirSteps, case_share, die_share
from ncs_cluster.thermal import Heat, Plant

INFO = 2.0


def after_a_step(rise_k: float, age_s: int, *, before_s: int = 200, error_k: float = 0.0, seed: int = 1) -> AirSteps:
    """What scores say when each reading is off by what a die has got of the step, and by a normal error of variance 1 / INFO."""
    steps, chance = AirSteps(), random.Random(seed)
    for second in range(-before_s, age_s):
        off_k = rise_k * die_share(second + 1) if second >= 0 else 0.0
        steps.add((off_k + error_k * chance.gauss(0.0, INFO**-0.5)) * INFO, INFO)
    return steps


@pytest.mark.parametrize("after_s", [1.0, 30.0, 110.0])
def test_the_shares_of_a_step_are_those_of_the_thermal_model(after_s: float) -> None:
    heat = Plant().step(Heat(25.0, 25.0), after_s, 0.0, 35.0)
    still = Plant().step(Heat(25.0, 25.0), after_s, 0.0, 25.0)
    assert die_share(after_s) == pytest.approx((heat.die_c - still.die_c) / 10.0)
    assert case_share(after_s) == pytest.approx((heat.case_c - still.case_c) / 10.0)


@pytest.mark.parametrize("age_s", AGES_S)
@pytest.mark.parametrize("rise_k", [15.0, -8.0])
def test_a_step_of_a_known_age_is_found_in_its_size(age_s: int, rise_k: float) -> None:
    found = {step.age_s: step for step in after_a_step(rise_k, age_s).steps}
    assert found[age_s].rise_k == pytest.approx(rise_k)
    information = sum(INFO * die_share(since) ** 2 for since in range(1, age_s + 1))
    assert found[age_s].sigma_k == pytest.approx(information**-0.5)


def test_the_clearest_step_has_the_sign_and_about_the_age_of_the_true_one() -> None:
    for rise_k in (30.0, -30.0):
        sigmas, step = after_a_step(rise_k, 60, error_k=1.0).clearest() or (0.0, None)
        assert step is not None
        assert sigmas * rise_k > 0
        assert abs(sigmas) > 5.0
        assert 45 <= step.age_s <= 80


def test_a_step_that_no_air_can_make_is_not_certain() -> None:
    sigmas, _ = after_a_step(35.0, 60).clearest() or (0.0, None)
    assert sigmas > 5.0
    assert after_a_step(-400.0, 110).clearest() is None


def test_without_a_step_it_is_rarely_sure_of_one() -> None:
    clear = 0
    for seed in range(200):
        sigmas, _ = after_a_step(0.0, 110, before_s=0, error_k=1.0, seed=seed).clearest() or (0.0, None)
        clear += abs(sigmas) > 4.0
    assert clear <= 2


def test_the_rise_still_to_come_is_that_of_the_part_that_is_likely() -> None:
    steps = after_a_step(15.0, 27)
    step = next(step for step in steps.steps if step.age_s == 27)
    assert steps.rise_k(20.0, 0.0) >= 15.0 * die_share(47.0) - 1e-9
    assert steps.rise_k(20.0, 1.8) >= (15.0 - 1.8 * step.sigma_k) * die_share(47.0) - 1e-9
    assert steps.rise_k(20.0, 1000.0) == 0.0
    assert after_a_step(-15.0, 27).rise_k(20.0, 1.0) == 0.0, "colder air is no reason for caution"


def test_before_any_reading_and_after_clearing_nothing_is_found() -> None:
    steps = AirSteps()
    assert (steps.clearest(), steps.rise_k(40.0, 1.0)) == (None, 0.0)
    steps.add(0.0, 0.0)
    assert steps.clearest() is None, "a second without a reading"
    steps = after_a_step(15.0, 60)
    steps.clear()
    assert (steps.clearest(), steps.rise_k(40.0, 1.0)) == (None, 0.0)
