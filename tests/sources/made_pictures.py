"""Pictures for tests of sources, and what a source gives of them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Optional

import cv2
import numpy as np

from ncs_cluster.sources.base import Captured, Planes
from ncs_cluster.sources.images import Images, Options

UNKNOWN = "is no picture that OpenCV can decode (JPEG, PNG, BMP, WebP, GIF, TIFF, JPEG 2000, AVIF, Netpbm): convert it"


def picture(width: int = 40, height: int = 30, brightness: int = 90) -> np.ndarray:
    return np.full((height, width, 3), brightness, np.uint8)


def write(path: Path, pixels: Optional[np.ndarray] = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, picture() if pixels is None else pixels)[1].tobytes())
    return path


def all_of(source: Images) -> list[Captured]:
    info = source.open()
    into, seen = Planes(np.zeros((info.height, info.width, 3), np.uint8)), []
    while (captured := source.read(into)) is not None:
        seen.append(captured)
    source.close()
    return seen


def only(path: Path) -> tuple[Captured, np.ndarray]:
    """The first picture of a source, and its pixels."""
    source = Images(Options(str(path)))
    info = source.open()
    slot = np.zeros((info.height, info.width, 3), np.uint8)
    captured = source.read(Planes(slot))
    assert captured is not None
    used = captured.width * captured.height * 3
    return captured, slot.reshape(-1)[:used].reshape(captured.height, captured.width, 3)


def chunk(kind: bytes, content: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb() -> bytes:
    """A PNG of a few bytes that claims 40000 x 40000 pixels."""
    size = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"\0" * 9999)) + chunk(b"IEND", b"")
