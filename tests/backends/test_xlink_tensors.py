"""Where inputs and outputs lie in the buffers a stick takes and gives, in every type and layout a blob may name."""

from __future__ import annotations

import numpy as np
import pytest

from ncs_cluster.backends._tensors import Tensors
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphName
from ncs_cluster.xlink.blob import Blob, Port

SPEC = GraphSpec(GraphName("made"), "/made.xml", "ssd", blob="/made.blob")
WIDTHS = {"fp16": 2, "u8": 1, "s32": 4, "fp32": 4}


def port(name: str, dtype: str, layout: str, shape: tuple[int, ...], offset: int = 0, pad: int = 0) -> Port:
    """A dense port, or one whose innermost rows are `pad` bytes longer than they need be."""
    strides = [WIDTHS[dtype]]
    for axis, side in enumerate(reversed(shape[1:])):
        strides.insert(0, strides[0] * side + (pad if axis == 0 else 0))
    return Port(name, offset, dtype, layout, shape, tuple(strides), int(np.prod(shape)) * WIDTHS[dtype])


PICTURE = port("data", "u8", "NCHW", (1, 3, 4, 6), offset=64)


def blob(inputs: list[Port], outputs: list[Port]) -> Blob:
    return Blob(b"", (6, 0), inputs, outputs, 4096, 4096, 3, 1, 9, 7)


def test_the_picture_lies_at_its_offset_in_its_own_type() -> None:
    for dtype, width in WIDTHS.items():
        tensors = Tensors(SPEC, blob([port("data", dtype, "NHWC", (1, 4, 6, 3), offset=64)], []))
        assert (tensors.width, tensors.height, tensors.layout) == (6, 4, "NHWC")
        buffer = tensors.blank()
        tensors.picture(buffer)[:] = 1
        assert buffer[:64].max() == 0
        assert buffer[64 : 64 + 72 * width].max() > 0
        assert buffer[64 + 72 * width :].max() == 0


@pytest.mark.parametrize("dtype", WIDTHS)
def test_outputs_are_float32_in_the_order_of_the_models_axes(dtype: str) -> None:
    """What lies as rows of channels in memory is channels of rows to the model; two outputs are told apart."""
    heat = port("heat", dtype, "NHWC", (1, 4, 5, 2))
    classes = port("cls", dtype, "NC", (1, 7), offset=1024)
    tensors = Tensors(SPEC, blob([PICTURE], [heat, classes]))
    data = np.zeros(4096, np.uint8)
    laid = np.arange(40).astype(tensors_type(dtype)).reshape(1, 4, 5, 2)
    data[: heat.size] = np.frombuffer(laid.tobytes(), np.uint8)
    data[1024 : 1024 + classes.size] = np.frombuffer(np.arange(7).astype(tensors_type(dtype)).tobytes(), np.uint8)
    outputs = tensors.outputs(data.tobytes())
    assert {name: array.dtype for name, array in outputs.items()} == {"heat": np.float32, "cls": np.float32}
    np.testing.assert_array_equal(outputs["heat"], laid.transpose(0, 3, 1, 2).astype(np.float32))
    np.testing.assert_array_equal(outputs["cls"], np.arange(7, dtype=np.float32)[None])


def tensors_type(dtype: str) -> str:
    return {"fp16": "<f2", "u8": "|u1", "s32": "<i4", "fp32": "<f4"}[dtype]


def test_rows_longer_than_they_need_be_are_passed_over() -> None:
    padded = port("out", "fp32", "NCHW", (1, 1, 3, 2), pad=8)
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    (array,) = Tensors(SPEC, blob([PICTURE], [padded])).outputs(rows.tobytes() + bytes(64)).values()
    np.testing.assert_array_equal(array[0, 0], rows[:, :2])


@pytest.mark.parametrize(
    ("inputs", "word"),
    [
        ([PICTURE, port("size", "fp32", "NC", (1, 3))], "exactly one input"),
        ([port("data", "u8", "NC", (1, 100))], "exactly one input"),
        ([port("data", "u8", "NCHW", (1, 1, 4, 6))], "colour"),
        ([port("data", "u8", "NCHW", (2, 3, 4, 6))], "colour"),
        ([port("data", "u8", "NCHW", (1, 3, 4, 6), pad=2)], "padding"),
    ],
    ids=["two inputs", "no picture", "grey", "a batch", "padding"],
)
def test_a_graph_that_wants_no_single_colour_picture_is_refused_for_good(inputs: list[Port], word: str) -> None:
    with pytest.raises(StickError, match=word) as refused:
        Tensors(SPEC, blob(inputs, []))
    assert refused.value.reason == "graph"
