"""A frame in a graph's input: every layout, channel order and type says the same pixels."""

from __future__ import annotations

import numpy as np
import pytest

from ncs_cluster.backends._preprocess import preprocess
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphName, ResizeTransform

PICTURE = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
BGR = GraphSpec(GraphName("made"), "/made.xml", "ssd")
RGB = GraphSpec(GraphName("made"), "/made.xml", "ssd", colour="RGB")


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.int32])
@pytest.mark.parametrize("spec", [BGR, RGB], ids=["BGR", "RGB"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_same_pixels_in_every_layout_order_and_type(layout: str, spec: GraphSpec, dtype: type) -> None:
    flat = np.full(6 * 8 * 3, 7, dtype)
    assert preprocess(PICTURE, spec, 8, 6, flat, layout) == ResizeTransform(width=8, height=6)
    expected = PICTURE[:, :, ::-1] if spec.colour == "RGB" else PICTURE
    laid = flat.reshape(3, 6, 8).transpose(1, 2, 0) if layout == "NCHW" else flat.reshape(6, 8, 3)
    np.testing.assert_array_equal(laid, expected.astype(dtype))


def test_the_input_may_lie_anywhere_in_a_larger_buffer() -> None:
    tensor = bytearray(b"x" * 1024)
    inside = np.frombuffer(tensor, np.uint8, 3 * 4 * 4, offset=64).reshape(1, 3, 4, 4)
    preprocess(np.full((10, 10, 3), 9, np.uint8), BGR, 4, 4, inside, "NCHW")
    assert tensor[:64] == b"x" * 64
    assert tensor[64 : 64 + 48] == b"\x09" * 48
    assert tensor[64 + 48 :] == b"x" * (1024 - 112)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_letterbox_leaves_nothing_of_the_frame_before_it(layout: str) -> None:
    spec = GraphSpec(GraphName("made"), "/made.xml", "ssd", resize="letterbox")
    out = np.zeros(20 * 20 * 3, np.uint8)
    preprocess(np.full((10, 40, 3), 255, np.uint8), spec, 20, 20, out, layout)
    transform = preprocess(np.full((40, 10, 3), 200, np.uint8), spec, 20, 20, out, layout)
    assert transform == ResizeTransform(0.25, 1.0, 0.35, 0.0, 20, 20)
    laid = out.reshape(3, 20, 20)[0] if layout == "NCHW" else out.reshape(20, 20, 3)[:, :, 0]
    assert (laid[:, 7:12] == 200).all()
    assert (np.delete(laid, slice(7, 12), axis=1) == 114).all()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_letterboxed_frame_may_lie_at_the_top_left_with_a_padding_of_ones_own(layout: str) -> None:
    spec = GraphSpec(GraphName("made"), "/made.xml", "yolo", resize="letterbox", align="top-left", padding=7)
    out = np.zeros(20 * 30 * 3, np.uint8)
    transform = preprocess(np.full((40, 20, 3), 200, np.uint8), spec, 30, 20, out, layout)
    assert transform == ResizeTransform(10 / 30, 1.0, 0.0, 0.0, 30, 20)
    laid = out.reshape(3, 20, 30)[0] if layout == "NCHW" else out.reshape(20, 30, 3)[:, :, 0]
    assert (laid[:, :10] == 200).all()
    assert (laid[:, 10:] == 7).all()
