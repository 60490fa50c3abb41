"""DetectionOutput rows and what becomes of them, garbage included."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ncs_cluster.decoders._boxes import MOST
from ncs_cluster.decoders.ssd import Options, check_outputs, decode
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import Detection, GraphName, ResizeTransform

GRAPH = GraphSpec(GraphName("g"), "g.xml", "ssd", labels={1: "cat", 2: "dog"}, threshold=0.5)
WHOLE = ResizeTransform()
END = [-1.0, 0, 0, 0, 0, 0, 0]
rows = st.integers(0, 30).flatmap(lambda n: arrays(np.float32, (1, 1, n, 7), elements=st.floats(width=32)))
plausible = st.tuples(st.just(0.0), st.integers(0, 4).map(float), st.floats(0, 1, width=32), *[st.floats(-0.5, 1.5, width=32)] * 4)


def found(
    *given_rows: list[float], graph: GraphSpec = GRAPH, transform: ResizeTransform = WHOLE, **options: Any
) -> list[Detection]:
    array = np.array(given_rows, np.float32).reshape(1, 1, -1, 7)
    return decode({"detection_out": array}, graph, transform, Options(**options)).detections


def test_a_row_becomes_a_detection_with_its_label() -> None:
    (detection,) = found([0, 2, 0.75, 0.25, 0.125, 0.5, 0.625])
    assert detection == Detection("dog", 2, 0.75, (0.25, 0.125, 0.5, 0.625))


def test_image_id_minus_one_ends_the_list() -> None:
    row = [0, 1, 0.9, 0, 0, 1, 1]
    assert len(found(row, END, row)) == 1
    assert found(END, row) == []


def test_the_threshold_is_inclusive() -> None:
    assert [d.score for d in found([0, 1, 0.5, 0, 0, 1, 1], [0, 1, 0.499, 0, 0, 1, 1])] == [0.5]


@pytest.mark.parametrize("column", range(7))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_is_skipped_and_only_that_row(column: int, value: float) -> None:
    if (column, value) == (0, -math.inf):
        return
    bad = [0, 1, 0.9, 0.1, 0.1, 0.9, 0.9]
    bad[column] = value
    assert [d.label for d in found(bad, [0, 2, 0.8, 0, 0, 1, 1])] == ["dog"]


def test_boxes_are_clipped_and_those_without_area_are_skipped() -> None:
    assert found([0, 1, 0.9, -0.5, -0.5, 1.5, 0.5])[0].box == (0, 0, 1, 0.5)
    assert found([0, 1, 0.9, 0.5, 0.1, 0.5, 0.9], [0, 1, 0.9, 0.6, 0.1, 0.4, 0.9], [0, 1, 0.9, 1.2, 0, 1.5, 1]) == []


def test_an_id_without_a_label_is_called_by_its_number() -> None:
    labels = [d.label for d in found(*([0, i, 0.9, 0, 0, 1, 1] for i in (0, 1, 2, 3, 90)))]
    assert labels == ["0", "cat", "dog", "3", "90"]


def test_the_best_comes_first() -> None:
    assert [d.score for d in found(*([0, 1, s, 0, 0, 1, 1] for s in (0.5, 0.75, 0.625)))] == [0.75, 0.625, 0.5]


def test_letterboxing_is_undone() -> None:
    # a frame of 2:1 in a square input: full width, half height, a quarter of grey above
    (detection,) = found([0, 1, 0.9, 0.5, 0.5, 1.0, 0.75], transform=ResizeTransform(1.0, 0.5, 0.0, 0.25))
    assert detection.box == (0.5, 0.5, 1.0, 1.0)


def test_outputs_of_another_kind_are_nothing_and_the_complaint_names_them() -> None:
    other = {"boxes": np.zeros((1, 4420, 4), np.float32)}
    assert decode(other, GRAPH, ResizeTransform(), Options()).detections == []
    assert "and the graph gives boxes [1, 4420, 4]" in str(check_outputs(other, GRAPH, Options()))
    assert check_outputs({"x": np.zeros((1, 1, 200, 7), np.float32)}, GRAPH, Options()) is None


@given(rows, st.floats(0, 1))
def test_garbage_never_raises_and_never_leaks(array: np.ndarray, threshold: float) -> None:
    graph = GraphSpec(GraphName("g"), "g.xml", "ssd", {1: "cat"}, threshold)
    for detection in decode({"out": array}, graph, ResizeTransform(0.5, 0.8, 0.1, 0.1), Options()).detections:
        x1, y1, x2, y2 = detection.box
        assert 0 <= x1 < x2 <= 1
        assert 0 <= y1 < y2 <= 1
        assert threshold <= detection.score <= 1
        assert detection.label_id >= 0
        assert detection.label


@given(st.lists(plausible, max_size=20))
def test_nothing_good_is_lost_and_the_order_is_by_score(given_rows: list[tuple[float, ...]]) -> None:
    detections = found(*(list(row) for row in given_rows))
    scores = [d.score for d in detections]
    assert scores == sorted(scores, reverse=True)
    good = [r for r in given_rows if r[2] >= 0.5 and max(0, r[3]) < min(1, r[5]) and max(0, r[4]) < min(1, r[6])]
    assert len(detections) == len(good)


def test_of_a_flood_only_the_best_are_passed_on() -> None:
    flood = [[0, 1, 0.5 + number / 4000, 0, 0, 1, 1] for number in range(1000)]
    scores = [detection.score for detection in found(*flood)]
    assert len(scores) == MOST
    assert min(scores) >= 0.5 + (1000 - MOST) / 4000 - 1e-6


def test_no_more_than_max_detections_are_passed_on_the_best_ones() -> None:
    rows = [[0, 1, score, 0, 0, 1, 1] for score in (0.5, 0.75, 0.625)]
    assert [d.score for d in found(*rows, max_detections=2)] == [0.75, 0.625]
    assert [d.score for d in found([0, 1, 0.9, 0.5, 0.5, 0.5, 0.6], *rows, max_detections=1)] == [0.75], "an empty box is none"


def test_boxes_below_min_size_are_left_out_by_their_shorter_side_in_the_frame() -> None:
    narrow, square = [0, 1, 0.9, 0.0, 0.0, 0.125, 1.0], [0, 2, 0.8, 0.0, 0.0, 0.25, 0.25]
    assert [d.label for d in found(narrow, square, min_size=0.25)] == ["dog"]
    assert [d.label for d in found(narrow, square, min_size=0.125)] == ["cat", "dog"]
    assert [d.label for d in found(narrow, square, min_size=0.25, transform=ResizeTransform(0.5, 1.0, 0.0, 0.0))] == ["cat", "dog"]


@pytest.mark.parametrize("options", [{"max_detections": 0}, {"max_detections": MOST + 1}, {"min_size": -0.1}, {"min_size": 1.0}])
def test_options_that_make_no_sense_are_refused_by_their_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Options(**options)
