"""When a stick that is to be calibrated may work."""

from __future__ import annotations

import pytest

from ncs_cluster.errors import StickError
from ncs_cluster.processes.heated import Guard


def told(guard: Guard, *readings: float | None, level: int = 0) -> list[bool]:
    found = []
    for second, value_c in enumerate(readings):
        guard.read(value_c, level, float(second), working=True)
        found.append(guard.cool)
    return found


def test_it_rests_two_kelvin_under_the_limit_and_works_again_ten_kelvin_lower() -> None:
    assert told(Guard(65.0), 60.0, 62.9, 63.0, 62.0, 53.1, 53.0, 62.0) == [True, True, False, False, False, True, True]


@pytest.mark.parametrize("value_c", [None, -89.7, 255.0])
def test_it_rests_without_a_reading_that_can_be_one(value_c: float | None) -> None:
    assert told(Guard(65.0), 40.0, value_c, 60.0, 50.0) == [True, False, False, True]


def test_it_rests_when_its_firmware_throttles_it() -> None:
    guard = Guard(90.0)
    assert told(guard, 70.0, level=1) == [False]


def test_a_sensor_that_does_not_see_the_work_ends_the_calibration() -> None:
    guard = Guard(65.0)
    for second in range(121):
        guard.read(40.0 + second % 3, 0, float(second), working=True)
    with pytest.raises(StickError, match="does not warm up"):
        guard.read(42.0, 0, 121.0, working=True)


def steady(*, falls: bool) -> list[int]:
    """A stick that warms up to 48 C and stays so; the seconds at which it worked."""
    guard, value_c, worked = Guard(65.0), 40.0, []
    for second in range(600):
        guard.read(value_c, 0, float(second), working=True)
        if guard.cool:
            worked.append(second)
        if guard.cool or falls:
            value_c = min(48.0, value_c + 1.0) if guard.cool else value_c - 1.0
    return worked


def test_a_sensor_that_says_the_same_for_long_is_tried_by_a_rest_in_which_it_has_to_fall() -> None:
    worked = steady(falls=True)
    assert worked[:129] == list(range(129))
    assert worked[129] == 132
    assert len(worked) > 580


def test_a_sensor_that_freezes_at_work_ends_the_calibration() -> None:
    with pytest.raises(StickError, match="does not cool down"):
        steady(falls=False)


def test_at_rest_a_steady_sensor_is_as_it_should_be() -> None:
    guard = Guard(65.0)
    for second in range(1000):
        guard.read(40.0, 0, float(second), working=False)
    assert guard.cool
