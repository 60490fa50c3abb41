"""SSDs without DetectionOutput: four outputs of TensorFlow, and boxes with the scores of all classes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ncs_cluster.config import graph_folder
from ncs_cluster.decoders.ssd import Options, check_outputs, decode
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import Detection, GraphName, ResizeTransform
from tests.decoders.running import LiteRt, OnnxRuntime, folder_of, outcomes, picture, read
from tests.decoders.yolo_reference import Seen, overlap, thinned

GRAPH = GraphSpec(GraphName("g"), "g.onnx", "ssd", {1: "cat", 2: "dog"}, 0.5)
RFB = """\
model = "version-RFB-320.onnx"
labels = "labels.txt"
threshold = 0.7
decoder = { name = "ssd", iou = 0.3 }
input = { colour = "RGB", mean = [127, 127, 127], scale = [128, 128, 128] }
"""
COCO = 'model = "ssd_mobilenet_v1_coco_quant.tflite"\nlabels = "labels.txt"\ndecoder = "ssd"\nthreshold = 0.3\n'


def found(outputs: dict[str, Any], graph: GraphSpec = GRAPH, **options: Any) -> list[Detection]:
    arrays_ = {name: np.asarray(each, np.float32) for name, each in outputs.items()}
    return decode(arrays_, graph, ResizeTransform(), Options(**options)).detections


def four(**renamed: Any) -> dict[str, Any]:
    boxes = [[[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 1, 1], [0, 0, 1, 1]]]
    return {
        "detection_boxes": boxes,
        "detection_classes": [[1, 2, 1]],
        "detection_scores": [[0.9, 0.6, 0.55]],
        "num": [3],
        **renamed,
    }


@pytest.mark.parametrize("name", ["ulfg_1.jpg", "ulfg_2.jpg", "voc_000001.jpg", "person.jpg"])
def test_faces_are_those_that_onnx_runtime_gives(test_data: Path, tmp_path: Path, name: str) -> None:
    source = test_data / "models/ultra-light-rfb-320"
    image = picture(test_data / "media" / name)
    (outcome,) = outcomes(read(folder_of(source, tmp_path / "net", RFB)), [image])
    pixels = cv2.cvtColor(cv2.resize(image, (320, 240), interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
    outputs = OnnxRuntime(source / "version-RFB-320.onnx")(((pixels.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None])
    seen = [
        Seen(1, face, tuple(box))
        for (_, face), box in zip(outputs["scores"][0].tolist(), outputs["boxes"][0].tolist(), strict=True)
        if face >= 0.7
    ]
    expected = thinned(seen, 0.3)
    assert len(outcome.detections) == len(expected)
    assert len(expected) >= 1 or name == "person.jpg"
    for each, other in zip(outcome.detections, expected, strict=True):
        assert (each.label, each.label_id) == ("face", 1)
        assert each.score == pytest.approx(other.score, abs=1e-3)
        assert overlap(each.box, tuple(min(1.0, max(0.0, side)) for side in other.box)) >= 0.99


@pytest.mark.parametrize("name", ["bus.jpg", "dog.jpg", "voc_000456.jpg"])
def test_the_four_outputs_of_tensorflow_lite_are_read_with_their_names(test_data: Path, tmp_path: Path, name: str) -> None:
    source = test_data / "models/ssd_mobilenet_v1_coco"
    graph = graph_folder.read(folder_of(source, tmp_path / "net", COCO), "net", None)
    pixels = cv2.cvtColor(cv2.resize(picture(test_data / "media" / name), (300, 300)), cv2.COLOR_BGR2RGB)
    boxes, classes, scores, count = LiteRt(source / "ssd_mobilenet_v1_coco_quant.tflite")(pixels[None])
    names = (source / "labels.txt").read_text().splitlines()
    expected = [
        (names[int(number)], score, [min(1, max(0, side)) for side in (x1, y1, x2, y2)])
        for number, score, (y1, x1, y2, x2) in zip(classes[0].tolist(), scores[0].tolist(), boxes[0].tolist(), strict=True)
        if score >= 0.3
    ]
    assert expected
    outputs = {f"TFLite_Detection_PostProcess:{index}": each for index, each in enumerate((boxes, classes, scores, count))}
    assert check_outputs(outputs, graph, Options()) is None
    detections = decode(outputs, graph, ResizeTransform(), Options()).detections
    assert [(each.label, each.score, list(each.box)) for each in detections] == expected


def test_boxes_of_tensorflow_begin_with_y() -> None:
    assert found(four())[0] == Detection("cat", 1, pytest.approx(0.9), pytest.approx((0.2, 0.1, 0.4, 0.3)))  # type: ignore[arg-type]
    assert [each.label for each in found(four())] == ["cat", "dog", "cat"]


def test_the_count_ends_the_list_and_may_be_missing() -> None:
    assert len(found(four(num=[2]))) == 2
    assert found(four(num=[0])) == []
    assert len(found(four(num=[math.nan]))) == 3
    outputs = four()
    del outputs["num"]
    assert len(found(outputs)) == 3


def test_scores_are_told_by_their_names_and_without_names_by_their_fractions() -> None:
    boxes, classes, scores, num = four().values()
    assert found({"num": num, "Scores": scores, "x": classes, "boxes": boxes}) == found(four())
    assert found({"call:1": scores, "call:0": num, "call:3": classes, "call:2": boxes}) == found(four())
    assert found({"call:0": boxes, "call:1": classes, "call:2": scores, "call:3": num}) == found(four())


def test_what_tensorflow_gives_beside_its_detections_is_passed_over() -> None:
    beside = {
        "raw_detection_boxes": np.zeros((1, 3, 4)),
        "raw_detection_scores": np.zeros((1, 3, 91)),
        "detection_anchor_indices": [[4, 5, 6]],
        "detection_multiclass_scores": np.zeros((1, 3, 91)),
    }
    assert found({**beside, **four()}) == found(four())


def test_each_class_of_a_box_counts_and_the_background_does_not() -> None:
    outputs = {
        "boxes": [[[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.45], [0.5, 0.5, 1, 1]]],
        "scores": [[[0.9, 0.6, 0.7], [0, 0.9, 0], [0.1, 0, 0.8]]],
    }
    seen = [(each.label, round(each.score, 3)) for each in found(outputs)]
    assert seen == [("cat", 0.9), ("dog", 0.8), ("dog", 0.7)]
    assert [each.label for each in found(outputs, iou=0.95)] == ["cat", "dog", "dog", "cat"]
    assert [each.label_id for each in found(outputs, background=-1)] == [0, 1, 2, 2]
    flat = {name: each[0] for name, each in outputs.items()}
    assert found(flat) == found(outputs)


def test_logits_of_all_classes_go_through_softmax() -> None:
    outputs = {
        "scores": [[[0.0, math.log(6), 0.0], [-3.0, math.log(2) - 3, math.log(7) - 3]]],
        "boxes": [[[0, 0, 1, 1], [0, 0, 1, 1]]],
    }
    assert [(each.label, each.score) for each in found(outputs)] == [("cat", pytest.approx(6 / 8)), ("dog", pytest.approx(7 / 10))]
    weak = GraphSpec(GraphName("g"), "g.onnx", "ssd", GRAPH.labels, 0.15)
    assert [each.score for each in found(outputs, weak, iou=1.0)] == pytest.approx([0.75, 0.7, 0.2])


def test_of_three_classes_and_their_background_the_name_tells_the_boxes() -> None:
    outputs = {"scores": [[[0, 0.9, 0, 0]]], "boxes": [[[0, 0, 1, 0.5]]]}
    assert [(each.label, each.box) for each in found(outputs)] == [("cat", (0, 0, 1, 0.5))]


@pytest.mark.parametrize("name", ["bus.jpg", "dog.jpg", "voc_000456.jpg", "person.jpg"])
def test_offsets_to_priors_give_what_openvinos_detection_output_makes_of_them(test_data: Path, name: str) -> None:
    """The published network with DetectionOutput, and cut off before it."""
    import openvino

    core = openvino.Core()
    model = core.read_model(test_data / "models/ssd_mobilenet_v1_coco/ssd_mobilenet_v1_coco.xml")
    last = next(layer for layer in model.get_ordered_ops() if layer.get_type_name() == "DetectionOutput")
    model.add_outputs([last.input_value(index) for index in range(3)])
    infer = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    tensor = cv2.resize(picture(test_data / "media" / name), (300, 300)).transpose(2, 0, 1)[None].astype(np.float32)
    whole, loc, scores, priors = infer([tensor]).values()
    graph = GraphSpec(GraphName("g"), "g.onnx", "ssd", {}, 0.3)
    expected = decode({"rows": whole}, graph, ResizeTransform(), Options()).detections
    outputs = {"mbox_loc": loc, "mbox_conf": scores, "mbox_priorbox": priors}
    assert check_outputs(outputs, graph, Options()) is None
    seen = decode(outputs, graph, ResizeTransform(), Options()).detections
    assert len(seen) == len(expected) > 0
    for each, other in zip(seen, expected, strict=True):
        assert each.label_id == other.label_id
        assert each.score == pytest.approx(other.score, abs=1e-5)
        assert each.box == pytest.approx(other.box, abs=1e-5)


def test_a_prior_is_moved_and_stretched_by_its_offsets() -> None:
    outputs = {
        "loc": [[1.0, -2.0, 5 * math.log(2), 0.0]],
        "conf": [[0.1, 0.9]],
        "priors": [[[0.4, 0.4, 0.6, 0.8], [0.1, 0.1, 0.2, 0.2]]],
    }
    # 0.2 by 0.4 around (0.5, 0.6): moved by 0.1 and -0.2 of its sides, twice as wide
    assert found(outputs) == [Detection("cat", 1, pytest.approx(0.9), pytest.approx((0.32, 0.32, 0.72, 0.72)))]  # type: ignore[arg-type]


def test_labels_of_more_classes_than_there_are_scores_are_told() -> None:
    outputs = {"boxes": np.zeros((1, 9, 4)), "scores": np.zeros((1, 9, 2))}
    assert "scores of 2 classes, from 0, and its labels name class 2" in str(check_outputs(outputs, GRAPH, Options()))


@pytest.mark.parametrize("options", [{"iou": 0.0}, {"iou": 1.5}, {"background": -2}])
def test_options_that_make_no_sense_are_refused_by_their_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Options(**options)


numbers = st.floats(width=32)


@given(
    arrays(np.float32, (1, 6, 4), elements=numbers),
    arrays(np.float32, (2, 6), elements=numbers),
    arrays(np.float32, (1, 6, 3), elements=numbers),
)
def test_garbage_never_raises(boxes: np.ndarray, vectors: np.ndarray, scores: np.ndarray) -> None:
    graph = GraphSpec(GraphName("g"), "g.onnx", "ssd", {}, 0.0)
    for outputs in (
        {"boxes": boxes, "classes": vectors[:1], "scores": vectors[1:], "count": vectors[0, :1]},
        {"boxes": boxes, "scores": scores},
    ):
        for each in decode(outputs, graph, ResizeTransform(), Options()).detections:
            assert 0 <= each.score <= 1
            assert 0 <= each.box[0] < each.box[2] <= 1
            assert 0 <= each.box[1] < each.box[3] <= 1
