"""What the core believes of a stick's temperature."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.core.zone import AGEING_C_PER_S, FRESH_S, UNKNOWN_S, Zone


def zone(sensor: bool = True) -> Zone:
    new = Zone(65.0)
    new.open(sensor)
    return new


def is_hot(stick: Zone, now_s: float) -> bool:
    """As of now."""
    stick.update(now_s)
    return stick.is_hot


def test_hot_at_the_limit_and_cool_again_three_below() -> None:
    seen, stick = [], zone()
    for now_s, value_c in enumerate((64.9, 65.0, 64.0, 62.1, 62.0, 64.9, 65.1)):
        stick.read(value_c, float(now_s))
        seen.append(is_hot(stick, float(now_s)))
    assert seen == [False, True, True, True, False, False, True]


@pytest.mark.parametrize("value_c", [None, math.nan, math.inf, -math.inf, -89.7, -20.1, 125.1, 200.0])
def test_nonsense_counts_as_hot_and_is_forgotten_with_the_next_cool_reading(value_c: float | None) -> None:
    stick = zone()
    stick.read(50.0, 0.0)
    stick.read(value_c, 1.0)
    assert is_hot(stick, 1.0)
    assert stick.temperature_c(1.0) is None
    stick.read(50.0, 2.0)
    assert not is_hot(stick, 2.0)


def test_after_nonsense_a_reading_between_the_two_limits_is_not_trusted_yet() -> None:
    stick = zone()
    stick.read(math.nan, 0.0)
    stick.read(63.0, 1.0)
    assert is_hot(stick, 1.0)


def test_an_old_reading_has_risen_meanwhile_and_is_unknown_in_the_end() -> None:
    stick = zone()
    stick.read(60.0, 0.0)
    assert stick.temperature_c(FRESH_S) == 60.0
    assert stick.temperature_c(5.0) == pytest.approx(60.0 + 5.0 * AGEING_C_PER_S)
    assert not is_hot(stick, 9.0)
    assert is_hot(stick, 9.3)
    cold = zone()
    cold.read(20.0, 0.0)
    assert not is_hot(cold, UNKNOWN_S)
    assert is_hot(cold, UNKNOWN_S + 0.01)
    assert cold.temperature_c(UNKNOWN_S + 0.01) is None


@given(st.lists(st.tuples(st.floats(0, 1000), st.one_of(st.none(), st.floats(allow_nan=True))), max_size=20))
def test_without_a_sensor_it_is_never_hot(readings: list[tuple[float, float | None]]) -> None:
    stick = zone(sensor=False)
    now_s = 0.0
    for dt_s, value_c in readings:
        now_s += dt_s
        stick.read(value_c, now_s)
        assert not is_hot(stick, now_s)
    assert stick.has_reading


@given(st.lists(st.tuples(st.floats(0.01, 20), st.floats(-20, 125)), min_size=1, max_size=20), st.floats(0, 30))
def test_it_says_exactly_when_it_will_be_hot_if_nothing_more_is_heard(readings: list[tuple[float, float]], wait_s: float) -> None:
    stick, now_s = zone(), 0.0
    for dt_s, value_c in readings:
        now_s += dt_s
        stick.read(value_c, now_s)
    deadline_s, was_hot = stick.deadline_s, is_hot(stick, now_s)
    assert was_hot or deadline_s is not None
    if deadline_s is not None and now_s + wait_s < deadline_s - 1e-6:
        assert not is_hot(stick, now_s + wait_s)
    elif deadline_s is not None:
        assert is_hot(stick, max(now_s + wait_s, deadline_s) + 1e-6)


def test_being_hot_outlives_the_process_that_measured_it() -> None:
    stick = zone()
    stick.read(70.0, 0.0)
    stick.open(True)
    assert not stick.has_reading
    stick.read(63.0, 1.0)
    assert is_hot(stick, 1.0)


def test_it_says_whether_it_is_too_hot_still_too_hot_or_silent() -> None:
    stick = zone()
    stick.read(65.2, 0.0)
    assert is_hot(stick, 0.0)
    assert stick.hot_reason(0.0) == "is too hot (65.2 °C)"
    stick.read(65.0, 0.5)
    assert stick.hot_reason(0.5) == "is too hot (65.0 °C)"
    stick.read(64.2, 1.0)
    assert is_hot(stick, 1.0)
    assert stick.hot_reason(1.0) == "is still too hot (64.2 °C)"
    assert stick.hot_reason(1.0 + UNKNOWN_S + 0.01) == "reports no temperature"


def test_headroom_is_the_time_to_the_limit_at_the_present_rise() -> None:
    stick = zone()
    for now_s in range(60):
        stick.read(30.0 + 0.5 * now_s, float(now_s))
    assert stick.headroom_s(59.0) == pytest.approx((65.0 - 59.5) / 0.5, rel=0.1)
    cooling = zone()
    for now_s in range(60):
        cooling.read(60.0 - 0.5 * now_s, float(now_s))
    assert cooling.headroom_s(59.0) is None


def test_a_new_zone_has_no_sensor_and_is_cool() -> None:
    stick = Zone(65.0)
    assert (stick.switch_temp_c, stick.has_sensor, stick.has_reading, is_hot(stick, 0.0)) == (65.0, False, True, False)
    assert (stick.temperature_c(0.0), stick.age_s(0.0), stick.deadline_s, stick.headroom_s(0.0)) == (None, None, None, None)
    assert stick.hot_reason(0.0) == "reports no temperature"
    stick.read(40.0, 100.0)
    stick.read(45.0, 105.0)
    assert stick.headroom_s(105.0) == pytest.approx(20.0 / 0.5)


@pytest.mark.parametrize(("value_c", "valid"), [(-20.001, False), (-20.0, True), (125.0, True), (125.001, False)])
def test_readings_are_valid_from_minus_20_to_125_degrees(value_c: float, valid: bool) -> None:
    stick = zone()
    stick.read(value_c, 1.0)
    assert (stick.temperature_c(1.0), stick.age_s(3.5), stick.has_reading) == (value_c if valid else None, 2.5, True)
    assert (stick.temperature_c(5.0) is None) is not valid


@pytest.mark.parametrize(
    ("age_s", "believed_c"), [(0.0, 40.0), (2.0, 40.0), (2.5, 40.0 + 0.54 * 2.5), (15.0, 40.0 + 0.54 * 15.0), (15.001, None)]
)
def test_a_reading_is_believed_as_it_is_for_two_seconds_and_aged_for_fifteen(age_s: float, believed_c: float | None) -> None:
    stick = zone()
    stick.read(40.0, 10.0)
    assert stick.temperature_c(10.0 + age_s) == pytest.approx(believed_c)


@pytest.mark.parametrize(
    ("value_c", "deadline_s"), [(64.9, 12.0), (60.0, 10.0 + 5.0 / 0.54), (20.0, 25.0), (65.0, None), (None, None)]
)
def test_the_time_of_the_trip_is_that_of_the_aged_reading_within_2_and_15_seconds(
    value_c: float | None, deadline_s: float | None
) -> None:
    stick = zone()
    assert stick.deadline_s is None, "nothing was read"
    stick.read(value_c, 10.0)
    assert stick.deadline_s == pytest.approx(deadline_s)


def test_without_a_sensor_neither_a_reading_nor_its_firmware_makes_it_hot() -> None:
    stick = zone(sensor=False)
    stick.read(70.0, 10.0)
    stick.throttle(2)
    assert (stick.is_hot, is_hot(stick, 10.0)) == (False, False)


def test_without_a_sensor_there_is_no_time_of_the_trip() -> None:
    stick = zone(sensor=False)
    stick.read(60.0, 10.0)
    assert stick.deadline_s is None


def test_a_stick_that_is_opened_again_has_forgotten_all_but_that_it_was_hot() -> None:
    stick = zone()
    stick.read(40.0, 0.0)
    stick.read(70.0, 10.0)
    stick.throttle(2)
    stick.open(True)
    assert (stick.has_reading, stick.temperature_c(10.0), stick.age_s(10.0), stick.deadline_s) == (False, None, None, None)
    stick.read(64.0, 11.0)
    assert (is_hot(stick, 11.0), stick.headroom_s(11.0), stick.hot_reason(11.0)) == (True, None, "is still too hot (64.0 °C)")
    stick.open(False)
    stick.open(True)
    stick.read(64.0, 12.0)
    assert is_hot(stick, 12.0) is False, "without a sensor it is not hot, and that is remembered too"


def test_a_zone_that_was_never_read_is_hot_where_it_has_a_sensor() -> None:
    stick = zone()
    assert (is_hot(stick, 0.0), stick.hot_reason(0.0)) == (True, "reports no temperature")


@pytest.mark.parametrize(("level", "hot"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_stick_that_its_firmware_throttles_at_level_2_is_hot_whatever_it_reads(level: int, hot: bool) -> None:
    stick = zone()
    stick.read(40.0, 0.0)
    stick.throttle(level)
    assert is_hot(stick, 0.0) is hot
    if hot:
        assert stick.hot_reason(0.0) == "is too hot: its firmware throttles it"
    stick.throttle(0)
    assert is_hot(stick, 0.0) is False


@pytest.mark.parametrize(
    ("first", "then", "headroom_s"),
    [
        ((40.0, 100.0), (45.0, 105.0), 20.0 / 0.5),
        ((40.0, 100.0), (45.0, 110.0), 20.0 / 0.5),
        ((40.0, 100.0), (50.0, 120.0), 15.0 / 0.5),
        ((40.0, 100.0), (70.0, 110.0), 0.0),
        ((0.0, 0.0), (0.25, 25.0), 64.75 / 0.01),
        ((0.0, 0.0), (0.24, 25.0), None),
        ((40.0, 0.0), (45.0, 0.0), None),
    ],
)
def test_the_rise_is_averaged_over_ten_seconds(
    first: tuple[float, float], then: tuple[float, float], headroom_s: float | None
) -> None:
    stick = zone()
    stick.read(*first)
    stick.read(*then)
    assert stick.headroom_s(then[1]) == pytest.approx(headroom_s)


def test_a_reading_after_an_invalid_one_does_not_change_the_rise() -> None:
    stick = zone()
    stick.read(40.0, 0.0)
    stick.read(45.0, 10.0)
    stick.read(None, 11.0)
    assert stick.headroom_s(11.0) is None
    stick.read(60.0, 12.0)
    stick.read(60.5, 13.0)
    assert stick.headroom_s(13.0) == pytest.approx(4.5 / 0.5)


def test_being_hot_is_as_of_the_last_update_and_asking_changes_nothing() -> None:
    stick = zone()
    stick.read(64.0, 0.0)
    asked = stick.is_hot, stick.is_hot, stick.temperature_c(10.0), stick.hot_reason(10.0), stick.is_hot
    assert asked == (False, False, pytest.approx(64.0 + 0.54 * 10.0), "is too hot (69.4 °C)", False)
    stick.update(10.0)
    assert (stick.is_hot, stick.deadline_s) == (True, None)
    stick.update(0.0)
    assert stick.is_hot is True, "64 °C are between the two limits"


def test_a_reading_is_judged_at_once_and_an_old_one_at_the_next_update() -> None:
    stick = zone()
    stick.read(65.0, 0.0)
    assert stick.is_hot is True
    stick.read(62.0, 1.0)
    assert stick.is_hot is False
    stick.update(1.0 + UNKNOWN_S + 0.01)
    assert stick.is_hot is True


def test_another_switch_temperature_counts_from_the_next_update_on() -> None:
    stick = zone()
    stick.read(60.0, 0.0)
    stick.switch_temp_c = 55.0
    assert (stick.is_hot, is_hot(stick, 0.0), stick.hot_reason(0.0)) == (False, True, "is too hot (60.0 °C)")
    stick.switch_temp_c = 63.0
    assert is_hot(stick, 0.0) is False


def test_the_newest_reading_is_told_as_it_came_and_when_it_is_valid() -> None:
    stick = zone()
    assert (stick.reading_c, stick.read_s) == (None, None)
    stick.read(50.0, 3.0)
    stick.update(9.0)
    assert (stick.reading_c, stick.read_s) == (50.0, 3.0), "not aged"
    stick.read(math.nan, 10.0)
    assert (stick.reading_c, stick.read_s) == (None, None)
