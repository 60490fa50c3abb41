"""Pictures: one file, or all files of a folder and its subfolders in natural order (2 before 10), each once and in order.

An unreadable picture becomes a record with its reason. Headers are checked before decoding, and links out of the folder are not
followed, because a folder of pictures may come from an untrusted source.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, List, Optional, Tuple

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._header import Header, header
from ncs_cluster.sources._opencv import need_opencv
from ncs_cluster.sources._planes import colour_room
from ncs_cluster.sources.base import Captured, Find, Parsed, Planes, SourceInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MOST_PIXELS = 20_000_000
MOST_SIDE = 8192
"""Longest side of a slot in pixels: a pool has several slots."""
MOST_BYTES = 64 * 1024 * 1024


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
            self._items = [os.path.basename(path)] if self._single else _pictures(path)
        except OSError as error:
            raise SourceError(f"{options.path}: {error.strerror}", permanent=True) from error
        if not self._items:
            raise SourceError(f"no picture ({', '.join(SUFFIXES)}) in {options.path}", permanent=True)
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
            description=f"{os.path.basename(path)} ({count})",
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
        shown = item.encode("utf-8", "backslashreplace").decode()  # file names need not be UTF-8, records must be
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
        self._next = min(len(self._items), self._next + frames)

    def close(self) -> None:
        """From any thread, any number of times."""
        self._closed.set()

    def _decode(self, item: str) -> NDArray[np.uint8]:
        """uint8 BGR [height, width, 3]. EXIF rotation is applied. Raises Unreadable."""
        import cv2
        import numpy as np

        data = self._bytes(item)
        head = header(data)
        if head is None:
            raise Unreadable("is not a JPEG, PNG, BMP or WebP picture")
        _check(head)
        try:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error as error:
            raise Unreadable("is corrupt") from error
        if picture is None:
            raise Unreadable("is corrupt")
        return np.asarray(picture, np.uint8)

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


def _check(head: Header) -> None:
    if head.width * head.height > MOST_PIXELS:
        raise Unreadable(f"has {head.width}x{head.height} pixels, more than {MOST_PIXELS // 1_000_000} million")
    if not head.whole:
        raise Unreadable("is truncated: its end is missing")


def _pictures(path: str) -> List[str]:
    found = []
    for folder, below, files in os.walk(path, onerror=_raise):
        below[:] = [name for name in below if not name.startswith(".")]
        names = [name for name in files if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
        found += [os.path.relpath(os.path.join(folder, name), path) for name in names]
    return sorted(found, key=_natural)


def _natural(path: str) -> List[Tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.replace(os.sep, "\0").lower())
    return [(0, int(part), "") if n % 2 else (1, 0, part) for n, part in enumerate(parts)] + [(2, 0, path)]


def _raise(error: OSError) -> None:
    raise error
