"""YOLO heads against a reference written otherwise; published networks against independent runtimes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ncs_cluster.decoders import yolo_layout
from ncs_cluster.decoders._boxes import suppressed
from ncs_cluster.decoders.yolo import ANCHORS, Options, check_outputs, decode
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import Detection, GraphName, ResizeTransform
from tests.decoders import yolo_reference as reference
from tests.decoders.running import LiteRt, OnnxRuntime, folder_of, outcomes, picture, read
from tests.decoders.yolo_reference import Seen, overlap, thinned

YOLOX = """\
model = "yolox_nano.onnx"
decoder = "yolo"
labels = "labels.txt"
input = { resize = "letterbox", align = "top-left" }
"""
YOLOV5 = """\
model = "yolov5n-fp16.tflite"
decoder = "yolo"
labels = "labels.txt"
input = { colour = "RGB", resize = "letterbox", scale = [255, 255, 255] }
"""
PICTURES = ["bus.jpg", "dog.jpg", "person.jpg", "pets.jpg", "voc_000456.jpg", "cat_720p.jpg"]
CLASSES = 3
NAMES = {0: "cat", 1: "dog", 2: "cow"}
SIZE = (96, 64)
CELLS = 12 * 8 + 6 * 4 + 3 * 2
INPUT = ResizeTransform(width=SIZE[0], height=SIZE[1])


def graph(threshold: float = 0.3, names: dict[int, str] = NAMES) -> GraphSpec:
    return GraphSpec(GraphName("g"), "g.onnx", "yolo", names, threshold)


def decoded(array: np.ndarray, transform: ResizeTransform = INPUT, threshold: float = 0.3, **options: Any) -> list[Detection]:
    return decode({"output": array}, graph(threshold), transform, Options(**options)).detections


def clipped(seen: list[Seen], transform: ResizeTransform = INPUT) -> list[tuple[int, float, tuple[float, ...]]]:
    """What the reference has seen, in shares of the frame."""
    found: list[tuple[int, float, tuple[float, ...]]] = []
    for each in seen:
        x1, y1, x2, y2 = (
            min(1.0, max(0.0, (value / side - offset) / scale))
            for value, side, offset, scale in zip(each.box, transform[4:] * 2, transform[2:4] * 2, transform[:2] * 2, strict=True)
        )
        if x1 < x2 and y1 < y2:
            found.append((each.label_id, each.score, (x1, y1, x2, y2)))
    return found


def assert_same(found: list[Detection], expected: list[tuple[int, float, tuple[float, ...]]]) -> None:
    """The same objects: each with its class, a score within 1e-3 and a box that overlaps by 0.99."""
    assert len(found) == len(expected)
    left = list(expected)
    for each in found:
        same = [other for other in left if other[0] == each.label_id and abs(other[1] - each.score) <= 1e-3]
        match = max(same, key=lambda other: overlap(other[2], each.box), default=None)
        assert match is not None, each
        assert overlap(match[2], each.box) >= 0.99, (each, match)
        left.remove(match)


def random_rows(seed: int, rows: int, columns: int, low: float = 0.0) -> np.ndarray:
    """Few rows with high scores: float32 [rows, columns], the scores behind the box to the power of 6."""
    random = np.random.default_rng(seed)
    table = random.random((rows, columns))
    table[:, 4:] **= 6 if columns > 6 else 1
    table[:, 0] *= SIZE[0]
    table[:, 1] *= SIZE[1]
    table[:, 2:4] = low + table[:, 2:4] * 30
    return table.astype(np.float32)


@pytest.mark.parametrize("name", PICTURES)
def test_yolox_finds_what_onnx_runtime_finds(test_data: Path, tmp_path: Path, name: str) -> None:
    source = test_data / "models/yolox_nano"
    image = picture(test_data / "media" / name)
    (outcome,) = outcomes(read(folder_of(source, tmp_path / "net", YOLOX)), [image])
    ratio = min(416 / image.shape[0], 416 / image.shape[1])
    small = cv2.resize(image, (round(image.shape[1] * ratio), round(image.shape[0] * ratio)), interpolation=cv2.INTER_LINEAR)
    padded = np.full((416, 416, 3), 114, np.uint8)
    padded[: small.shape[0], : small.shape[1]] = small
    (rows,) = OnnxRuntime(source / "yolox_nano.onnx")(padded.transpose(2, 0, 1)[None].astype(np.float32))["output"]
    seen = thinned(reference.yolox(rows.tolist(), 416, 416, 0.25), 0.45)
    transform = ResizeTransform(small.shape[1] / 416, small.shape[0] / 416, 0, 0, 416, 416)
    assert_same(outcome.detections, clipped(seen, transform))
    assert_people_have_found_these(outcome.detections, test_data, name, "yolox_ort")


@pytest.mark.parametrize("name", ["bus.jpg", "dog.jpg", "person.jpg"])
def test_yolov5_finds_what_tensorflow_lite_finds(test_data: Path, tmp_path: Path, name: str) -> None:
    source = test_data / "models/yolov5n"
    image = picture(test_data / "media" / name)
    (outcome,) = outcomes(read(folder_of(source, tmp_path / "net", YOLOV5)), [image])
    ratio = min(640 / image.shape[0], 640 / image.shape[1])
    small = cv2.resize(image, (round(image.shape[1] * ratio), round(image.shape[0] * ratio)), interpolation=cv2.INTER_LINEAR)
    left, top = (640 - small.shape[1]) // 2, (640 - small.shape[0]) // 2
    padded = np.full((640, 640, 3), 114, np.uint8)
    padded[top : top + small.shape[0], left : left + small.shape[1]] = small
    ((rows,),) = LiteRt(source / "yolov5n-fp16.tflite")(padded[None, :, :, ::-1].astype(np.float32) / 255)
    seen = thinned(reference.v5(rows.tolist(), 0.25, (640, 640)), 0.45)
    transform = ResizeTransform(small.shape[1] / 640, small.shape[0] / 640, left / 640, top / 640, 640, 640)
    assert_same(outcome.detections, clipped(seen, transform))
    assert_people_have_found_these(outcome.detections, test_data, name, "yolov5n_litert")


def assert_people_have_found_these(found: list[Detection], test_data: Path, name: str, runtime: str) -> None:
    """The objects that were checked by hand, and that this network had found under another runtime, are there."""
    listed = json.loads((test_data / "media/expected.json").read_text())["images"].get(name, {"objects": []})["objects"]
    wanted = [each for each in listed if runtime in each["found_by"] and each["ref_max_score"] >= 0.5]
    for each in wanted:
        names = [each["cls"], *each["aliases"]]
        assert any(other.label in names and overlap(other.box, each["box"]) >= 0.5 for other in found), each


@pytest.mark.parametrize("transform", [INPUT, ResizeTransform(1.0, 0.5, 0.0, 0.25, *SIZE)], ids=["stretched", "letterboxed"])
@pytest.mark.parametrize("shape", ["[1, 4 + C, N]", "[4 + C, N]", "[1, N, 4 + C]"])
def test_v8_without_suppression(shape: str, transform: ResizeTransform) -> None:
    rows = random_rows(1, CELLS, 4 + CLASSES)
    array = rows if shape == "[1, N, 4 + C]" else rows.T
    found = decoded(array if shape == "[4 + C, N]" else array[None], transform)
    assert_same(found, clipped(thinned(reference.v8(rows.tolist(), 0.3), 0.45), transform))
    assert len(found) > 5


@pytest.mark.parametrize("unit", [(1.0, 1.0), SIZE], ids=["pixels", "normalised"])
def test_v5_in_pixels_and_in_shares_of_the_input(unit: tuple[float, float]) -> None:
    rows = random_rows(2, 3 * CELLS, 5 + CLASSES)
    rows[:, 4] **= 0.1
    rows[:, :4] /= (*unit, *unit)
    found = decoded(rows[None])
    assert_same(found, clipped(thinned(reference.v5(rows.tolist(), 0.3, unit), 0.45)))
    assert len(found) > 5


def test_yolox_of_an_input_that_is_no_square() -> None:
    random = np.random.default_rng(3)
    rows = np.concatenate([random.normal(0.5, 1, (CELLS, 2)), random.normal(0, 1, (CELLS, 2)), random.random((CELLS, 4))], axis=1)
    rows = rows.astype(np.float32)
    expected = clipped(thinned(reference.yolox(rows.tolist(), *SIZE, 0.3), 0.45))
    assert_same(decoded(rows[None]), expected)
    assert_same(decoded(rows), expected)
    assert_same(decoded(rows[None], layout="yolox"), expected)
    assert len(expected) > 5


def test_one_row_for_each_cell_that_the_graph_has_decoded_itself() -> None:
    rows = random_rows(4, CELLS, 5 + CLASSES)
    rows[:, 4] = 1
    assert_same(decoded(rows[None]), clipped(thinned(reference.v5(rows.tolist(), 0.3), 0.45)))


@pytest.mark.parametrize("unit", [(1.0, 1.0), SIZE], ids=["pixels", "normalised"])
def test_end_to_end_rows_are_taken_as_they_are(unit: tuple[float, float]) -> None:
    rows = np.array(
        [[10, 20, 30, 40, 0.9, 1], [12, 20, 30, 40, 0.8, 1], [50, 10, 96, 64, 0.5, 2], [0, 0, 1, 1, 0.1, 0]], np.float32
    )
    rows = np.concatenate([rows, np.zeros((296, 6), np.float32)])
    rows[:, :4] /= (*unit, *unit)
    assert decoded(rows[None]) == [
        Detection("dog", 1, pytest.approx(0.9), pytest.approx((10 / 96, 20 / 64, 30 / 96, 40 / 64))),  # type: ignore[arg-type]
        Detection("dog", 1, pytest.approx(0.8), pytest.approx((12 / 96, 20 / 64, 30 / 96, 40 / 64))),  # type: ignore[arg-type]
        Detection("cow", 2, 0.5, pytest.approx((50 / 96, 10 / 64, 1, 1))),  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize("form", ["[1, A (5 + C), H, W]", "[1, A, H, W, 5 + C]"])
def test_heads_with_anchors_before_they_are_decoded(form: str) -> None:
    random = np.random.default_rng(5)
    levels = [random.normal(-1, 2, (3, 64 // stride, 96 // stride, 5 + CLASSES)).astype(np.float32) for stride in (8, 16, 32)]
    pairs = list(zip(ANCHORS[::2], ANCHORS[1::2], strict=True))
    seen = reference.heads([level.tolist() for level in levels], [pairs[:3], pairs[3:6], pairs[6:]], SIZE[0], 0.3)
    outputs = {}
    for number in (2, 0, 1):
        level = levels[number]
        flat = level.transpose(0, 3, 1, 2).reshape(1, -1, *level.shape[1:3])
        outputs[f"level{number}"] = flat if form == "[1, A (5 + C), H, W]" else level[None]
    assert check_outputs(outputs, graph(), Options()) is None
    found = decode(outputs, graph(), INPUT, Options()).detections
    assert_same(found, clipped(thinned(seen, 0.45)))
    assert len(found) > 5
    assert "need 18 numbers as decoder.anchors, not 4" in str(
        check_outputs(outputs, graph(), Options(anchors=[1.0, 2.0, 3.0, 4.0]))
    )
    assert decode(outputs, graph(), INPUT, Options(anchors=[1.0, 2.0, 3.0, 4.0])).detections == []


def test_suppression_is_as_the_options_have_it() -> None:
    rows = np.zeros((CELLS, 4 + CLASSES), np.float32)
    rows[0] = [40, 30, 20, 20, 0.9, 0, 0]
    rows[1] = [42, 30, 20, 20, 0.8, 0, 0]
    rows[2] = [42, 30, 20, 20, 0, 0.7, 0]
    rows[3] = [70, 30, 20, 20, 0, 0, 0.6]
    assert [each.label for each in decoded(rows.T[None])] == ["cat", "dog", "cow"]
    assert [each.label for each in decoded(rows.T[None], class_agnostic=True)] == ["cat", "cow"]
    assert [each.label for each in decoded(rows.T[None], iou=0.9)] == ["cat", "cat", "dog", "cow"]
    assert [each.label for each in decoded(rows.T[None], max_detections=2)] == ["cat", "dog"]


def test_masks_and_key_points_behind_the_classes_are_no_classes() -> None:
    rows = random_rows(6, CELLS, 4 + CLASSES)
    expected = decoded(rows.T[None])
    masked = np.concatenate([rows, np.full((CELLS, 32), 5, np.float32)], axis=1)
    protos = np.zeros((1, 32, 16, 24), np.float32)
    assert decode({"out": masked.T[None], "protos": protos}, graph(), INPUT, Options()).detections == expected
    odd = np.concatenate([rows, np.full((CELLS, 9), 5, np.float32)], axis=1)
    assert decoded(odd.T[None]) == []
    assert "or decoder.classes" in str(check_outputs({"out": odd.T[None]}, graph(), Options()))
    assert decoded(odd.T[None], classes=CLASSES) == expected


@pytest.mark.parametrize(
    ("shape", "names", "line"),
    [
        ((1, 3549, 85), 80, None),
        ((3549, 85), 80, None),
        ((1, 25200, 85), 80, None),
        ((1, 25200, 85), 0, None),
        ((1, 84, 8400), 80, None),
        ((1, 84, 8400), 0, None),
        ((1, 8400, 84), 80, None),
        ((1, 300, 6), 80, None),
        ((1, 3549, 85), 0, "cannot tell the layout of output [1, 3549, 85]: set decoder.layout in graph.toml to one of v5"),
        ((1, 3549, 85), 79, "cannot tell the layout of output [1, 3549, 85] for 79 names of classes: set decoder.layout"),
        ((1, 84, 8400), 79, "reads 80 classes in layout v8, and the labels name 79"),
        ((1, 1000), 80, "cannot tell the layout of output [1, 1000]"),
        ((1, 1234, 85), 80, None),
        ((1, 84, 34000), 80, None),
        ((1, 300, 6), 1, None),
        ((1, 300, 6), 2, None),
        ((1, 1234, 85), 0, "cannot tell the layout of output [1, 1234, 85]"),
        ((1, 1234, 85), 79, "cannot tell the layout of output [1, 1234, 85] for 79 names"),
    ],
)
def test_what_the_shape_tells_and_what_is_asked_for(shape: tuple[int, ...], names: int, line: str | None) -> None:
    spec = graph(names={number: str(number) for number in range(names)})
    told = check_outputs({"output": np.zeros(shape, np.float32)}, spec, Options())
    assert told is None if line is None else line in str(told)


@given(
    rows=st.sampled_from([CELLS, 3 * CELLS, 84, 300, 189, 1234, 18900, 34000]),
    columns=st.integers(5, 12),
    names=st.integers(0, 9),
    upright=st.booleans(),
)
def test_what_passes_the_check_is_decoded_with_every_size_of_the_input(rows: int, columns: int, names: int, upright: bool) -> None:
    """A layout that only the check can tell would find nothing, without a word."""
    table = np.broadcast_to(np.float32(0), (1, rows, columns) if upright else (1, columns, rows))
    checked = yolo_layout.head({"out": table}, "auto", "", 0, names, (0, 0))
    for size in (SIZE, (96, 96), (640, 640)):
        told = yolo_layout.head({"out": table}, "auto", "", 0, names, size)
        assert isinstance(told, str) == isinstance(checked, str), (told, checked)


def test_detectors_with_finer_grids_than_usual_are_read() -> None:
    rows = random_rows(9, 24 * 16 + CELLS, 4 + CLASSES)
    assert_same(decoded(rows.T[None]), clipped(thinned(reference.v8(rows.tolist(), 0.3), 0.45)))
    assert len(decoded(rows.T[None])) > 5


@pytest.mark.parametrize("names", [{0: "cat"}, {0: "cat", 1: "dog"}])
def test_end_to_end_rows_of_few_classes_are_no_raw_ones(names: dict[int, str]) -> None:
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0] = [10, 20, 30, 40, 0.9, 0]
    (found,) = decode({"out": rows}, graph(names=names), INPUT, Options()).detections
    assert (found.label, found.box) == ("cat", pytest.approx((10 / 96, 20 / 64, 30 / 96, 40 / 64)))


def test_of_several_outputs_that_fit_one_is_named() -> None:
    outputs = {"one": np.zeros((1, 7, CELLS), np.float32), "two": random_rows(7, CELLS, 7).T[None]}
    assert decode(outputs, graph(), INPUT, Options()).detections == []
    many = {name: np.zeros((1, 84, 8400), np.float32) for name in ("one", "two")}
    assert "name the output as decoder.output" in str(check_outputs(many, graph(names={}), Options()))
    assert decode(outputs, graph(), INPUT, Options(output="two")).detections == decoded(outputs["two"])
    assert 'wants the output "six"' in str(check_outputs(outputs, graph(), Options(output="six")))


@pytest.mark.parametrize(
    "options",
    [
        {"layout": "v6"},
        {"iou": 0.0},
        {"max_detections": 0},
        {"normalised": "maybe"},
        {"classes": -1},
        {"anchors": [1.0]},
        {"anchors": [1.0, 0.0]},
    ],
)
def test_options_that_make_no_sense_are_refused_by_their_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Options(**options)


@given(
    arrays(np.float32, st.sampled_from([(1, 7, CELLS), (1, CELLS, 8), (1, 3 * CELLS, 8), (1, 40, 6)]), elements=st.floats(width=32))
)
def test_garbage_never_raises_and_boxes_are_in_the_frame(array: np.ndarray) -> None:
    for layout in ("auto", "v5", "v8", "yolox", "end2end"):
        for each in decoded(array, threshold=0.0, layout=layout):
            assert 0 <= each.score <= 1
            assert 0 <= each.box[0] < each.box[2] <= 1
            assert 0 <= each.box[1] < each.box[3] <= 1


boxes = st.lists(st.tuples(*[st.integers(0, 20)] * 4, st.integers(0, 99), st.integers(0, 2)), max_size=25)


@given(boxes, st.sampled_from([0.1, 0.3, 0.5, 0.99]))
def test_suppression_is_greedy(listed: list[tuple[int, ...]], iou: float) -> None:
    seen = [Seen(group, score / 100, (x, y, x + w + 1, y + h + 1)) for x, y, w, h, score, group in listed]
    corners = np.array([each.box for each in seen], np.float64).reshape(-1, 4)
    scores, groups = np.array([each.score for each in seen]), np.array([each.label_id for each in seen], int)
    assert [seen[index] for index in suppressed(corners, scores, groups, iou, 300)] == thinned(seen, iou)


def test_coordinates_that_are_not_finite_are_skipped_alone() -> None:
    rows = random_rows(8, CELLS, 4 + CLASSES)
    rows[::7, 2] = math.inf
    rows[::5, 5] = math.nan
    whole = [row for row in rows.tolist() if all(map(math.isfinite, row))]
    assert_same(decoded(rows.T[None]), clipped(thinned(reference.v8(whole, 0.3), 0.45)))
