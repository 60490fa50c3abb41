"""The change point of inference times: steps are found, noise is not taken for one."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.core.change_point import ALLOWANCE, BLOCK, LEARNED, ChangePoint

USUAL_S = 0.05
LEARNING = BLOCK * LEARNED[-1]
"""Inferences until the baseline stands."""


def learned(*, usual_s: float = USUAL_S, inferences: int = LEARNING, noise: Callable[[], float] = lambda: 1.0) -> ChangePoint:
    point = ChangePoint()
    for _ in range(inferences):
        point.add(usual_s * noise())
    return point


def until_slower(point: ChangePoint, took_s: Callable[[], float], most: int) -> int | None:
    """How many inferences it takes until the time counts as risen; None: more than `most`."""
    for count in range(1, most + 1):
        point.add(took_s())
        if point.slower:
            return count
    return None


def heavy(kind: str, chance: random.Random) -> Callable[[], float]:
    """Factors of stationary noise on the time of an inference."""
    kinds: dict[str, Callable[[], float]] = {
        "normal": lambda: math.exp(chance.gauss(0.0, 0.05)),
        "a third tenfold": lambda: 10.0 if chance.random() < 0.3 else math.exp(chance.gauss(0.0, 0.02)),
        "Pareto delays": lambda: 1.0 + 0.05 * (chance.paretovariate(1.2) - 1.0),
        "exponential delays": lambda: 1.0 + chance.expovariate(5.0),
        "Student's t": lambda: math.exp(0.05 * chance.gauss(0.0, 1.0) / math.sqrt(chance.gammavariate(1.5, 2.0) / 3.0)),
    }
    return kinds[kind]


HEAVY = ["normal", "a third tenfold", "Pareto delays", "exponential delays", "Student's t"]


def test_nothing_is_said_before_the_baseline_is_known() -> None:
    point = ChangePoint()
    said = [point.add(USUAL_S) for _ in range(BLOCK * LEARNED[0])]
    assert said == [False] * (BLOCK * LEARNED[0] - 1) + [True]
    assert (point.learned, point.slower, point.as_usual, point.excess) == (True, False, False, 0.0)
    assert point.usual_s == pytest.approx(USUAL_S)


@given(
    usual_s=st.floats(0.001, 2.0),
    factor=st.floats(1.2, 300.0),
    shift=st.integers(0, 3),
    inferences=st.sampled_from([BLOCK * LEARNED[0], LEARNING]),
)
def test_a_step_of_a_fifth_or_more_is_found_within_twenty_eight_inferences(
    usual_s: float, factor: float, shift: int, inferences: int
) -> None:
    point = learned(usual_s=usual_s, inferences=inferences + shift)
    found = until_slower(point, lambda: factor * usual_s, 28)
    assert found is not None
    assert found >= 5 * BLOCK - shift, "five blocks at least, so that a few late answers are no alarm"
    assert point.excess == pytest.approx(math.log(factor), rel=0.01)


@given(factor=st.floats(0.1, 1.08))
def test_a_step_of_less_than_a_tenth_is_none(factor: float) -> None:
    assert until_slower(learned(), lambda: factor * USUAL_S, 2000) is None


@given(kind=st.sampled_from(HEAVY), seed=st.integers(0, 2**32 - 1), factor=st.floats(1.5, 4.0))
def test_a_step_of_a_half_is_found_within_sixty_inferences_in_noise_too(kind: str, seed: int, factor: float) -> None:
    noise = heavy(kind, random.Random(seed))
    point = learned(noise=noise)
    assert until_slower(point, lambda: factor * USUAL_S * noise(), 60) is not None


@pytest.mark.parametrize("kind", HEAVY)
def test_heavy_noise_is_taken_for_a_step_less_than_once_in_ten_thousand_inferences(kind: str) -> None:
    """In forty streams of 2,000 inferences after the baseline."""
    alarms = 0
    for seed in range(40):
        noise = heavy(kind, random.Random(seed))
        point = learned(noise=noise)
        was = False
        for _ in range(2000):
            point.add(USUAL_S * noise())
            alarms, was = alarms + (point.slower and not was), point.slower
    assert alarms < 8


def test_late_answers_of_a_busy_host_are_no_step_but_jitter() -> None:
    chance = random.Random(7)
    point = learned(noise=lambda: 1.0 + 0.01 * chance.random())
    assert not point.jitters
    late = until_slower(point, lambda: USUAL_S * (1.0 if chance.random() < 0.5 else 1.0 + 4.0 * chance.random()), 400)
    assert (late, point.jitters) == (None, True)


@pytest.mark.parametrize("busy_from", [0, 600])
def test_answers_that_are_read_late_shorten_the_next_ones_and_change_nothing(busy_from: int) -> None:
    """Requests wait on the device, and a busy host reads answers late, several at once: before the baseline is known or after."""
    chance = random.Random(5)
    point, ended_s, read_s = ChangePoint(queued=True), 0.0, 0.0
    for number in range(2000):
        ended_s += USUAL_S
        delay_s = chance.choice((0.0, 0.02, 0.2)) if busy_from <= number < 1200 else 0.0
        before_s, read_s = read_s, max(read_s + 1e-5, ended_s + delay_s)
        point.add(read_s - before_s)
        assert not (point.slower and (number >= 1300 or not point.jitters)), number
    assert point.usual_s == pytest.approx(USUAL_S, rel=0.09)


def test_a_slower_device_does_not_jitter() -> None:
    point = learned()
    assert until_slower(point, lambda: 3 * USUAL_S, 28) is not None
    assert not point.jitters


def test_it_is_as_usual_again_within_twelve_inferences_of_its_return() -> None:
    point = learned()
    for _ in range(400):
        point.add(2 * USUAL_S)
    assert (point.slower, point.as_usual) == (True, False)
    for _ in range(12):
        point.add(USUAL_S)
    assert point.as_usual
    for _ in range(8):
        point.add(USUAL_S)
    assert not point.slower


def test_a_baseline_learned_from_a_slow_device_falls_when_it_becomes_faster() -> None:
    point = learned(usual_s=3 * USUAL_S)
    for _ in range(40):
        point.add(USUAL_S)
    assert point.usual_s == pytest.approx(USUAL_S)
    assert until_slower(point, lambda: 1.3 * USUAL_S, 28) is not None


def test_a_time_that_is_accepted_is_the_usual_one() -> None:
    point = learned()
    for _ in range(40):
        point.add(2 * USUAL_S)
    point.accept()
    assert (point.slower, point.usual_s) == (False, pytest.approx(2 * USUAL_S))
    assert until_slower(point, lambda: 2 * USUAL_S, 200) is None


def test_a_borrowed_baseline_is_as_usual_within_its_allowance() -> None:
    point = ChangePoint.like(learned(), math.log(1.3))
    assert (point.learned, point.usual_s, point.allowance) == (True, pytest.approx(USUAL_S), math.log(1.3))
    for _ in range(3 * BLOCK):
        point.add(1.25 * USUAL_S)
    assert point.as_usual
    for _ in range(5 * BLOCK):
        point.add(1.35 * USUAL_S)
    assert not point.as_usual


def test_the_allowance_grows_with_the_spread_of_the_times() -> None:
    chance = random.Random(3)
    assert learned().allowance == ALLOWANCE
    assert learned(noise=lambda: math.exp(chance.gauss(0.0, 0.3))).allowance > 0.15
