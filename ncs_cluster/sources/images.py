"""Pictures: one file, or all files of a folder and its subfolders in natural order (2 before 10), each once and in order.

An unreadable picture becomes a record with its reason, and a video among them too; other files are counted in the description.
Headers are checked before decoding, and links out of the folder are not followed, because a folder of pictures may come from an
untrusted source. Large JPEGs are scaled down while they are decoded.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, List, Optional, Tuple

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._exif import upright
from ncs_cluster.sources._header import MARKS, Header, header
from ncs_cluster.sources._opencv import need_opencv
from ncs_cluster.sources._planes import colour_room
from ncs_cluster.sources.base import Captured, Find, Parsed, Planes, SourceInfo

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
MOST_SIDE = 8192
"""Longest side of a slot in pixels: a pool has several slots."""
MOST_BYTES = 256 * 1024 * 1024
MOST_DECODED = 512 * 1024 * 1024
"""Bytes of a decoded picture, three per pixel."""
MEMORY_SHARE = 4
"""A decoded picture may take this part of the machine's memory."""
KNOWN = "JPEG, PNG, BMP, WebP, GIF, TIFF, JPEG 2000, AVIF, Netpbm"
ALWAYS = ("JPEG", "PNG", "BMP", "WebP", "Netpbm")
NAMED = 5
"""Kinds of files without pictures that the description names."""


@dataclass(frozen=True)
class Options:
    """A picture larger than `max_width` x `max_height` is scaled down to fit, its shape kept."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str
    loop: bool = False
    max_width: int = 1280
    max_height: int = 720

    def __post_init__(self) -> None:
        if not (0 < self.max_width <= MOST_SIDE and 0 < self.max_height <= MOST_SIDE):
            raise ValueError(f"max_width and max_height must be within 1..{MOST_SIDE}")


def parse(spec: str, find: Find) -> Parsed:
    return Parsed({"path": str(find(spec))}, spec)


def items(options: Options) -> List[str]:
    """The names that records of these pictures have, in order; empty with `loop`, for a single picture, and for a folder that
    cannot be listed."""
    try:
        if options.loop or not os.path.isdir(options.path):
            return []
        return [_shown(item) for item in _listed(os.path.abspath(options.path))[0]]
    except OSError:
        return []


def _shown(item: str) -> str:
    """File names need not be UTF-8, records must be."""
    return item.encode("utf-8", "backslashreplace").decode()


class Unreadable(Exception):
    """The reason why one picture cannot be read."""


class Images:
    """A picture or a folder of pictures."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._single = False
        self._folder = ""
        self._items: List[str] = []
        self._next = 0
        self._shown_in_pass = 0
        self._closed = threading.Event()

    def open(self) -> SourceInfo:
        """List the folder; pictures added later are found at the next `open`. Permanent SourceError without any picture."""
        need_opencv()
        options = self._options
        path = os.path.abspath(options.path)
        try:
            self._single = not os.path.isdir(path)
            self._folder = os.path.dirname(path) if self._single else path
            self._items, others = ([os.path.basename(path)], "") if self._single else _listed(path)
        except OSError as error:
            raise SourceError(f"{options.path}: {error.strerror}", permanent=True) from error
        if not self._items:
            raise SourceError(f"no picture in {options.path}{others}", permanent=True)
        self._next = self._shown_in_pass = 0
        self._closed.clear()
        width, height = options.max_width, options.max_height
        if self._single:
            try:
                width, height = self._fit(self._decode(self._items[0]).shape)
            except Unreadable as error:
                raise SourceError(f"{options.path}: {error}", permanent=True) from error
        count = f"{len(self._items)} picture{'s' if len(self._items) > 1 else ''}"
        return SourceInfo(
            width=width,
            height=height,
            fps=None,
            finite=not options.loop,
            ordered=True,
            description=f"{os.path.basename(path)} ({count}{others})",
        )

    def read(self, into: Planes) -> Optional[Captured]:
        """The next picture; None after the last. An unreadable picture has an `error`."""
        if self._closed.is_set():
            raise SourceError("the source is closed")
        if self._next == len(self._items):
            if not self._options.loop or not self._items:
                return None
            if not self._shown_in_pass:
                raise SourceError(f"none of the {len(self._items)} pictures in {self._options.path} can be read")
            self._next = self._shown_in_pass = 0
        item = self._items[self._next]
        self._next += 1
        shown = _shown(item)
        now_s, now = time.monotonic(), time.time()
        try:
            picture = self._decode(item)
        except Unreadable as error:
            return Captured(now_s, now, 0, 0, item=shown, error=f"{shown}: {error}")
        width, height = self._fit(picture.shape)
        slot = colour_room(into.colour, width, height)
        if picture.shape == slot.shape:
            slot[:] = picture
        else:
            import cv2

            cv2.resize(picture, (width, height), dst=slot, interpolation=cv2.INTER_AREA)
        self._shown_in_pass += 1
        return Captured(now_s, now, width, height, item=shown)

    def skip(self, frames: int) -> None:
        """Skip pictures, to continue where another reader stopped."""
        if self._options.loop:
            self._next = (self._next + frames) % len(self._items)
        else:
            self._next = min(len(self._items), self._next + frames)

    def close(self) -> None:
        """From any thread, any number of times."""
        self._closed.set()

    def _decode(self, item: str) -> NDArray[np.uint8]:
        """uint8 BGR [height, width, 3]. EXIF rotation is applied. Raises Unreadable."""
        import cv2
        import numpy as np

        if item.lower().endswith(VIDEOS):
            raise Unreadable("is a video: give it as a source of its own")
        data = self._bytes(item)
        head = header(data)
        if head is None and data.startswith(MARKS):
            raise Unreadable("is corrupt or truncated: it has no size")
        if head is None or item.lower().endswith(FOREIGN):
            raise Unreadable(f"is no picture that OpenCV can decode ({KNOWN}): convert it")
        shrink = self._shrink(head)
        _check(head, shrink)
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
        return np.ascontiguousarray(upright(np.asarray(picture, np.uint8), data, head.format))

    def _shrink(self, head: Header) -> int:
        """The factor by which the decoder may scale the picture down; it stays at least as large as it is shown."""
        width, height = self._fit((head.height, head.width))
        # the picture may be turned: neither side may become too short
        factor = min(head.width / max(width, height), head.height / max(width, height)) if head.shrinks else 1.0
        return next((shrink for shrink in (8, 4, 2) if shrink <= factor), 1)

    def _bytes(self, item: str) -> bytes:
        path = os.path.join(self._folder, item)
        try:
            if not self._single:
                home, real = os.path.realpath(self._folder), os.path.realpath(path)
                if os.path.commonpath([home, real]) != home:
                    raise Unreadable("is a link out of the folder")
            # non-blocking: a named pipe called x.jpg would block
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise Unreadable("is no regular file")
                if status.st_size > MOST_BYTES:
                    raise Unreadable(f"has {status.st_size >> 20} MB, more than {MOST_BYTES >> 20}")
                return file.read(MOST_BYTES)
        except OSError as error:
            raise Unreadable(f"cannot be read ({error.strerror})") from error

    def _fit(self, shape: Tuple[int, ...]) -> Tuple[int, int]:
        """Width and height after scaling down into the largest size; never scaled up."""
        height, width = shape[:2]
        scale = min(1.0, self._options.max_width / width, self._options.max_height / height)
        return max(1, round(width * scale)), max(1, round(height * scale))


def _check(head: Header, shrink: int) -> None:
    needs = 3 * head.width * head.height // shrink**2
    most = min(MOST_DECODED, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MEMORY_SHARE)
    if needs > most:
        raise Unreadable(f"has {head.width}x{head.height} pixels, which take {needs >> 20} MB, more than {most >> 20}")
    if not head.whole:
        raise Unreadable("is truncated: its end is missing")


def _listed(path: str) -> Tuple[List[str], str]:
    """Pictures and videos in and below a folder, in order; and for people how many other files there are."""
    found: List[str] = []
    others: Counter[str] = Counter()
    for folder, below, files in os.walk(path, onerror=_raise):
        below[:] = [name for name in below if not name.startswith(".")]
        others["linked folders"] += sum(os.path.islink(os.path.join(folder, name)) for name in below)
        for name in files:
            if name.startswith("."):
                continue
            if name.lower().endswith(PICTURES + FOREIGN + VIDEOS):
                found.append(os.path.relpath(os.path.join(folder, name), path))
            else:
                suffix = os.path.splitext(name)[1]
                others[suffix if suffix.isalnum() or suffix[1:].isalnum() else "other files"] += 1
    kinds = [f"{count} {kind}" for kind, count in others.most_common() if count]
    left_out = ", ".join(kinds[:NAMED] + (["others"] if len(kinds) > NAMED else []))
    return sorted(found, key=_natural), f"; left out: {left_out}" if left_out else ""


def _natural(path: str) -> List[Tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.replace(os.sep, "\0").lower())
    return [(0, int(part), "") if n % 2 else (1, 0, part) for n, part in enumerate(parts)] + [(2, 0, path)]


def _raise(error: OSError) -> None:
    raise error
