"""The recommendation follows from the figures."""

from __future__ import annotations

from ncs_cluster.cli.bench.recommendation import recommendation
from ncs_cluster.cli.bench.report import Row, Spread
from tests.cli.bench.figures import row

SERIAL = row("serial", 1, 1.0, 0.2, 30.0)


def test_a_faster_mode_is_advised_with_the_count_from_which_it_is_ahead() -> None:
    queue = row("queue", 2, 3.1, 0.2, 13.2, break_even=38, times_serial=2.27)
    assert recommendation([SERIAL, row("threads", 2, 1.2, 0.2, 20.0, break_even=7, times_serial=1.5), queue]) == (
        "Use queue with 2 devices: 1.9 times as fast as serial at 300 pictures, start included. "
        "Below 38 pictures serial is done first: it starts in 3.10 s, serial in 1.00 s."
    )


def test_a_mode_that_is_ahead_at_once_is_advised_for_any_count() -> None:
    assert recommendation([SERIAL, row("threads", 1, 0.9, 0.2, 20.0, break_even=1, times_serial=1.5)]) == (
        "Use threads with 1 device: 1.5 times as fast as serial at 300 pictures, start included. "
        "It is ahead from the first picture on: it starts in 0.90 s, serial in 1.00 s."
    )


def test_a_mode_that_only_starts_faster_is_not_said_to_work_faster() -> None:
    assert recommendation([SERIAL, row("threads", 1, 0.5, 0.2, 30.1, break_even=None, times_serial=0.99)]) == (
        "Use threads with 1 device: 1.0 times as fast as serial at 300 pictures, start included. "
        "It does not work faster than serial, it starts faster: it starts in 0.50 s, serial in 1.00 s."
    )


def test_serial_is_advised_where_nothing_is_faster_with_what_would_overtake_it() -> None:
    processes = row("processes", 2, 40.0, 0.2, 20.0, break_even=1171, times_serial=1.5)
    queue = row("queue", 2, 60.0, 0.2, 15.0, break_even=1181, times_serial=2.0)
    assert recommendation([SERIAL, processes, queue]) == (
        "Use serial: no mode takes less time for 300 pictures, start included. "
        "Processes with 2 devices works 1.5 times as fast, and makes up for its start from 1,171 pictures on."
    )


def test_a_difference_within_the_spread_is_said_to_be_none() -> None:
    queue = row("queue", 2, 1.0, 0.2, Spread(20.0, 18.0, 25.0), break_even=1, times_serial=1.5)
    threads = row("threads", 2, 1.0, 0.2, Spread(21.0, 19.0, 22.0), break_even=1, times_serial=1.43)
    processes = row("processes", 2, 1.0, 0.2, Spread(24.0, 24.0, 26.0), break_even=1, times_serial=1.25)
    last = "are as fast within the spread of the repeats."
    assert recommendation([SERIAL, threads, processes, queue]).endswith(
        f" Threads with 2 devices and processes with 2 devices {last}"
    )
    assert recommendation([SERIAL, threads, queue]).endswith(" Threads with 2 devices is as fast within the spread of the repeats.")


def test_where_the_repeats_of_serial_and_of_the_best_overlap_nothing_is_recommended() -> None:
    serial = row("serial", 1, 1.0, 0.2, Spread(16.0, 13.0, 23.0))
    processes = row("processes", 2, 2.0, 0.2, Spread(12.0, 11.0, 16.0), break_even=119, times_serial=1.33)
    assert recommendation([serial, row("queue", 2, 3.0, 0.2, 16.0), processes]) == (
        "No mode is ahead of serial by more than the spread of the repeats at 300 pictures, start included; "
        "processes with 2 devices has the best median, 1.2 times as fast. More repeats, or a quiet machine, may decide it."
    )


def test_without_serial_the_fastest_is_named_with_its_time() -> None:
    assert recommendation([row("queue", 1, 3.0, 0.2, 15.0)]) == (
        "Use queue with 1 device: 18.0 s for 300 pictures, start included, the least of what was measured."
    )


def test_modes_that_failed_are_not_advised() -> None:
    failed = Row(mode="queue", devices=2, repeats=0, error="no permission")
    assert recommendation([SERIAL, failed]) == "Use serial: no mode takes less time for 300 pictures, start included."
    assert recommendation([failed]) == "Nothing was measured."
