"""Frames that cannot be read: lines to log by a virtual clock, and crashes at one frame."""

from __future__ import annotations

from ncs_cluster.core.unreadable import LOG_S, MOST_CRASHES, Unreadable


def test_one_line_in_ten_seconds_says_how_many_there_were() -> None:
    unreadable = Unreadable()
    assert unreadable.add("torn", 100.0) == ["frame cannot be read: torn"]
    assert [unreadable.add("torn", 100.0 + second) for second in range(1, 10)] == [[]] * 9
    assert unreadable.add("gone", 100.0 + LOG_S) == ["frame cannot be read: gone (11 so far)"]
    assert unreadable.count == 11


def test_a_frame_is_given_up_after_three_crashes_in_a_row_at_it() -> None:
    unreadable = Unreadable()
    assert [unreadable.crashed(frame, "SIGSEGV") for frame in (4, 4, 5, 5)] == [None] * 4
    why = "the camera process has crashed 3 times at this frame (SIGSEGV)"
    assert (unreadable.crashed(5, "SIGSEGV"), MOST_CRASHES) == (why, 3)
    assert unreadable.crashed(6, "SIGSEGV") is None
