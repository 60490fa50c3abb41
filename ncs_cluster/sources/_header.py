"""Format, size and completeness of a picture file, before it is decoded.

A small file may declare a picture of gigabytes, and decoders fill the missing part of a truncated file with grey. Layouts: JPEG,
ITU-T T.81 annex B; PNG, RFC 2083; BMP, BITMAPINFOHEADER and OS/2's BITMAPCOREHEADER; WebP, RFC 9649; GIF89a; TIFF 6.0; JPEG 2000,
ISO 15444-1 annexes A and I; AVIF and HEIC, ISO 23008-12; Netpbm.
"""

from __future__ import annotations

import re
import struct
from typing import Callable, Dict, NamedTuple, Optional, Tuple

_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers: all of C0..CF but the tables (DHT, JPG, DAC)."""
_JPEG_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_JPEG_SEQUENTIAL = frozenset({0xC0, 0xC1})
"""With Huffman codes: each block of 64 pixels takes two codes of at least a bit."""
_JPEG_ALONE = frozenset(range(0xD0, 0xD9)) | {0x01}
"""Markers without a length: RST, SOI, TEM."""
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_NETPBM = re.compile(rb"P[1-6Ff](?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")
_NETPBM_ANY = re.compile(rb"P7\nWIDTH (\d+)\nHEIGHT (\d+)\n")


class Header(NamedTuple):
    """Size in pixels; `whole` is False when the file's end is missing."""

    width: int
    height: int
    whole: bool
    format: str
    shrinks: bool = False
    """The decoder can scale it down while it decodes, without memory for its full size."""


def header(data: bytes) -> Optional[Header]:
    """The header of a picture file; None for any other file or an invalid header."""
    try:
        found = next((read(data) for begins, read in _READERS.items() if data.startswith(begins)), None)
        if found is None and data[4:8] == b"ftyp":
            found = _boxes(data)
        if found is None:
            found = _netpbm(data)
    except (struct.error, IndexError, ValueError):
        return None
    return found if found is not None and found.width > 0 and found.height > 0 else None


def jpeg_segments(data: bytes) -> Tuple[Tuple[int, int, int], ...]:
    """(marker, begin, length) of the content of each segment up to the start of scan, which is the last."""
    found, at = [], 2
    while True:
        # decoders pass over stray bytes between segments
        at = data.index(0xFF, at)
        marker = data[at + 1]
        if marker in (0x00, 0xFF) or marker in _JPEG_ALONE:  # stray or fill byte, or a marker without content
            at += 1 if marker == 0xFF else 2
            continue
        length = int(struct.unpack_from(">H", data, at + 2)[0])
        found.append((marker, at + 4, length - 2))
        if marker == 0xDA:
            return tuple(found)
        at += 2 + length


def _jpeg(data: bytes) -> Header:
    width = height = sof = 0
    at = 2
    for marker, at, _ in jpeg_segments(data):
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 1)
            sof = marker
    # after the start of scan FF D9 is always the end of the image; half of the least length, as some samplings have fewer blocks
    whole = data.find(b"\xff\xd9", at) > 0 and (sof not in _JPEG_SEQUENTIAL or len(data) - at >= width * height // 512)
    return Header(width, height, whole, "JPEG", shrinks=sof not in _JPEG_PROGRESSIVE)


def _png(data: bytes) -> Header:
    width, height = struct.unpack_from(">II", data, 16)
    return Header(width, height, data.rfind(b"IEND") > 0, "PNG")


def _bmp(data: bytes) -> Header:
    offset, size = struct.unpack_from("<I", data, 10)[0], struct.unpack_from("<I", data, 14)[0]
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compressed = False
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
        compressed = compression in (1, 2)
    needed = offset + (0 if compressed else (width * bits + 31) // 32 * 4 * abs(height))
    return Header(width, abs(height), len(data) >= needed, "BMP")


def _webp(data: bytes) -> Optional[Header]:
    if data[8:12] != b"WEBP":
        return None
    whole = len(data) >= 8 + int(struct.unpack_from("<I", data, 4)[0])
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header(width & 0x3FFF, height & 0x3FFF, whole, "WebP")
    if kind == b"VP8L":
        bits = int(struct.unpack_from("<I", data, 21)[0])
        return Header((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, whole, "WebP")
    if kind == b"VP8X":
        width, height = 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        return Header(width, height, whole, "WebP")
    return None


def _gif(data: bytes) -> Header:
    width, height = struct.unpack_from("<HH", data, 6)
    return Header(width, height, data.rstrip(b"\0").endswith(b";"), "GIF")


def _tiff(data: bytes) -> Header:
    order = "<" if data.startswith(b"II") else ">"
    at, size = int(struct.unpack_from(order + "I", data, 4)[0]), {_TIFF_WIDTH: 0, _TIFF_HEIGHT: 0}
    if at + 2 > len(data):
        return Header(1, 1, False, "TIFF")
    for entry in range(int(struct.unpack_from(order + "H", data, at)[0])):
        tag, kind = struct.unpack_from(order + "HH", data, at + 2 + 12 * entry)
        if tag in size:
            size[tag] = int(struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 10 + 12 * entry)[0])
    return Header(size[_TIFF_WIDTH], size[_TIFF_HEIGHT], True, "TIFF")


def _jpeg2000(data: bytes) -> Header:
    if data.startswith(b"\xff\x4f"):
        right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
        return Header(right - left, bottom - top, True, "JPEG 2000")
    height, width = struct.unpack_from(">II", data, data.index(b"ihdr") + 4)
    return Header(width, height, True, "JPEG 2000")


def _boxes(data: bytes) -> Optional[Header]:
    """AVIF and HEIC: the largest picture of the file."""
    size = int(struct.unpack_from(">I", data)[0])
    brands = data[8:size]
    name = "AVIF" if b"avif" in brands else "HEIC" if b"heic" in brands or b"heix" in brands or b"mif1" in brands else None
    if name is None:
        return None
    sizes = [struct.unpack_from(">II", data, found.end() + 4) for found in re.finditer(b"ispe", data[:65_536])]
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Header(width, height, True, name)


def _netpbm(data: bytes) -> Optional[Header]:
    found = _NETPBM.match(data[:4096]) or _NETPBM_ANY.match(data[:4096])
    return Header(int(found.group(1)), int(found.group(2)), True, "Netpbm") if found else None


_READERS: Dict[bytes, Callable[[bytes], Optional[Header]]] = {
    b"\xff\xd8": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"BM": _bmp,
    b"RIFF": _webp,
    b"GIF87a": _gif,
    b"GIF89a": _gif,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    b"\0\0\0\x0cjP  ": _jpeg2000,
    b"\xff\x4f\xff\x51": _jpeg2000,
}

MARKS = tuple(_READERS)
"""What files of the known formats begin with, AVIF and Netpbm aside."""
