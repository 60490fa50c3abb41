"""How many frames of neighbours a host takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.processes.overflow import Headroom, _decoded


def test_no_more_frames_are_taken_at_once_than_the_sticks_answer_in_time() -> None:
    headroom, taken = Headroom(), 0
    for number in range(100):
        taken += headroom.take(20.0, 2, taken, 0.5, 1000.0 + 0.001 * number)
    # 5 of a quarter of a second at once, and one of those that are gained meanwhile
    assert taken == 6
    assert not headroom.take(20.0, 2, 8, 0.5, 2000.0)
    assert headroom.take(20.0, 2, 7, 0.5, 2000.0)


def test_before_a_stick_has_answered_each_gets_one() -> None:
    headroom = Headroom()
    assert [headroom.take(None, 2, waiting, 0.5, 1000.0) for waiting in range(3)] == [True, True, False]


@given(st.lists(st.floats(0.0, 0.4), min_size=5, max_size=80), st.floats(1.0, 200.0))
def test_over_any_time_no_more_are_taken_than_the_sticks_have_left(pauses: list[float], spare_fps: float) -> None:
    headroom, now_s, times = Headroom(), 1000.0, list[float]()
    for pause_s in pauses:
        now_s += pause_s
        if headroom.take(spare_fps, 1, 0, 1.0, now_s):
            times.append(now_s)
    for first, begin_s in enumerate(times):
        for count, end_s in enumerate(times[first:], 1):
            assert count <= spare_fps * (end_s - begin_s) + max(1.0, 0.25 * spare_fps) + 1e-6


def test_bytes_that_are_no_jpeg_are_no_frame() -> None:
    assert [_decoded(each) for each in (b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff" * 100)] == [None] * 4
