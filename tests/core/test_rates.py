"""Running figures: the exact rate, percentile, mean and deviation after given events."""

from __future__ import annotations

import math

import pytest

from ncs_cluster.core.rates import Latency, Rate, Service
from ncs_cluster.status import LatencyStatus


def rate_of(*times_s: float) -> Rate:
    rate = Rate()
    for when_s in times_s:
        rate.count(when_s)
    return rate


# -- Rate


@pytest.mark.parametrize("times_s", [(), (7.0,), (7.0, 7.0)])
def test_the_rate_is_zero_before_a_second_event_at_a_later_time(times_s: tuple[float, ...]) -> None:
    rate = rate_of(*times_s)
    assert rate.per_s(7.0) == 0.0
    assert rate.per_s(8.0) == 0.0


@pytest.mark.parametrize(("apart_s", "per_s"), [(0.1025, 0.0), (0.1027, 1 / 0.1027), (0.25, 4.0), (2.0, 0.5), (20.0, 0.05)])
def test_two_events_tell_a_rate_once_they_fill_a_twentieth_of_the_average(apart_s: float, per_s: float) -> None:
    """The average is filled by 1 - exp(-t / 2 s): by 0.05 after 0.10259 s."""
    assert rate_of(7.0, 7.0 + apart_s).per_s(7.0 + apart_s) == pytest.approx(per_s)


@pytest.mark.parametrize("events", [3, 10, 100])
def test_a_steady_rate_is_told_exactly_from_the_start(events: int) -> None:
    rate = rate_of(*(7.0 + 0.125 * number for number in range(events)))
    assert rate.per_s(7.0 + 0.125 * (events - 1)) == pytest.approx(8.0)


def test_older_events_fade_with_a_time_constant_of_two_seconds() -> None:
    rate = rate_of(0.0, 1.0, 2.0, 2.5)
    kept, new = math.exp(-0.25), 1 - math.exp(-0.25)
    slow = 1 - math.exp(-1.0)
    assert rate.per_s(2.5) == pytest.approx((slow * kept + new / 0.5) / (1 - math.exp(-1.25)))


@pytest.mark.parametrize(("silent_s", "share"), [(0.0, 1.0), (1.0, 1.0), (3.0, math.exp(-1)), (5.0, math.exp(-2))])
def test_the_rate_falls_after_a_second_without_events(silent_s: float, share: float) -> None:
    assert rate_of(7.0, 7.5, 8.0).per_s(8.0 + silent_s) == pytest.approx(2.0 * share)


def test_events_at_the_same_time_stand_for_a_microsecond_each() -> None:
    # (1 - exp(-1e-6 / 2)) / 1e-6
    one = 0.5
    kept = math.exp(-0.5)
    assert rate_of(7.0, 7.0, 8.0).per_s(8.0) == pytest.approx((one * kept + (1 - kept)) / (1 - kept), rel=1e-5)


# -- Latency


@pytest.mark.parametrize(
    ("seconds", "p50", "p99"),
    [
        ([], None, None),
        ([0.0123], 12.3, 12.3),
        ([0.01236], 12.4, 12.4),
        ([0.002, 0.001], 2.0, 2.0),
        ([0.003, 0.001, 0.002], 2.0, 3.0),
        ([number / 1000 for number in range(100, 0, -1)], 51.0, 100.0),
        ([number / 1000 for number in range(1, 201)], 101.0, 199.0),
    ],
)
def test_latencies_are_told_as_percentiles_in_milliseconds(seconds: list[float], p50: float | None, p99: float | None) -> None:
    latency = Latency()
    for each in seconds:
        latency.add(each)
    assert latency.status() == LatencyStatus(p50, p99)


def test_the_300th_latency_before_the_last_still_counts() -> None:
    latency = Latency()
    for each in [9.0] * 3 + [0.001] * 297:
        latency.add(each)
    assert latency.status() == LatencyStatus(1.0, 9000.0)
    latency.add(0.001)
    assert latency.status() == LatencyStatus(1.0, 1.0)


def test_the_301st_latency_before_the_last_is_forgotten() -> None:
    latency = Latency()
    for each in [0.001] + [0.002] * 150 + [0.003] * 149:
        latency.add(each)
    assert latency.status() == LatencyStatus(2.0, 3.0)
    latency.add(0.003)
    assert latency.status() == LatencyStatus(3.0, 3.0)


def test_the_number_of_latencies_that_count_can_be_chosen() -> None:
    latency = Latency(2)
    for each in (0.009, 0.001, 0.002):
        latency.add(each)
    assert latency.status() == LatencyStatus(2.0, 2.0)


# -- Service


@pytest.mark.parametrize(
    ("seconds", "mean_s", "deviation_s"),
    [
        ([], None, 0.0),
        ([0.1], 0.1, 0.025),
        ([0.1, 0.18], 0.11, 0.03875),
        ([0.1, 0.02], 0.09, 0.03875),
        ([0.1, 0.1], 0.1, 0.01875),
        ([0.1, 0.18, 0.03], 0.1, 0.0490625),
    ],
)
def test_the_time_of_service_is_a_mean_and_a_mean_deviation(seconds: list[float], mean_s: float | None, deviation_s: float) -> None:
    service = Service()
    for each in seconds:
        service.add(each)
    assert service.mean_s == (None if mean_s is None else pytest.approx(mean_s))
    assert service.deviation_s == pytest.approx(deviation_s)


@pytest.mark.parametrize(
    ("seconds", "change_s"),
    [([], 0.0), ([0.1], 0.0), ([0.1, 0.1], 0.0), ([0.1, 0.3], 0.05), ([0.1, 0.3, 0.3], 0.0375), ([0.1, 0.3, 0.1], 0.0875)],
)
def test_a_lasting_change_of_the_time_of_service_counts_once(seconds: list[float], change_s: float) -> None:
    service = Service()
    for each in seconds:
        service.add(each)
    assert service.change_s == pytest.approx(change_s)
