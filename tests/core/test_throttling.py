"""What follows for one stick that throttles: times in, ceiling and duty out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.core.throttling import CEILING_S, CUT, CUT_S, LEAST_DUTY, NOT_HEAT_S, Throttling

TRIP_C = 65.0


def working(share: float = 1.0, for_s: float = 120.0) -> Throttling:
    """A stick that has worked for this share of the first `for_s` seconds."""
    throttling = Throttling()
    for second in range(int(for_s) + 1):
        throttling.follow_work(share * second, float(second))
    return throttling


def test_nothing_is_limited_at_first() -> None:
    throttling = Throttling()
    assert (throttling.ceiling_c, throttling.duty, throttling.since_s) == (None, 1.0, None)
    assert throttling.tick(TRIP_C, 1000.0) is False
    assert (throttling.ceiling_c, throttling.duty) == (None, 1.0)


def test_with_a_sensor_the_ceiling_is_a_kelvin_less_than_the_reading() -> None:
    throttling = working()
    assert throttling.began(64.0, TRIP_C, 200.0, has_sensor=True) == "at 64.0 °C: no frame from 63.0 °C on"
    assert (throttling.ceiling_c, throttling.duty, throttling.since_s) == (63.0, 1.0, 200.0)
    throttling.ended(260.0)
    assert (throttling.ceiling_c, throttling.since_s) == (63.0, None)


def test_a_stick_that_is_still_slow_after_a_minute_has_throttled_at_less() -> None:
    throttling = working()
    throttling.began(64.0, TRIP_C, 200.0, has_sensor=True)
    throttling.goes_on(62.5, TRIP_C, 200.0 + CUT_S - 1, has_sensor=True)
    assert throttling.ceiling_c == 63.0
    throttling.goes_on(62.5, TRIP_C, 200.0 + CUT_S, has_sensor=True)
    assert throttling.ceiling_c == 61.5


@pytest.mark.parametrize(
    ("reading_c", "follows"),
    [
        (49.9, "at 49.9 °C, so not by heat"),
        (None, "its temperature is unknown"),
        (66.0, "at 66.0 °C"),
    ],
)
def test_a_reading_that_explains_nothing_lowers_nothing(reading_c: float | None, follows: str) -> None:
    throttling = working()
    assert throttling.began(reading_c, TRIP_C, 200.0, has_sensor=True) == follows
    assert (throttling.ceiling_c, throttling.duty) == (None, 1.0)
    throttling.goes_on(reading_c, TRIP_C, 400.0, has_sensor=True)
    assert throttling.tick(TRIP_C, 200.0 + NOT_HEAT_S) is False


def test_the_ceiling_rises_after_an_hour_and_after_twice_the_time_when_that_was_wrong() -> None:
    throttling = working()
    throttling.began(64.0, TRIP_C, 0.0, has_sensor=True)
    throttling.ended(60.0)
    throttling.tick(TRIP_C, CEILING_S - 1)
    assert throttling.ceiling_c == 63.0
    throttling.tick(TRIP_C, CEILING_S)
    assert throttling.ceiling_c == 64.0
    throttling.began(64.0, TRIP_C, CEILING_S + 100.0, has_sensor=True)
    throttling.ended(CEILING_S + 200.0)
    throttling.tick(TRIP_C, 3 * CEILING_S + 99.0)
    assert throttling.ceiling_c == 63.0
    throttling.tick(TRIP_C, 3 * CEILING_S + 100.0)
    assert throttling.ceiling_c == 64.0
    throttling.tick(TRIP_C, 5 * CEILING_S + 100.0)
    assert throttling.ceiling_c is None, "the switch temperature holds again"


def test_without_a_sensor_the_duty_is_cut_to_a_part_of_the_work_done_and_again_while_it_stays_slow() -> None:
    throttling = working(0.5)
    assert throttling.began(None, TRIP_C, 120.0, has_sensor=False) == "works 35 % of the time until it is faster"
    assert throttling.duty == pytest.approx(CUT * 0.5)
    throttling.tick(TRIP_C, 120.0 + CUT_S - 0.1)
    assert throttling.duty == pytest.approx(CUT * 0.5)
    throttling.tick(TRIP_C, 120.0 + CUT_S)
    assert throttling.duty == pytest.approx(CUT * CUT * 0.5)


def test_the_duty_rises_soon_to_nine_tenths_of_the_bound_and_then_with_care() -> None:
    throttling = working()
    throttling.began(None, TRIP_C, 120.0, has_sensor=False)
    throttling.ended(150.0)
    seen = [(150.0 + second, throttling.duty) for second in range(3600) if not throttling.tick(TRIP_C, 150.0 + second)]
    nine_tenths_s = next(at_s for at_s, duty in seen if duty >= 0.9 - 1e-9)
    assert nine_tenths_s == pytest.approx(150.0 + 10 * 20.0, abs=2.0)
    assert next(at_s for at_s, duty in seen if duty >= 0.95) == pytest.approx(nine_tenths_s + 10 * 60.0, abs=62.0)
    assert throttling.duty == 1.0


def test_each_slowdown_at_a_known_bound_doubles_the_care() -> None:
    throttling, now_s, waits_s = working(), 120.0, []
    for _ in range(4):
        throttling.began(None, TRIP_C, now_s, has_sensor=False)
        throttling.ended(now_s + 30.0)
        now_s, risen = now_s + 30.0, list[tuple[float, float]]()
        while len(risen) < 20:
            now_s, before = now_s + 1.0, throttling.duty
            throttling.tick(TRIP_C, now_s)
            if throttling.duty > before:
                risen.append((now_s, throttling.duty - before))
        slow_s = [at_s for at_s, rise in risen if rise < 0.01]
        waits_s.append(slow_s[-1] - slow_s[-2])
    assert waits_s == [60.0, 60.0, 120.0, 240.0], "the first slowdown knows no bound"


def test_a_stick_that_is_as_slow_at_rest_is_not_throttled() -> None:
    throttling = working()
    throttling.began(None, TRIP_C, 120.0, has_sensor=False)
    accepted_s = next(second for second in range(121, 5000) if throttling.tick(TRIP_C, float(second)))
    assert accepted_s == 120 + NOT_HEAT_S
    assert (throttling.duty, throttling.since_s) == (1.0, None)


def test_the_work_of_an_earlier_worker_is_not_counted_twice() -> None:
    throttling = working(1.0)
    throttling.follow_work(0.0, 121.0)
    throttling.follow_work(0.2, 122.0)
    throttling.began(None, TRIP_C, 122.0, has_sensor=False)
    assert 0.65 < throttling.duty <= 0.7


@given(
    moves=st.lists(
        st.tuples(st.floats(0.1, 2000.0), st.sampled_from(["begins", "ends", "tick"]), st.floats(0.0, 1.0)), max_size=60
    ),
    has_sensor=st.booleans(),
    reading_c=st.one_of(st.none(), st.floats(-20.0, 125.0)),
)
def test_duty_and_ceiling_stay_within_their_bounds(
    moves: list[tuple[float, str, float]], has_sensor: bool, reading_c: float | None
) -> None:
    throttling, now_s, worked_s = Throttling(), 0.0, 0.0
    for after_s, move, share in moves:
        now_s, worked_s = now_s + after_s, worked_s + share * after_s
        throttling.follow_work(worked_s, now_s)
        before = throttling.duty
        if move == "begins" and throttling.since_s is None:
            throttling.began(reading_c, TRIP_C, now_s, has_sensor=has_sensor)
            assert throttling.duty < before or has_sensor or before == LEAST_DUTY
        elif move == "ends" and throttling.since_s is not None:
            throttling.ended(now_s)
            assert throttling.duty == before
        else:
            throttling.tick(TRIP_C, now_s)
        assert LEAST_DUTY <= throttling.duty <= 1.0
        assert throttling.ceiling_c is None or TRIP_C - 16.0 <= throttling.ceiling_c < TRIP_C
        assert throttling.duty == 1.0 or not has_sensor
