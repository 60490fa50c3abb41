"""The tally of work and the lease of a frame's pixels: exact counts after each beginning and end."""

from __future__ import annotations

import pytest

from ncs_cluster.core.slots import Slots
from ncs_cluster.core.work import DROPPED, GIVEN_UP, LATE, RESULT, Count, Frame, Tally, Unit
from ncs_cluster.types import CameraName, FrameRef, PoolLayout


def a_pool() -> Slots:
    """Four slots; slot 0 holds a frame that two units need."""
    slots = Slots(PoolLayout(1, 4, 640, 480))
    assert slots.grant() == 0
    assert slots.written(0, 2)
    return slots


def a_frame(number: int = 7, slots: Slots | None = None) -> Frame:
    return Frame(FrameRef(CameraName("cam0"), 1, 0, number, 640, 480), slots, 10.0, 1.7e9, "a.jpg")


def a_unit(number: int = 7, slots: Slots | None = None) -> Unit:
    return Unit("cam0", a_frame(number, slots), 0)


def test_the_four_ends_have_the_names_of_the_fields_that_count_them() -> None:
    assert (RESULT, DROPPED, LATE, GIVEN_UP) == ("result", "dropped", "late", "given_up")


def test_a_frame_keeps_the_data_of_its_capture() -> None:
    slots = a_pool()
    frame = a_frame(7, slots)
    assert (frame.ref, frame.slots) == (FrameRef(CameraName("cam0"), 1, 0, 7, 640, 480), slots)
    assert (frame.captured_s, frame.captured_at, frame.item) == (10.0, 1.7e9, "a.jpg")


def test_a_new_unit_was_never_sent_and_has_not_ended() -> None:
    frame = a_frame(7, a_pool())
    unit = Unit("cam0", frame, 3)
    assert (unit.stream, unit.frame, unit.graph, unit.number) == ("cam0", frame, 3, 7)
    assert (unit.ticket, unit.stick, unit.sent_s, unit.tried, unit.ended, unit.closed) == (-1, None, 0.0, [], None, False)


@pytest.mark.parametrize("with_pixels", [True, False])
def test_a_unit_holds_pixels_where_its_frame_has_a_slot(with_pixels: bool) -> None:
    assert a_unit(slots=a_pool() if with_pixels else None).holds_pixels is with_pixels


def test_a_unit_lets_go_of_its_pixels_once() -> None:
    slots = a_pool()
    one, other = a_unit(slots=slots), a_unit(slots=slots)
    one.release_pixels()
    one.release_pixels()
    assert (one.holds_pixels, slots.leased, slots.free) == (False, 1, 3)
    other.release_pixels()
    assert (other.holds_pixels, slots.leased, slots.free) == (False, 0, 4)


def test_a_unit_without_pixels_has_nothing_to_let_go() -> None:
    unit = a_unit()
    unit.release_pixels()
    assert unit.holds_pixels is False


def test_the_open_units_of_a_stream_are_those_begun_less_those_ended() -> None:
    assert Count() == Count(begun=0, result=0, dropped=0, late=0, given_up=0)
    assert Count(begun=100, result=1, dropped=20, late=3, given_up=40).open == 36


def test_an_empty_tally_has_counted_nothing() -> None:
    tally = Tally()
    assert (tally.streams, tally.doubled, tally.out_of_order, tally.open, tally.lost) == ({}, 0, 0, set(), 0)


def test_a_unit_that_begins_is_open() -> None:
    tally, unit = Tally(), a_unit()
    tally.begin(unit)
    assert (tally.streams, tally.open, tally.lost) == ({"cam0": Count(begun=1)}, {unit}, 0)


@pytest.mark.parametrize(
    ("how", "count"),
    [
        (RESULT, Count(begun=1, result=1)),
        (DROPPED, Count(begun=1, dropped=1)),
        (LATE, Count(begun=1, late=1)),
        (GIVEN_UP, Count(begun=1, given_up=1)),
    ],
)
def test_each_end_is_counted_as_what_it_is_and_frees_the_pixels(how: str, count: Count) -> None:
    tally, slots = Tally(), a_pool()
    unit = a_unit(slots=slots)
    tally.begin(unit)
    assert tally.end(unit, how) is True
    assert (tally.streams, tally.open, tally.lost, tally.doubled) == ({"cam0": count}, set(), 0, 0)
    assert (unit.ended, unit.holds_pixels, slots.leased) == (how, False, 1)


def test_a_second_end_changes_nothing_and_is_counted_as_doubled() -> None:
    tally, slots = Tally(), a_pool()
    unit = a_unit(slots=slots)
    tally.begin(unit)
    tally.end(unit, DROPPED)
    assert tally.end(unit, RESULT) is False
    assert tally.end(unit, LATE) is False
    assert (tally.doubled, unit.ended, slots.leased) == (2, DROPPED, 1)
    assert tally.streams == {"cam0": Count(begun=1, dropped=1)}


def test_the_units_of_a_skipped_frame_begin_and_are_dropped_at_once() -> None:
    tally = Tally()
    tally.skip("cam0", 2)
    tally.skip("cam0", 3)
    assert (tally.streams, tally.open, tally.lost) == ({"cam0": Count(begun=5, dropped=5)}, set(), 0)


def test_each_stream_has_its_own_count_which_is_kept() -> None:
    tally = Tally()
    assert tally.count("cam0") is tally.count("cam0")
    tally.skip("cam1", 1)
    assert tally.streams == {"cam0": Count(), "cam1": Count(begun=1, dropped=1)}


def test_a_unit_that_is_neither_open_nor_ended_is_lost() -> None:
    tally, one, other = Tally(), a_unit(1), a_unit(2)
    tally.begin(one)
    tally.begin(other)
    assert tally.lost == 0
    tally.open.discard(one)
    assert tally.lost == 1
    assert tally.end(other, RESULT) is True
    assert tally.lost == 1
