"""Pictures: one file, or all files of a folder and its subfolders in natural order (2 before 10), each once and in order.

An unreadable picture becomes a record with its reason, and a video among them too; other files are counted in the description.
Headers are checked before decoding, and links out of the folder are not followed, because a folder of pictures may come from an
untrusted source. Large JPEGs are scaled down while they are decoded.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import List, Optional, Tuple

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._opencv import need_opencv
from ncs_cluster.sources._picture import FOREIGN, PICTURES, VIDEOS, Decoded, Unreadable, decode, fit, resized, shown
from ncs_cluster.sources._planes import colour_room
from ncs_cluster.sources.base import Captured, Find, Parsed, Planes, SourceInfo

MOST_SIDE = 8192
"""Longest side of a slot in pixels: a pool has several slots."""
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
        return [shown(item) for item in _listed(os.path.abspath(options.path))[0]]
    except OSError:
        return []


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
                height, width = self._decode(self._items[0]).pixels.shape[:2]
                width, height = fit(width, height, self._most)
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
        name = shown(item)
        now_s, now = time.monotonic(), time.time()
        try:
            picture = self._decode(item)
        except Unreadable as error:
            return Captured(now_s, now, 0, 0, item=name, error=f"{name}: {error}")
        width, height = fit(picture.pixels.shape[1], picture.pixels.shape[0], self._most)
        resized(picture.pixels, (width, height), colour_room(into.colour, width, height))
        self._shown_in_pass += 1
        return Captured(now_s, now, width, height, item=name, size=picture.size)

    def skip(self, frames: int) -> None:
        """Skip pictures, to continue where another reader stopped."""
        if self._options.loop:
            self._next = (self._next + frames) % len(self._items)
        else:
            self._next = min(len(self._items), self._next + frames)

    def close(self) -> None:
        """From any thread, any number of times."""
        self._closed.set()

    @property
    def _most(self) -> Tuple[int, int]:
        return self._options.max_width, self._options.max_height

    def _decode(self, item: str) -> Decoded:
        """Raises Unreadable."""
        return decode(os.path.join(self._folder, item), self._most, None if self._single else self._folder)


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
