"""The line of a result, byte for byte, and the order in which results leave."""

from __future__ import annotations

import pytest
from ncs_cluster.core.publish import LONGEST_RECORD, LiveOrder, Reorder, record

from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.types import CameraName, Classified, Detection, FrameRef, Outcome, StickId


def unit(number: int = 17, *, item: str | None = None, stick: str | None = "sim-1") -> Unit:
    frame = Frame(FrameRef(CameraName("door"), 1, 0, number, 640, 480), None, 100.0, 1760000000.12345678, item)
    made = Unit("door", frame, 0)
    made.stick = None if stick is None else StickId(stick)
    return made


HEAD = b'{"schema":1,"camera":"door","frame":17,"captured_at":1760000000.123457,'
ALL = b'"item":null,"stick":"sim-1","graph":"demo",'


# -- record


def test_the_line_of_a_result_without_detections() -> None:
    line = record(unit(), "demo", Outcome(), 0.053126)
    assert line == HEAD + ALL + b'"latency_ms":53.13,"detections":[]}'


def test_the_line_of_a_detection_rounds_its_figures() -> None:
    box = (0.123456, 0.234567, 0.345678, 0.456789)
    line = record(unit(), "demo", Outcome([Detection("ball", 3, 0.97126, box, 1.23456, 1.34567)]), 0.05)
    assert line == (
        HEAD + ALL + b'"latency_ms":50.0,"detections":[{"label":"ball","label_id":3,"score":0.9713,'
        b'"box":[0.12346,0.23457,0.34568,0.45679],"distance_m":1.235,"true_distance_m":1.346}]}'
    )


def test_the_line_of_a_detection_without_a_distance_says_null_and_names_no_true_distance() -> None:
    line = record(unit(), "demo", Outcome([Detection("ball", 3, 1.0, (0.0, 0.25, 0.5, 1.0))]), 0.05)
    assert line == (
        HEAD + ALL + b'"latency_ms":50.0,"detections":[{"label":"ball","label_id":3,"score":1.0,'
        b'"box":[0.0,0.25,0.5,1.0],"distance_m":null}]}'
    )


def test_the_line_of_a_classification_names_its_classes_in_their_order() -> None:
    classes = [Classified("cat", 2, 0.81236), Classified("dog", 1, 0.1)]
    line = record(unit(), "demo", Outcome(classes=classes), 0.05)
    assert line == (
        HEAD + ALL + b'"latency_ms":50.0,"detections":[],"classes":[{"label":"cat","label_id":2,"score":0.8124},'
        b'{"label":"dog","label_id":1,"score":0.1}]}'
    )


def test_the_line_of_a_frame_that_was_given_up_says_why() -> None:
    line = record(unit(item="a.png", stick=None), "faces", Outcome(error="cannot be read"), None)
    assert line == (
        HEAD + b'"item":"a.png","stick":null,"graph":"faces","latency_ms":null,"detections":[],"error":"cannot be read"}'
    )


def test_a_line_that_is_too_long_is_replaced_by_one_that_says_so() -> None:
    empty = len(record(unit(), "demo", Outcome(error=""), 0.05))
    longest = record(unit(), "demo", Outcome(error="x" * (LONGEST_RECORD - empty)), 0.05)
    assert len(longest) == LONGEST_RECORD == 190_000
    replaced = record(unit(), "demo", Outcome(error="x" * (LONGEST_RECORD - empty + 1)), 0.05)
    assert replaced == (
        HEAD + ALL + b'"latency_ms":null,"detections":[],"error":"the result is too long to be written (190001 bytes)"}'
    )


# -- live lanes


@pytest.mark.parametrize(
    ("numbers", "newer"),
    [
        ([0, 1, 2], [True, True, True]),
        ([0, 0], [True, False]),
        ([5, 3, 5, 6], [True, False, False, True]),
    ],
)
def test_a_live_result_is_newer_only_than_those_of_earlier_frames(numbers: list[int], newer: list[bool]) -> None:
    order = LiveOrder()
    assert [order.newer(unit(number)) for number in numbers] == newer


# -- ordered lanes


def expecting(*frames: int) -> Reorder:
    reorder = Reorder()
    for frame in frames:
        reorder.expect(frame)
    return reorder


def test_results_that_come_in_order_leave_at_once() -> None:
    reorder = expecting(0, 1)
    for number in (0, 1):
        each, outcome = unit(number), Outcome()
        assert reorder.finished(each, outcome) == [(each, outcome)]
        assert reorder.waiting == 0


def test_results_that_come_early_wait_for_their_turn_and_leave_in_order() -> None:
    reorder = expecting(0, 1, 2, 3)
    units = [unit(number) for number in range(4)]
    outcomes = [Outcome(error=str(number)) for number in range(4)]
    assert reorder.finished(units[2], outcomes[2]) == []
    assert reorder.finished(units[1], outcomes[1]) == []
    assert reorder.waiting == 2
    assert reorder.finished(units[0], outcomes[0]) == list(zip(units[:3], outcomes[:3], strict=True))
    assert reorder.waiting == 0
    assert reorder.finished(units[3], outcomes[3]) == [(units[3], outcomes[3])]


def test_a_gap_in_the_frame_numbers_is_not_waited_for() -> None:
    reorder = expecting(4, 9)
    late, early = unit(4), unit(9)
    assert reorder.finished(early, Outcome()) == []
    assert reorder.finished(late, Outcome()) == [(late, Outcome()), (early, Outcome())]


def test_a_result_of_a_frame_that_was_not_expected_stays() -> None:
    reorder = expecting(0)
    assert reorder.finished(unit(1), Outcome()) == []
    first = unit(0)
    assert reorder.finished(first, Outcome()) == [(first, Outcome())]
    assert reorder.waiting == 1
