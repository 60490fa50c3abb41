"""Size and completeness of a picture file, before it is decoded.

A small file may declare a picture of gigabytes, and decoders fill the missing part of a truncated file with grey. Layouts: JPEG,
ITU-T T.81 annex B; PNG, RFC 2083; BMP, BITMAPINFOHEADER; WebP, RFC 9649.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, Optional

_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers: all of C0..CF but the tables (DHT, JPG, DAC)."""
_JPEG_ALONE = frozenset(range(0xD0, 0xD9)) | {0x01}
"""Markers without a length: RST, SOI, TEM."""


class Header(NamedTuple):
    """Size in pixels; `whole` is False when the file's end is missing."""

    width: int
    height: int
    whole: bool


def header(data: bytes) -> Optional[Header]:
    """The header of a JPEG, PNG, BMP or WebP file; None for any other file or an invalid header."""
    try:
        if data.startswith(b"\xff\xd8"):
            found = _jpeg(data)
        elif data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", data, 16)
            found = Header(width, height, data.rfind(b"IEND") > 0)
        elif data.startswith(b"BM"):
            found = _bmp(data)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            found = _webp(data)
        else:
            found = None
    except (struct.error, IndexError):
        return None
    return found if found is not None and found.width > 0 and found.height > 0 else None


def _jpeg(data: bytes) -> Optional[Header]:
    at, width, height = 2, 0, 0
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _JPEG_ALONE:  # fill byte, or a marker without content
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
        if marker == 0xDA:  # start of scan: after it FF D9 is always the end of the image
            return Header(width, height, data.find(b"\xff\xd9", at) > 0)
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def _bmp(data: bytes) -> Header:
    width, height = struct.unpack_from("<ii", data, 18)
    offset, bits = struct.unpack_from("<I", data, 10)[0], struct.unpack_from("<H", data, 28)[0]
    compressed = struct.unpack_from("<I", data, 30)[0] in (1, 2)
    needed = offset + (0 if compressed else (width * bits + 31) // 32 * 4 * abs(height))
    return Header(width, abs(height), len(data) >= needed)


def _webp(data: bytes) -> Optional[Header]:
    whole = len(data) >= 8 + int(struct.unpack_from("<I", data, 4)[0])
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header(width & 0x3FFF, height & 0x3FFF, whole)
    if kind == b"VP8L":
        bits = int(struct.unpack_from("<I", data, 21)[0])
        return Header((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, whole)
    if kind == b"VP8X":
        return Header(1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little"), whole)
    return None
