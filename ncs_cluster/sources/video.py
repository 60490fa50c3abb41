"""A video file through OpenCV's FFmpeg, decoded straight into the slot, at the file's own rate.

A container without a rate is assumed to have 30 fps, and the description says so.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import Optional

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._ffmpeg import Unconverted
from ncs_cluster.sources._film import Film, Size
from ncs_cluster.sources._handle import Handle
from ncs_cluster.sources._opencv import need_opencv
from ncs_cluster.sources._pace import Pace
from ncs_cluster.sources._planes import colour_room
from ncs_cluster.sources.base import Captured, Find, Parsed, Planes, SourceInfo

ASSUMED_FPS = 30.0
HIGHEST_FPS = 240.0
"""fps; a container with more declares its time base, not its rate."""


@dataclass(frozen=True)
class Options:
    """`paced=False` reads as fast as slots come (--every-frame)."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str
    loop: bool = False
    paced: bool = True


def parse(spec: str, find: Find) -> Parsed:
    return Parsed({"path": str(find(spec))}, spec)


class Video:
    """A video file. Ends with None after its last frame unless `loop`. A frame that cannot be decoded has an `error`."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._name = os.path.basename(options.path)
        self._handle: Handle[Film] = Handle(lambda film: film.release())
        self._pace: Optional[Pace] = None
        self._size = Size(0, 0)
        self._ended = False

    def open(self) -> SourceInfo:
        """Open the file and decode one frame. Permanent SourceError for an unreadable video."""
        need_opencv()
        self._ended = False
        film = self._handle.open(self._start)
        self._size = film.size or self._size
        declared = film.declared_fps
        known = math.isfinite(declared) and 0 < declared <= HIGHEST_FPS
        fps = declared if known else ASSUMED_FPS
        self._pace = Pace(fps) if self._options.paced else None
        rate = f"{fps:.4g} fps" if known else f"rate unknown, {fps:.4g} fps assumed"
        return SourceInfo(
            width=self._size.width,
            height=self._size.height,
            fps=fps,
            finite=not self._options.loop,
            ordered=not self._options.paced,
            description=f"{self._name} ({self._size.width}x{self._size.height}, {rate})",
        )

    def read(self, into: Planes) -> Optional[Captured]:
        """The next frame when it is due; None after the last."""
        with self._handle.using() as film:
            if self._ended:
                return None
            slot = colour_room(into.colour, *self._size)
            frame = film.next(slot)
            if frame is None and self._options.loop:
                self._rewind(film)
                frame = film.next(slot)
            if frame is None:
                self._ended = True
                return None
            self._handle.pause(self._pace.wait_s(time.monotonic()) if self._pace else 0.0)
            if isinstance(frame, str):
                return Captured(time.monotonic(), time.time(), 0, 0, error=f"{self._name}: {frame}")
            return Captured(time.monotonic(), time.time(), frame.width, frame.height)

    def skip(self, frames: int) -> None:
        """Skip frames without pacing, to continue where another reader stopped. A looping video skips whole passes at once."""
        with self._handle.using() as film:
            for passed in range(frames):
                self._handle.pause(0)
                if film.skip():
                    continue
                self._ended = not self._options.loop
                if self._options.loop and passed:
                    self._rewind(film)
                    for _ in range(frames % passed):
                        film.skip()
                return

    def close(self) -> None:
        """From any thread, any number of times."""
        self._handle.close()

    def _start(self) -> Film:
        path = os.path.abspath(self._options.path)
        if not os.path.isfile(path):
            raise SourceError(f"no video file at {self._options.path}", permanent=True)
        if not os.access(path, os.R_OK):
            raise SourceError(f"no permission to read {self._options.path}: change its owner or mode", permanent=True)
        film = Film(path)
        try:
            self._rewind(film)
        except SourceError:
            film.release()
            raise
        return film

    def _rewind(self, film: Film) -> None:
        try:
            film.rewind()
        except Unconverted as error:
            remedy = "convert it: ffmpeg -i FILE -vf yadif NEW.mp4 (or use opencv-python, not its headless build)"
            raise SourceError(f"{self._options.path} is {error}; {remedy}", permanent=True) from error
        if film.size is None:
            raise SourceError(f"{self._options.path} is not a video that OpenCV can decode", permanent=True)
