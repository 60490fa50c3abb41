"""The orientation of a picture. OpenCV applies EXIF in some formats, in some versions.

The tag: EXIF 2.3, 4.6.4; where it lies: JPEG, APP1; PNG, chunk eXIf; WebP, chunk EXIF, with or without the prefix of JPEG. The
TIFF decoder turns its pictures itself; AVIF pictures are shown as they are stored.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Optional

from ncs_cluster.sources._header import jpeg_segments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PREFIX = b"Exif\0\0"
_ORIENTATION, _SHORT = 274, 3
_FLIPPED = (2, 4, 5, 7)
_QUARTERS = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}
"""Orientation: quarter turns counter-clockwise, after the flip."""


def upright(picture: NDArray[np.uint8], data: bytes, kind: str) -> NDArray[np.uint8]:
    """The decoded picture [height, width, 3], turned as its file says. `kind`: the header's format."""
    import numpy as np

    try:
        turn = _orientation(data, kind)
    except (struct.error, IndexError, ValueError):
        return picture
    if turn in _FLIPPED:
        picture = picture[:, ::-1]
    return np.rot90(picture, _QUARTERS.get(turn, 0))


def _orientation(data: bytes, kind: str) -> int:
    """1 to 8; 1 is upright."""
    read = {"JPEG": _in_jpeg, "PNG": _in_png, "WebP": _in_webp}.get(kind)
    exif = None if read is None else read(data)
    return 1 if exif is None else _tag(exif[len(_PREFIX) :] if exif.startswith(_PREFIX) else exif)


def _in_jpeg(data: bytes) -> Optional[bytes]:
    contents = (data[at : at + length] for marker, at, length in jpeg_segments(data) if marker == 0xE1)
    return next((content for content in contents if content.startswith(_PREFIX)), None)


def _in_png(data: bytes) -> Optional[bytes]:
    at = 8
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"eXIf":
            return data[at + 8 : at + 8 + length]
        at += 12 + length
    return None


def _in_webp(data: bytes) -> Optional[bytes]:
    at = 12
    while at < len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        if name == b"EXIF":
            return data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    return None


def _tag(exif: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    at = int(struct.unpack_from(order + "I", exif, 4)[0])
    for entry in range(int(struct.unpack_from(order + "H", exif, at)[0])):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, at + 2 + 12 * entry)
        if (tag, kind) == (_ORIENTATION, _SHORT):
            return int(value)
    return 1
