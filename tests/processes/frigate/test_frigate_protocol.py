"""Frigate's messages as bytes, judged by what Frigate's own plugin sends and by numpy."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ncs_cluster.processes.frigate import protocol as p
from ncs_cluster.types import Detection

TRANSPOSED = {"nhwc": (0, 1, 2, 3), "nchw": (0, 3, 1, 2), "hwnc": (1, 2, 0, 3), "hwcn": (1, 2, 3, 0)}
"""What Frigate makes of its NHWC picture for each value of `input_tensor`."""


def scene(width: int = 5, height: int = 7) -> NDArray[np.uint8]:
    """Every pixel and channel differs: [height, width, 3]."""
    return np.arange(width * height * 3, dtype=np.uint8).reshape(height, width, 3)


def sent(tensor: NDArray[Any]) -> list[bytes]:
    """As Frigate's plugin sends a tensor."""
    header = {"shape": list(tensor.shape), "dtype": tensor.dtype.name, "model_type": "ssd"}
    return [json.dumps(header).encode(), tensor.tobytes(order="C")]


def picture(tensor: NDArray[Any]) -> p.Picture:
    request = p.parse(sent(tensor))
    assert isinstance(request, p.Picture), request
    return request


def rows(answer: bytes) -> NDArray[np.float32]:
    """As Frigate's plugin reads an answer."""
    assert len(answer) == 480
    return np.frombuffer(answer, np.float32).reshape(20, 6)


def found(label: str, score: float, box: tuple[float, float, float, float] = (0.1, 0.2, 0.3, 0.4)) -> Detection:
    return Detection(label, 1, score, box)


def test_a_handshake_names_the_model() -> None:
    assert p.parse([b'{"model_request": true, "model_name": "yolox_nano"}']) == p.Handshake("yolox_nano")


def test_an_upload_is_recognised_whatever_the_file_holds() -> None:
    assert p.parse([b'{"model_data": true, "model_name": "a.onnx"}', b"\0" * 10]) == p.Upload("a.onnx")
    assert json.loads(p.REFUSED)["model_saved"] is False


@pytest.mark.parametrize("layout", list(TRANSPOSED))
@pytest.mark.parametrize(
    ("dtype", "scale"), [(np.uint8, 1), (np.float32, 255), (np.float32, 1)], ids=["int", "float", "float_denorm"]
)
def test_every_layout_and_number_format_of_frigate_gives_the_same_pixels(layout: str, dtype: Any, scale: int) -> None:
    rgb = scene()
    tensor = np.transpose(rgb[np.newaxis], TRANSPOSED[layout]).astype(dtype)
    if scale != 1:
        tensor /= scale
    request = picture(tensor)
    assert request.size == (5, 7)
    whole = p.Pixels().whole(request.tensor)
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(whole, rgb)


def test_a_dark_frame_of_a_client_with_floats_up_to_255_stays_dark() -> None:
    pixels = p.Pixels()
    bright = np.full((4, 4, 3), 200.0, np.float32)
    assert pixels.whole(bright).max() == 200
    assert pixels.whole(np.ones((4, 4, 3), np.float32)).max() == 1


def test_floats_out_of_range_are_clipped() -> None:
    tensor = np.array([[[-1e38, 3e38, 12.4]]], np.float32)
    assert p.Pixels().whole(tensor).tolist() == [[[0, 255, 12]]]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "1 or 2 frames, not 0"),
        ([b"{}", b"", b""], "1 or 2 frames, not 3"),
        ([b"not json"], "not the JSON"),
        ([b"[" * 4000], "not the JSON"),
        ([b"{" + b" " * 5000], "more than 4096 bytes"),
        ([b'{"shape": [1, 2, 2, 3], "dtype": "uint8"}'], "neither a handshake"),
        ([b'{"shape": [1, 2, 2, 3], "dtype": "float64"}', b""], "dtype must be uint8 or float32, not 'float64'"),
        ([b'{"shape": [1, 2, 2, 4], "dtype": "uint8"}', bytes(16)], "none of"),
        ([b'{"shape": [1, 2, 999999999999999999999, 3], "dtype": "uint8"}', b""], "none of|not the JSON"),
        ([b'{"shape": [1, 2, -2, 3], "dtype": "uint8"}', b""], "none of"),
        ([b'{"shape": [1, 2, 2, 3], "dtype": "uint8"}', bytes(11)], "has 12 bytes, not 11"),
        ([b'{"shape": [1, 1, 1, 3], "dtype": "float32"}', b"\xff" * 12], "not finite"),
    ],
)
def test_what_frigate_does_not_send_is_told_in_one_line(frames: list[bytes], reason: str) -> None:
    request = p.parse(frames)
    assert isinstance(request, p.Malformed), request
    assert re.search(reason, request.reason)
    assert "\n" not in request.reason


def test_an_answer_has_the_best_twenty_of_the_known_labels_first() -> None:
    seen = [found("person", 0.5 + each / 100) for each in range(25)]
    best = rows(p.answer([*seen, found("unicorn", 0.99)], {"person": 0, "car": 2}))
    np.testing.assert_allclose(best[:, 1], [0.74 - each / 100 for each in range(20)], rtol=1e-6)
    assert not best[:, 0].any()


def test_a_row_is_id_score_and_the_box_with_y_first() -> None:
    answer = rows(p.answer([found("Car", 0.75, (0.1, 0.2, 0.3, 1.5))], {"car": 2}))
    np.testing.assert_allclose(answer[0], [2, 0.75, 0.2, 0.1, 1.0, 0.3], rtol=1e-6)
    assert not answer[1:].any()


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_no_bytes_raise(frames: list[bytes]) -> None:
    p.parse(frames)


NUMBERS = st.one_of(st.integers(-5, 3000), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8), st.lists(NUMBERS, max_size=6))
KEYS = st.sampled_from(["model_request", "model_data", "model_name", "shape", "dtype", "model_type", "other"])


@given(st.dictionaries(KEYS, VALUES), st.binary(max_size=60))
def test_no_json_raises(header: dict[str, Any], data: bytes) -> None:
    p.parse([json.dumps(header).encode(), data])


DETECTIONS = st.builds(
    Detection,
    st.sampled_from(["person", "CAR", "unicorn", ""]),
    st.integers(-5, 5),
    st.floats(),
    st.tuples(st.floats(), st.floats(), st.floats(), st.floats()),
)


@given(st.lists(DETECTIONS, max_size=40))
@example([found("person", float("nan"))])
def test_every_answer_is_one_that_frigate_can_read(detections: list[Detection]) -> None:
    answer = rows(p.answer(detections, {"person": 0, "car": 2}))
    assert np.isfinite(answer).all()
    assert ((answer[:, 1:] >= 0) & (answer[:, 1:] <= 1)).all()
    assert set(answer[:, 0].tolist()) <= {0.0, 2.0}
    assert (np.diff(answer[:, 1]) <= 0).all()


def test_the_longest_name_fits_into_a_line_of_the_log() -> None:
    assert p.LONGEST_NAME < 500
