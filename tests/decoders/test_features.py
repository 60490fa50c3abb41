"""Vectors out of a graph: its outputs, and what lies inside it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ncs_cluster.decoders.features import MOST, Options, check_outputs, decode
from ncs_cluster.errors import StickError
from ncs_cluster.processes import preflight
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphName, ResizeTransform
from tests.decoders.running import folder_of, outcomes, picture, read
from tests.needs import need_litert

GRAPH = GraphSpec(GraphName("g"), "g.xml", "features")
REID = "person-reidentification-retail-0288"
MOBILENET = "mobilenet_v1_0.25_224_float"
LOGITS = "MobilenetV1/Logits/SpatialSqueeze"


def features(outputs: dict[str, Any], **options: Any) -> list[float] | None:
    found = decode(outputs, GRAPH, ResizeTransform(), Options(**options)).features
    return None if found is None else np.frombuffer(found, "<f4").tolist()


def test_people_are_described_as_by_openvinos_own_interface(test_data: Path, tmp_path: Path) -> None:
    """No other runtime reads this format: the reference is the same library, used by itself."""
    import openvino

    source = test_data / "models" / REID
    graph = read(folder_of(source, tmp_path / REID, f'model = "{REID}.xml"\n[decoder]\nname = "features"\nl2 = true\n'))
    image = picture(test_data / "media/bus.jpg")
    people = [image[400:860, 220:350], image[400:905, 50:220], image[400:870, 680:810]]
    core = openvino.Core()
    plain = core.compile_model(core.read_model(source / f"{REID}.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for crop, outcome in zip(people, outcomes(graph, people), strict=True):
        tensor = cv2.resize(crop, (128, 256)).transpose(2, 0, 1)[None].astype(np.float32)
        expected = plain(tensor)[0].reshape(-1).astype(np.float64)
        assert outcome.features is not None
        found = np.frombuffer(outcome.features, "<f4")
        np.testing.assert_allclose(found, expected / math.sqrt((expected**2).sum()), atol=1e-4)
        assert (outcome.detections, outcome.classes) == ([], [])


def test_a_layer_inside_a_model_gives_what_tensorflow_lite_has_there(test_data: Path, tmp_path: Path) -> None:
    source = test_data / "models" / MOBILENET
    toml = f"""
model = "{MOBILENET}.tflite"
decoder = {{ name = "features", layer = "{LOGITS}" }}
input = {{ colour = "RGB", mean = [127.5, 127.5, 127.5], scale = [127.5, 127.5, 127.5] }}
"""
    image = picture(test_data / "media/burger.jpg")
    graph = read(folder_of(source, tmp_path / "net", toml))
    assert graph.extra_outputs == [LOGITS]
    assert preflight.check([graph], "openvino") is None
    (outcome,) = outcomes(graph, [image])
    litert = need_litert()
    interpreter = litert.Interpreter(
        str(source / f"{MOBILENET}.tflite"),
        num_threads=1,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    pixels = cv2.cvtColor(cv2.resize(image, (224, 224)), cv2.COLOR_BGR2RGB)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], (pixels[None].astype(np.float32) / 127.5) - 1)
    interpreter.invoke()
    index = next(each["index"] for each in interpreter.get_tensor_details() if each["name"] == LOGITS)
    assert outcome.features is not None
    np.testing.assert_allclose(np.frombuffer(outcome.features, "<f4"), interpreter.get_tensor(index).reshape(-1), atol=1e-3)


def test_a_layer_that_is_not_there_is_told_with_similar_ones(test_data: Path, tmp_path: Path) -> None:
    toml = f'model = "{MOBILENET}.tflite"\n[decoder]\nname = "features"\nlayer = "MobilenetV1/Logits/Spatial"\n'
    graph = read(folder_of(test_data / "models" / MOBILENET, tmp_path / "net", toml))
    with pytest.raises(StickError, match=f'it has no layer "MobilenetV1/Logits/Spatial"; similar are {LOGITS}'):
        next(outcomes(graph, [np.zeros((8, 8, 3), np.uint8)]))


def test_a_blob_gives_no_layer() -> None:
    told = check_outputs({"out": np.zeros((1, 4), np.float32)}, GRAPH, Options(layer="pool"))
    assert told == 'decoder "features" wants the layer "pool", and a blob gives its outputs alone: out [1, 4]'


def test_an_output_is_flat_in_the_order_of_its_axes() -> None:
    assert features({"out": np.arange(6, dtype=np.float16).reshape(1, 3, 2, 1)}) == [0, 1, 2, 3, 4, 5]


def test_of_several_outputs_one_is_named() -> None:
    outputs = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}
    assert features(outputs) is None
    assert features(outputs, output="b") == [3.0, 4.0]
    assert "a [2], b [2]: name one as decoder.output" in str(check_outputs(outputs, GRAPH, Options()))
    assert check_outputs(outputs, GRAPH, Options(output="b")) is None
    assert 'wants the output "c"' in str(check_outputs(outputs, GRAPH, Options(output="c")))


def test_l2_makes_the_length_one_also_of_numbers_whose_squares_float32_cannot_hold() -> None:
    assert features({"out": np.array([[3.0, -4.0]], np.float32)}, l2=True) == pytest.approx([0.6, -0.8])
    assert features({"out": np.array([[3e30, 4e30]], np.float32)}, l2=True) == pytest.approx([0.6, 0.8])
    assert features({"out": np.array([[0.0, 0.0]], np.float32)}, l2=True) == [0, 0]


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_a_vector_with_a_number_that_is_not_finite_is_none(value: float) -> None:
    assert features({"out": np.array([1.0, value])}) is None


def test_a_vector_of_more_numbers_than_a_result_carries_is_told() -> None:
    large = {"map": np.zeros((1, 1024, 7, 7), np.float32)}
    assert features(large) is None
    assert f"gives at most {MOST} numbers for a frame, and the graph gives map [1, 1024, 7, 7]" in str(
        check_outputs(large, GRAPH, Options())
    )
