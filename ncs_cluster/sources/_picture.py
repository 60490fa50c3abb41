"""Decodes one picture file: its header is checked first, because a file may come from a stranger. Runs on CPython 3.9."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple, Optional, Tuple

from ncs_cluster.sources._exif import upright
from ncs_cluster.sources._header import MARKS, Header, header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PICTURES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff", ".avif", ".jp2", ".j2k"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm"),
)
FOREIGN = (
    *(".heic", ".heif", ".jxl", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"),
    *(".hdr", ".exr", ".ras", ".sr", ".xcf", ".tga", ".ico"),
)
"""Pictures that OpenCV cannot decode, or not in every build."""
VIDEOS = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".3gp", ".wmv", ".flv", ".dv"),
    *(".ogv", ".vob", ".bag", ".db3"),
)
MOST_BYTES = 256 * 1024 * 1024
MOST_DECODED = 512 * 1024 * 1024
"""Bytes of a decoded picture, three per pixel."""
MOST_SIDE = 2**20
"""Pixels: OpenCV decodes no wider and no higher picture."""
MEMORY_SHARE = 4
"""A decoded picture may take this part of the machine's memory."""
KNOWN = "JPEG, PNG, BMP, WebP, GIF, TIFF, JPEG 2000, AVIF, Netpbm"
ALWAYS = ("JPEG", "PNG", "BMP", "WebP", "Netpbm")
_NO_PICTURE = f"is no picture that OpenCV can decode ({KNOWN}): convert it"


class Unreadable(Exception):
    """The reason why one picture cannot be read."""


class Decoded(NamedTuple):
    """A picture: uint8 BGR [height, width, 3], and its width and height before it was scaled down."""

    pixels: NDArray[np.uint8]
    size: Tuple[int, int]


def fit(width: int, height: int, most: Tuple[int, int]) -> Tuple[int, int]:
    """Width and height after scaling down into `most`, (width, height); never scaled up."""
    scale = min(1.0, most[0] / width, most[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def decode(path: str, most: Tuple[int, int], home: Optional[str] = None) -> Decoded:
    """The picture, turned as its EXIF data say; a large JPEG is scaled down while it is decoded, but not below `most`. `home`: the
    folder that the file may not lead out of. Raises Unreadable."""
    lower = path.lower()
    if lower.endswith(VIDEOS):
        raise Unreadable("is a video: give it as a source of its own")
    data = _bytes(path, home)
    if lower.endswith(FOREIGN) and header(data) is not None:
        raise Unreadable(_NO_PICTURE)
    return decode_bytes(data, most)


def decode_bytes(data: bytes, most: Tuple[int, int], most_decoded: Optional[int] = None) -> Decoded:
    """As `decode`, of a file's content. `most_decoded`: bytes of the decoded picture, three per pixel; None:
    MOST_DECODED. Raises Unreadable."""
    import cv2
    import numpy as np

    head = header(data)
    if head is None and data.startswith(MARKS):
        raise Unreadable("is corrupt or truncated: it has no size")
    if head is None:
        raise Unreadable(_NO_PICTURE)
    shrink = _shrink(head, most)
    _check(head, shrink, most_decoded or MOST_DECODED)
    flags = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
    try:
        picture = cv2.imdecode(
            np.frombuffer(data, np.uint8), flags.get(shrink, cv2.IMREAD_REDUCED_COLOR_8) | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise Unreadable("is corrupt") from error
    if picture is None:
        unless = "" if head.format in ALWAYS else f", or {head.format}, which not every build of OpenCV decodes"
        raise Unreadable(f"is corrupt{unless}")
    turned = np.ascontiguousarray(upright(np.asarray(picture, np.uint8), data, head.format))
    swapped = (turned.shape[0] > turned.shape[1]) != (picture.shape[0] > picture.shape[1])
    return Decoded(turned, (head.height, head.width) if swapped else (head.width, head.height))


def scaled(path: str, most: Tuple[int, int], home: Optional[str] = None) -> Decoded:
    """As `decode`, and scaled down into `most`, (width, height). Raises Unreadable."""
    import numpy as np

    picture = decode(path, most, home)
    height, width = picture.pixels.shape[:2]
    size = fit(width, height, most)
    if size == (width, height):
        return picture
    small = np.empty((size[1], size[0], 3), np.uint8)
    resized(picture.pixels, size, small)
    return Decoded(small, picture.size)


def resized(picture: NDArray[np.uint8], size: Tuple[int, int], into: NDArray[np.uint8]) -> None:
    """Write the picture into a slot [height, width, 3] of `size`, (width, height)."""
    if picture.shape == into.shape:
        into[:] = picture
        return
    import cv2

    cv2.resize(picture, size, dst=into, interpolation=cv2.INTER_AREA)


def shown(name: str) -> str:
    """File names need not be UTF-8, records must be."""
    return name.encode("utf-8", "backslashreplace").decode()


def _shrink(head: Header, most: Tuple[int, int]) -> int:
    """The factor by which the decoder may scale the picture down; it stays at least as large as it is shown."""
    width, height = fit(head.width, head.height, most)
    # the picture may be turned: neither side may become too short
    factor = min(head.width / max(width, height), head.height / max(width, height)) if head.shrinks else 1.0
    return next((shrink for shrink in (8, 4, 2) if shrink <= factor), 1)


def _bytes(path: str, home: Optional[str]) -> bytes:
    try:
        if home is not None:
            folder, real = os.path.realpath(home), os.path.realpath(path)
            if os.path.commonpath([folder, real]) != folder:
                raise Unreadable("is a link out of the folder")
        # non-blocking: a named pipe called x.jpg would block
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable("is no regular file")
            if status.st_size > MOST_BYTES:
                raise Unreadable(f"has {status.st_size >> 20} MB, more than {MOST_BYTES >> 20}")
            return file.read(MOST_BYTES)
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be read ({error.strerror if isinstance(error, OSError) else error})") from error


def _check(head: Header, shrink: int, most_decoded: int) -> None:
    if max(head.width, head.height) > MOST_SIDE:
        raise Unreadable(f"has {head.width}x{head.height} pixels, more than {MOST_SIDE} on a side")
    needs = 3 * head.width * head.height // shrink**2
    most = min(most_decoded, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MEMORY_SHARE)
    if needs > most:
        raise Unreadable(f"has {head.width}x{head.height} pixels, which take {needs >> 20} MB, more than {most >> 20}")
    if not head.whole:
        raise Unreadable("is truncated: its end is missing")
