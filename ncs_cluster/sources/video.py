"""A video file through OpenCV's FFmpeg, decoded straight into the slot, at the file's own rate.

A container without a rate is assumed to have 30 fps, and the description says so. Sizes come from the first decoded frame, because
headers of rotated videos are wrong.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

import numpy as np

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._handle import Handle
from ncs_cluster.sources._opencv import need_opencv
from ncs_cluster.sources._pace import Pace
from ncs_cluster.sources._planes import colour_room
from ncs_cluster.sources.base import Captured, Find, Parsed, Planes, SourceInfo

if TYPE_CHECKING:
    import cv2
    from numpy.typing import NDArray

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
    """A video file. Ends with None after its last frame unless `loop`."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._name = os.path.basename(options.path)
        self._handle: Handle[cv2.VideoCapture] = Handle(lambda capture: capture.release())
        self._first: Optional[NDArray[np.uint8]] = None
        self._pace: Optional[Pace] = None
        self._width = self._height = 0
        self._ended = False

    def open(self) -> SourceInfo:
        """Open the file and decode one frame. Permanent SourceError for an unreadable video."""
        need_opencv()
        import cv2

        self._ended = False
        capture = self._handle.open(self._start)
        declared = float(capture.get(cv2.CAP_PROP_FPS))
        known = math.isfinite(declared) and 0 < declared <= HIGHEST_FPS
        fps = declared if known else ASSUMED_FPS
        self._pace = Pace(fps) if self._options.paced else None
        rate = f"{fps:.4g} fps" if known else f"rate unknown, {fps:.4g} fps assumed"
        return SourceInfo(
            width=self._width,
            height=self._height,
            fps=fps,
            finite=not self._options.loop,
            ordered=not self._options.paced,
            description=f"{self._name} ({self._width}x{self._height}, {rate})",
        )

    def read(self, into: Planes) -> Optional[Captured]:
        """The next frame when it is due; None after the last. SourceError when the file cannot be decoded further."""
        with self._handle.using() as capture:
            if self._ended:
                return None
            slot = colour_room(into.colour, self._width, self._height)
            if not self._decode(capture, slot):
                if not self._options.loop:
                    self._ended = True
                    return None
                self._restart(capture)
                if not self._decode(capture, slot):
                    raise SourceError(f"{self._name} cannot be reopened at its start")
            now_s = time.monotonic()
            self._handle.pause(self._pace.wait_s(now_s) if self._pace else 0.0)
            return Captured(time.monotonic(), time.time(), self._width, self._height)

    def skip(self, frames: int) -> None:
        """Skip frames without pacing, to continue where another reader stopped."""
        with self._handle.using() as capture:
            for _ in range(frames):
                if self._first is not None:
                    self._first = None
                elif not capture.grab():
                    self._ended = not self._options.loop
                    return

    def close(self) -> None:
        """From any thread, any number of times."""
        self._handle.close()

    def _start(self) -> cv2.VideoCapture:
        import cv2

        path = os.path.abspath(self._options.path)
        if not os.path.isfile(path):
            raise SourceError(f"no video file at {self._options.path}", permanent=True)
        if not os.access(path, os.R_OK):
            raise SourceError(f"no permission to read {self._options.path}: change its owner or mode", permanent=True)
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
        ok, frame = capture.read()
        if not ok:
            capture.release()
            raise SourceError(f"{self._options.path} is not a video that OpenCV can decode", permanent=True)
        self._first = np.asarray(frame, np.uint8)
        self._height, self._width = frame.shape[:2]
        return capture

    def _restart(self, capture: cv2.VideoCapture) -> None:
        import cv2

        # seeking to 0 is not exact in every container; reopening is
        if not capture.open(os.path.abspath(self._options.path), cv2.CAP_FFMPEG):
            raise SourceError(f"{self._options.path} was removed or is no longer a video", permanent=True)

    def _decode(self, capture: cv2.VideoCapture, slot: NDArray[np.uint8]) -> bool:
        if self._first is not None:
            slot[:], self._first = self._first, None
            return True
        ok, frame = capture.read(slot)
        if ok and frame is not slot and frame.shape == slot.shape:
            # a rotated frame
            slot[:] = frame
        elif ok and frame is not slot:
            # OpenCV allocates a new array when the shape differs, and the slot keeps stale pixels
            size = f"{frame.shape[1]}x{frame.shape[0]}"
            raise SourceError(f"{self._name} changes its frame size midway to {size}: convert it first", permanent=True)
        return bool(ok)
