"""Films that are made byte by byte: interlaced, and with damaged frames."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import cv2

DECODES = "avfilter" in Path("/proc/self/maps").read_text() or cv2.__version__ < "4.13"
"""OpenCV decodes interlaced video: before 4.13 itself, since then through FFmpeg's filters, which its headless builds lack."""
# eight key frames of MPEG-2, 64x48, each of one grey; each frame says that it is interlaced
INTERLACED = (
    "eNqV0q0KwlAYxvH37LxBLCKKGGViWBC8hAUFWVz0DoyCxY8gJsEgypLZBbMKRi/F6qkWsRz3EQw+b3Btv8OB/x5GpE5Mnaa19zqRulSXpCh51JUK5FP6UrKv9GRj"
    "n9mBqsx30aEXe/11EG5rUew2EnWgaqgMVc64CRkGZhiYYWCG+SNDCWtMivnlthd0B2G0WmQZSDVUhipnCGuMjvnlc+yVh0HoZhUANUJGKCY4whKt75Lpp/hZAkCN"
    "kBHKCcIK4wdYAaBGyAjFBC2sMN2j/wGphspQ5QxhidkbZSDVUPlXP0eHLhw="
)


def interlaced(path: Path, progressive: tuple[int, ...] = ()) -> str:
    """A film whose frame n has the brightness `grey(n)`; the frames of these numbers are not interlaced (ISO 13818-2, 6.2.3.1)."""
    data, at = bytearray(zlib.decompress(base64.b64decode(INTERLACED))), 0
    for n in range(8):
        at = data.index(b"\0\0\1\xb5\x8f", at + 1)
        if n in progressive:
            data[at + 8] |= 0x80
    path.write_bytes(data)
    return str(path)


def grey(n: int) -> float:
    return 24.5 + 25.5 * n


def damage(path: str | Path, *frames: int) -> None:
    """Overwrite these frames of an AVI file (chunk 00dc, size, content) by zeros."""
    data = bytearray(Path(path).read_bytes())
    at = data.index(b"movi")
    for number in range(max(frames) + 1):
        at = data.index(b"00dc", at + 4)
        if number in frames:
            size = struct.unpack_from("<I", data, at + 4)[0]
            data[at + 8 : at + 8 + size] = bytes(size)
    Path(path).write_bytes(data)
