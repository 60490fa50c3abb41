"""Figures of repeated measurements, exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.cli.bench.report import Latency, Spread
from ncs_cluster.cli.bench.statistics import break_even, latency, percentile, rate_between, spread

times = st.integers(1, 100_000).map(lambda milliseconds: milliseconds / 1000)
"""Seconds that differ by more than sums of floats are wrong by."""


def test_the_spread_is_median_least_and_most() -> None:
    assert spread([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)
    assert spread([4.0, 1.0]) == Spread(2.5, 1.0, 4.0)


def test_percentiles_are_values_that_were_measured() -> None:
    assert latency([float(value) for value in range(100, 0, -1)]) == Latency(50.0, 90.0, 99.0)
    assert [percentile([1.0, 2.0, 3.0], percent) for percent in (0, 33, 34, 99, 100)] == [1.0, 1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize(
    ("mode", "serial", "count"),
    [
        ((2.0, 0.01), (1.0, 0.02), 101),  # at 100 both take 3 s
        ((1.0, 0.01), (1.0, 0.02), 1),
        ((0.5, 0.01), (1.0, 0.02), 1),
        ((2.0, 0.02), (1.0, 0.02), None),
        ((0.5, 0.02), (1.0, 0.02), 1),
        ((2.0, 0.03), (1.0, 0.02), None),
        ((0.5, 0.03), (1.0, 0.02), None),
    ],
)
def test_the_break_even_is_the_first_count_at_which_a_mode_is_ahead(
    mode: tuple[float, float], serial: tuple[float, float], count: int | None
) -> None:
    assert break_even(*mode, *serial) == count


@given(times, times, times, times)
def test_from_the_break_even_on_a_mode_is_ahead_and_before_it_is_not(
    start_s: float, each_s: float, other_start_s: float, other_each_s: float
) -> None:
    count = break_even(start_s, each_s, other_start_s, other_each_s)

    def ahead_s(pictures: int) -> float:
        return (other_start_s + pictures * other_each_s) - (start_s + pictures * each_s)

    if count is None:
        assert ahead_s(10**9) <= 0
    else:
        # one picture to either side: sums of floats are not exact
        assert ahead_s(count + 1) > 0
        assert count == 1 or ahead_s(count - 2) <= 0


def test_a_rate_counts_what_ends_within_its_time() -> None:
    assert rate_between([0.0, 0.5, 1.9, 2.0, 3.0], 0.0, 2.0) == 1.5
