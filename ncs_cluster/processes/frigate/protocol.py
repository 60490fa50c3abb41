"""What Frigate's `zmq` detector sends and expects, as bytes: no socket, no clock.

From frigate/detectors/plugins/zmq_ipc.py (0.18), where a REQ socket sends one of

    handshake   one frame, JSON {"model_request": true, "model_name": NAME}
    upload      two frames, JSON {"model_data": true, "model_name": NAME}, and the bytes of a model file
    picture     two frames, JSON {"shape": [...], "dtype": "uint8" or "float32", "model_type": ...}, and the tensor in C order

and expects one JSON frame for the first two, and 480 bytes for a picture: float32 [20, 6], a row for each detection (id in
Frigate's labelmap, score, y1, x1, y2, x2 in 0..1), the best score first, the rest zeros. Frigate stops reading at the first row
below its threshold, and fails at an id that its labelmap does not have.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional, Union

import msgspec
import numpy as np
from numpy.typing import NDArray

from ncs_cluster.types import Detection

ROWS = 20
_ROW = struct.Struct("<6f")
ZEROS = bytes(ROWS * _ROW.size)
"""The answer "nothing was found", and the answer to a frame that could not be looked at."""
LONGEST_SIDE = 2048
"""Pixels. Frigate's models have 320 or 640."""
LARGEST_TENSOR = LONGEST_SIDE * LONGEST_SIDE * 3 * 4
"""Bytes."""
LARGEST_HEADER = 4096
LONGEST_NAME = 200
_AXES = {"nhwc": (0, 1, 2, 3), "nchw": (0, 2, 3, 1), "hwnc": (2, 0, 1, 3), "hwcn": (3, 0, 1, 2)}
"""`numpy.transpose` axes that make NHWC of each of Frigate's values of `input_tensor`."""


class Handshake(NamedTuple):
    """Frigate asks whether the model is there. `model`: the base name of its `model.path`."""

    model: str


class Upload(NamedTuple):
    """Frigate sends its model file, which is refused: a stick needs a graph made for it."""

    model: str


class Picture(NamedTuple):
    """A frame. `tensor`: uint8 or float32 [height, width, 3], a read-only view of the bytes that came."""

    tensor: NDArray[Any]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.tensor.shape[1], self.tensor.shape[0]


class Malformed(NamedTuple):
    """No message of Frigate's. `reason`: one line."""

    reason: str


Request = Union[Handshake, Upload, Picture, Malformed]


class _Header(msgspec.Struct, frozen=True):
    model_request: bool = False
    model_data: bool = False
    model_name: str = ""
    shape: Optional[list[int]] = None
    dtype: str = ""


_decode_header = msgspec.json.Decoder(_Header).decode


def parse(frames: Sequence[Any]) -> Request:
    """The request in the frames of one message, without the envelope of ZeroMQ. `frames`: objects with the buffer interface, which
    must stay unchanged while a returned Picture is used."""
    if not 1 <= len(frames) <= 2:
        return Malformed(f"a message has 1 or 2 frames, not {len(frames)}")
    head = bytes(memoryview(frames[0])[: LARGEST_HEADER + 1])
    if len(head) > LARGEST_HEADER:
        return Malformed(f"the header has more than {LARGEST_HEADER} bytes")
    try:
        header = _decode_header(head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Malformed(f"the header is not the JSON that Frigate sends: {error}")
    if header.model_request:
        return Handshake(header.model_name[:LONGEST_NAME])
    if header.model_data:
        return Upload(header.model_name[:LONGEST_NAME])
    if header.shape is None or len(frames) == 1:
        return Malformed("the message is neither a handshake nor a tensor with its shape")
    return _picture(header.shape, header.dtype, memoryview(frames[1]))


def _picture(shape: list[int], dtype: str, data: memoryview) -> Request:
    if dtype not in ("uint8", "float32"):
        return Malformed(f"dtype must be uint8 or float32, not {dtype[:40]!r}")
    layout = layout_of(shape)
    if layout is None:
        return Malformed(
            f"shape {str(shape)[:80]} is none of [1, H, W, 3] and its transpositions with sides of 1 to {LONGEST_SIDE}"
        )
    expected = math.prod(shape) * (1 if dtype == "uint8" else 4)
    if data.nbytes != expected:
        return Malformed(f"a {dtype} tensor of shape {shape} has {expected} bytes, not {data.nbytes}")
    tensor = np.frombuffer(data, dtype="u1" if dtype == "uint8" else "<f4").reshape(shape).transpose(_AXES[layout])[0]
    if dtype == "float32" and not np.isfinite(tensor).all():
        return Malformed("the tensor holds numbers that are not finite")
    return Picture(tensor)


def layout_of(shape: Sequence[int]) -> Optional[str]:
    """Frigate's `input_tensor` for a tensor of this shape; None: it is no picture, or too large. [1, 3, W, 3] is NHWC."""
    if len(shape) != 4 or not all(1 <= side <= LONGEST_SIDE for side in shape):
        return None
    if shape[0] == 1:
        return "nhwc" if shape[3] == 3 else "nchw" if shape[1] == 3 else None
    return "hwnc" if tuple(shape[2:]) == (1, 3) else "hwcn" if tuple(shape[2:]) == (3, 1) else None


class Pixels:
    """Pixels of one client's tensors. Frigate does not tell whether its floats are 0..1 (`float`) or 0..255 (`float_denorm`):
    those of a client are 0..1 until one is above 1, and 0..255 from then on."""

    def __init__(self) -> None:
        self._scale = 255.0

    def whole(self, tensor: NDArray[Any]) -> NDArray[np.uint8]:
        """uint8 [height, width, 3] of a Picture's tensor, with its channels in the order in which they came."""
        if tensor.dtype == np.uint8:
            return tensor
        if self._scale != 1.0 and tensor.max() > 1.0:
            self._scale = 1.0
        # clipped first: the largest floats overflow when they are multiplied
        pixels: NDArray[np.uint8] = np.rint(np.clip(tensor, 0.0, 255.0 / self._scale) * self._scale).astype(np.uint8)
        return pixels


def answer(detections: Sequence[Detection], ids: Mapping[str, int]) -> bytes:
    """The 480 bytes for a frame: the ROWS detections of highest score among those whose label has an id. `ids`: ids in Frigate's
    labelmap by label, in lower case."""
    known = [(found, ids.get(found.label.lower())) for found in detections if all(map(math.isfinite, (found.score, *found.box)))]
    best = sorted(((found, number) for found, number in known if number is not None), key=lambda each: -each[0].score)
    rows = bytearray(ZEROS)
    for at, (found, number) in enumerate(best[:ROWS]):
        x1, y1, x2, y2 = (min(max(side, 0.0), 1.0) for side in found.box)
        _ROW.pack_into(rows, at * _ROW.size, number, min(max(found.score, 0.0), 1.0), y1, x1, y2, x2)
    return bytes(rows)


HELD = msgspec.json.encode({"model_available": True, "model_loaded": True})
"""The answer to a handshake. Never "not available": Frigate would upload its model, and at the refusal detect nothing for ever."""
REFUSED = msgspec.json.encode(
    {"model_saved": False, "model_loaded": False, "error": "models are not taken; name a graph of the daemon as model.path"}
)
"""The answer to an upload."""
