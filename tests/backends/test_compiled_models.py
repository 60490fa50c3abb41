"""What is folded into a graph, checked against numpy; what a frame becomes in its input; what a bad file is called."""

from __future__ import annotations

import select
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncs_cluster.backends._compiled_models import CompiledModels, Inference
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphName, ResizeTransform

Make = Callable[..., GraphSpec]
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
PICTURE = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.fixture
def graphs() -> Iterator[CompiledModels]:
    opened = CompiledModels("CPU", depth=2, properties=EXACT)
    yield opened
    opened.close()


def infer(graphs: CompiledModels, image: np.ndarray, graph: int = 0) -> Inference:
    graphs.submit(1, graph, image)
    assert select.select([graphs.wake_fd], [], [], 10)[0]
    (inference,) = graphs.collect()
    return inference


def seen(graphs: CompiledModels, image: np.ndarray) -> np.ndarray:
    """What the identity graph was given."""
    (array,) = infer(graphs, image).outputs.values()
    return array - 1000.0


def test_a_planar_graph_gets_the_picture_in_planes(graphs: CompiledModels, identity: Make) -> None:
    graphs.load([identity((1, 3, 6, 8))])
    np.testing.assert_array_equal(seen(graphs, PICTURE), PICTURE.transpose(2, 0, 1)[None].astype(np.float32))


def test_an_interleaved_graph_gets_it_as_it_is(graphs: CompiledModels, identity: Make) -> None:
    graphs.load([identity((1, 6, 8, 3))])
    np.testing.assert_array_equal(seen(graphs, PICTURE), PICTURE[None].astype(np.float32))


def test_colour_order_mean_and_scale_are_folded_in_in_the_graphs_own_order(graphs: CompiledModels, identity: Make) -> None:
    mean, scale = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)
    graphs.load([identity((1, 3, 6, 8), colour="RGB", mean=mean, scale=scale)])
    expected = (PICTURE[:, :, ::-1].astype(np.float32) - mean) / scale
    np.testing.assert_allclose(seen(graphs, PICTURE)[0].transpose(1, 2, 0), expected, atol=1e-3)


@pytest.mark.parametrize("colour", ["BGR", "RGB"])
@pytest.mark.parametrize("shape", [(1, 3, 6, 8), (1, 6, 8, 3)], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize(("kind", "mean"), [("u8", 0.0), ("i8", 128.0), ("f32", 0.0), ("f16", 128.0)])
def test_inputs_of_bytes_and_of_floats_get_the_same_pixels(
    graphs: CompiledModels, save: Make, kind: str, mean: float, shape: tuple[int, ...], colour: str
) -> None:
    from openvino import Type
    from openvino import opset8 as ops

    picture = ops.parameter(list(shape), getattr(Type, kind), name="picture")
    graphs.load(
        [save([ops.add(ops.convert(picture, "f32"), ops.constant(0.5, Type.f32))], [picture], colour=colour, mean=(mean,) * 3)]
    )
    pixels = PICTURE[:, :, ::-1] if colour == "RGB" else PICTURE
    expected = pixels.transpose(2, 0, 1) if shape[1] == 3 else pixels
    np.testing.assert_array_equal(next(iter(infer(graphs, PICTURE).outputs.values()))[0], expected - mean + 0.5)


@pytest.mark.parametrize(
    ("kind", "mean", "scale", "line"),
    [
        ("u8", 1.0, 1.0, "takes u8, 0 to 255, and input.mean and input.scale make pixels of -1 to 254: leave mean and scale out"),
        ("u8", 0.0, 255.0, "pixels of 0 to 1: leave mean and scale out"),
        (
            "i8",
            0.0,
            1.0,
            "takes i8, -128 to 127, and input.mean and input.scale make pixels of 0 to 255: set mean = [128, 128, 128]",
        ),
        ("i8", 127.5, 1.0, "pixels of -127.5 to 127.5: set mean"),
    ],
)
def test_pixels_that_do_not_fit_an_input_of_integers_are_refused(
    graphs: CompiledModels, save: Make, kind: str, mean: float, scale: float, line: str
) -> None:
    from openvino import Type
    from openvino import opset8 as ops

    picture = ops.parameter([1, 3, 6, 8], getattr(Type, kind), name="picture")
    spec = save([ops.convert(picture, "f32")], [picture], mean=(mean,) * 3, scale=(scale,) * 3)
    with pytest.raises(StickError) as refused:
        graphs.load([spec])
    assert line in refused.value.detail


def test_a_free_batch_becomes_one(graphs: CompiledModels, identity: Make) -> None:
    graphs.load([identity((-1, 3, 6, 8))])
    assert seen(graphs, PICTURE).shape == (1, 3, 6, 8)


def test_stretching_fills_the_input(graphs: CompiledModels, identity: Make) -> None:
    graphs.load([identity((1, 12, 20, 3))])
    assert infer(graphs, PICTURE).transform == ResizeTransform(width=20, height=12)
    white = np.full((50, 10, 3), 255, np.uint8)
    assert seen(graphs, white).min() == 255


def test_letterboxing_keeps_proportions_and_says_where_the_frame_lies(graphs: CompiledModels, identity: Make) -> None:
    graphs.load([identity((1, 20, 20, 3), resize="letterbox")])
    wide = np.full((10, 40, 3), 255, np.uint8)
    inference = infer(graphs, wide)
    assert inference.transform == ResizeTransform(1.0, 0.25, 0.0, 0.35, 20, 20)
    laid = seen(graphs, wide)[0, :, :, 0]
    assert (laid[7:12] == 255).all()
    assert (laid[:7] == 114).all()
    assert (laid[12:] == 114).all()
    # another size after it leaves nothing of the first behind
    tall = np.full((40, 10, 3), 255, np.uint8)
    for _ in range(3):
        laid = seen(graphs, tall)[0, :, :, 0]
    assert (laid[:, 7:12] == 255).all()
    assert (np.delete(laid, slice(7, 12), axis=1) == 114).all()


def test_two_graphs_are_told_apart(graphs: CompiledModels, identity: Make, tmp_path: Path) -> None:
    small = identity((1, 3, 6, 8))
    kept = tmp_path / "small.xml"
    shutil.copy(small.model, kept)
    shutil.copy(Path(small.model).with_suffix(".bin"), kept.with_suffix(".bin"))
    graphs.load([GraphSpec(GraphName("small"), str(kept), "ssd"), identity((1, 3, 10, 10))])
    assert [next(iter(answer.values())).shape for answer in graphs.warm_up()] == [(1, 3, 6, 8), (1, 3, 10, 10)]
    assert next(iter(infer(graphs, PICTURE, graph=1).outputs.values())).shape == (1, 3, 10, 10)


def test_every_submitted_inference_ends_once_with_its_own_pixels(graphs: CompiledModels, identity: Make) -> None:
    graphs.load([identity((1, 3, 6, 8))])
    answers: dict[int, float] = {}
    waiting = list(range(40))
    flying = 0
    while len(answers) < 40:
        while waiting and flying < 2:
            tag = waiting.pop(0)
            graphs.submit(tag, 0, np.full((6, 8, 3), tag, np.uint8))
            flying += 1
        assert select.select([graphs.wake_fd], [], [], 10)[0]
        for inference in graphs.collect():
            flying -= 1
            assert inference.tag not in answers
            answers[inference.tag] = float(next(iter(inference.outputs.values())).mean() - 1000)
    assert answers == {tag: float(tag) for tag in range(40)}


def test_more_than_depth_is_refused_not_overwritten(graphs: CompiledModels, identity: Make) -> None:
    graphs.load([identity((1, 3, 6, 8))])
    graphs.submit(1, 0, PICTURE)
    graphs.submit(2, 0, PICTURE)
    with pytest.raises(StickError, match="more than 2"):
        graphs.submit(3, 0, PICTURE)


def test_an_inference_that_fails_says_so(graphs: CompiledModels, save: Make) -> None:
    from openvino import Type
    from openvino import opset8 as ops

    picture = ops.parameter([1, 3, 6, 8], Type.f32, name="picture")
    brightest = ops.convert(ops.reduce_max(picture, ops.constant([0, 1, 2, 3], Type.i64), True), "i64")
    # 144 values: only a picture whose brightest value divides them can be reshaped so
    rows = ops.reshape(brightest, ops.constant([1], Type.i64), False)
    shape = ops.concat([rows, ops.constant([-1], Type.i64)], 0)
    graphs.load([save([ops.reshape(picture, shape, False)], [picture])])
    assert next(iter(infer(graphs, np.full((6, 8, 3), 12, np.uint8)).outputs.values())).shape == (12, 12)
    with pytest.raises(StickError) as caught:
        infer(graphs, np.full((6, 8, 3), 7, np.uint8))
    assert caught.value.reason == "infer"
    assert "\n" not in caught.value.detail
    # and the lane is free again
    assert next(iter(infer(graphs, np.full((6, 8, 3), 9, np.uint8)).outputs.values())).shape == (9, 16)


def test_an_unknown_device_is_named_with_those_there_are() -> None:
    with pytest.raises(StickError, match=r'no device "ABACUS" here: it sees .*CPU') as caught:
        CompiledModels("ABACUS")
    assert caught.value.reason == "open"


def test_properties_the_device_does_not_know_are_left_out() -> None:
    CompiledModels("CPU", properties={"PUMPKIN": 3, **EXACT}).close()


def no_weights(path: Path) -> None:
    path.with_suffix(".bin").unlink()


def cut_weights(path: Path) -> None:
    path.with_suffix(".bin").write_bytes(b"abc")


def cut_graph(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def not_xml(path: Path) -> None:
    path.write_bytes(b"\x00\x01hello")


def other_xml(path: Path) -> None:
    path.write_text("<html version='10'></html>")


def old_version(path: Path) -> None:
    path.write_text(path.read_text().replace('version="11"', 'version="7"', 1))


def new_version(path: Path) -> None:
    path.write_text(path.read_text().replace('version="11"', 'version="99"', 1))


def unknown_operation(path: Path) -> None:
    path.write_text(path.read_text().replace('type="ReLU"', 'type="Frobnicate"'))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (Path.unlink, "there is no such file"),
        (no_weights, "its weights made.bin are missing"),
        (cut_weights, "weights"),
        (cut_graph, "damaged|cannot be read"),
        (not_xml, "damaged"),
        (other_xml, "no OpenVINO IR"),
        (old_version, "IR version 7 is too old"),
        (new_version, "IR version 99"),
        (unknown_operation, "Frobnicate"),
    ],
)
def test_a_spoiled_graph_is_one_line_that_names_the_file(
    graphs: CompiledModels, identity: Make, spoil: Callable[[Path], Any], says: str
) -> None:
    spec = identity((1, 3, 6, 8))
    spoil(Path(spec.model))
    with pytest.raises(StickError, match=says) as caught:
        graphs.load([spec])
    assert caught.value.reason == "graph"
    assert spec.model in caught.value.detail
    assert "\n" not in caught.value.detail


@pytest.mark.parametrize(
    ("shape", "says"),
    [((1, 1, 6, 8), "no.* colour picture"), ((1, 3, -1, 8), "no fixed size"), ((1, 48), "not a picture")],
)
def test_an_input_that_is_no_colour_picture_is_refused(
    graphs: CompiledModels, identity: Make, shape: tuple[int, ...], says: str
) -> None:
    with pytest.raises(StickError, match=says) as caught:
        graphs.load([identity(shape)])
    assert caught.value.reason == "graph"


def test_a_second_input_is_refused_by_name(graphs: CompiledModels, save: Make) -> None:
    from openvino import Type
    from openvino import opset8 as ops

    picture = ops.parameter([1, 3, 6, 8], Type.f32, name="picture")
    info = ops.parameter([1, 3, 6, 8], Type.f32, name="image_info")
    info.output(0).get_tensor().set_names({"image_info"})
    picture.output(0).get_tensor().set_names({"picture"})
    with pytest.raises(StickError, match=r"2 inputs \(picture, image_info\)"):
        graphs.load([save([ops.add(picture, info)], [picture, info])])


def test_a_tflite_model_with_an_operation_openvino_lacks_is_named(graphs: CompiledModels, test_data: Path) -> None:
    model = test_data / "models/ssd_mobilenet_v1_coco/ssd_mobilenet_v1_coco_quant.tflite"
    with pytest.raises(StickError, match="TFLite_Detection_PostProcess"):
        graphs.load([GraphSpec(GraphName("coco"), str(model), "ssd")])
