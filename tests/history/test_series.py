"""Statuses summed up to minutes."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ncs_cluster.history.series import KINDS, Minute, Minutes, Series
from ncs_cluster.status import Status
from ncs_cluster.testing.control import full_status, some_status

DIE = Series("temperature", "sim-1")
SWITCHES = Series("switches", "")


def with_temperature(celsius: float | None) -> Status:
    status = some_status(sticks=1)
    return replace(status, sticks=[replace(status.sticks[0], temperature_c=celsius)])


def with_switches(count: int) -> Status:
    status = some_status()
    return replace(status, clusters=replace(status.clusters, switches=count))


def only(minutes: list[Minute], series: Series) -> list[Minute]:
    return [each for each in minutes if each.series == series]


def after_a_minute(statuses: list[Status]) -> list[Minute]:
    """The statuses of one minute, and one more that ends it."""
    minutes = Minutes()
    for number, status in enumerate(statuses):
        assert minutes.add(status, 100.0 + number * 59.0 / len(statuses)) == []
    return minutes.add(statuses[-1], 160.0)


@given(st.lists(st.floats(-40, 120), min_size=1, max_size=30))
def test_a_minute_has_the_lowest_the_mean_and_the_highest_of_its_statuses(values: list[float]) -> None:
    (minute,) = only(after_a_minute([with_temperature(value) for value in values]), DIE)
    assert minute.ended_s == 160.0
    assert (minute.low, minute.high) == (round(min(values), 2), round(max(values), 2))
    assert math.isclose(minute.mean, statistics.fmean(values), abs_tol=0.006)


def test_a_temperature_that_is_unknown_is_left_out() -> None:
    (minute,) = only(after_a_minute([with_temperature(50.0), with_temperature(None), with_temperature(60.0)]), DIE)
    assert minute[2:] == (50.0, 55.0, 60.0)
    assert only(after_a_minute([with_temperature(None)]), DIE) == []


@pytest.mark.parametrize(
    ("counter", "switches"),
    [
        ([7, 7, 7], []),
        ([7, 8, 8], [1.0]),
        ([7, 9, 12], [5.0]),
        # the counter begins anew
        ([7, 8, 0], [1.0]),
    ],
)
def test_switches_are_counted_within_the_minute(counter: list[int], switches: list[float]) -> None:
    found = only(after_a_minute([with_switches(count) for count in counter]), SWITCHES)
    assert [each.mean for each in found] == switches


def test_a_switch_between_two_minutes_belongs_to_the_second() -> None:
    minutes = Minutes()
    minutes.add(with_switches(7), 0.0)
    assert only(minutes.add(with_switches(8), 60.0), SWITCHES) == []
    assert [each.mean for each in only(minutes.end(80.0), SWITCHES)] == [1.0]


def test_the_end_takes_what_there_is_of_the_minute() -> None:
    minutes = Minutes()
    assert minutes.end(5.0) == []
    minutes.add(with_temperature(50.0), 10.0)
    assert [(each.ended_s, each.mean) for each in only(minutes.end(12.0), DIE)] == [(12.0, 50.0)]
    assert minutes.end(13.0) == []


def test_every_kind_is_found_in_a_full_status() -> None:
    status = full_status()
    machine = status.machine
    assert machine is not None
    later = replace(
        status,
        machine=replace(machine, ambient_c=22.0),
        clusters=replace(status.clusters, switches=status.clusters.switches + 1),
    )
    found = {each.series.kind for each in after_a_minute([status, later])}
    assert found == set(KINDS)
