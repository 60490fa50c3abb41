"""A source without a camera: six shapes float through a room, with the depth of a depth camera and with ground truth.

It is the demo, and the reference for measured distances. Frame n shows the scene at n / fps, so a seed always gives the same
frames; a late reader skips frames, as with a camera.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional, Tuple

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._planes import colour_room, depth_room
from ncs_cluster.sources.base import Captured, Find, Parsed, Planes, SourceInfo

if TYPE_CHECKING:
    from ncs_cluster.sources._scene import Scene


@dataclass(frozen=True)
class Options:
    __pydantic_config__ = {"extra": "forbid"}

    width: int = 640
    height: int = 480
    fps: float = 30.0
    seed: int = 1
    frames: Optional[int] = None
    """Number of frames; None: endless."""
    paced: bool = True

    def __post_init__(self) -> None:
        if not (64 <= self.width <= 4096 and 48 <= self.height <= 4096):
            raise ValueError(f"width x height must be 64x48 to 4096x4096, not {self.width}x{self.height}")
        if not 0 < self.fps <= 1000:
            raise ValueError(f"fps must be more than 0 and at most 1000, not {self.fps:g}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}")


def parse(spec: str, find: Find) -> Parsed:
    if spec != "synthetic":
        raise ValueError(f'"{spec}": nothing follows synthetic; its options are set by [cameras.NAME.options]')
    return Parsed({}, spec)


class Synthetic:
    """The source `synthetic`."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._scene: Optional[Scene] = None
        self._next = 0
        self._start_s: Optional[float] = None
        self._closed = threading.Event()

    def open(self) -> SourceInfo:
        """Paint room and shapes, in about 0.3 s. Raises SourceError where OpenCV cannot be imported."""
        options = self._options
        try:
            from ncs_cluster.sources._scene import DEPTH_SCALE_M, Scene
        except ImportError as error:
            raise SourceError(f"synthetic: OpenCV cannot be imported ({error}); install opencv-python-headless") from error
        self._scene = Scene(options.width, options.height, options.seed)
        self._closed.clear()
        self._next = 0
        self._start_s = None
        return SourceInfo(
            options.width,
            options.height,
            options.fps,
            depth_scale_m=DEPTH_SCALE_M,
            finite=options.frames is not None,
            description=f"synthetic scene (seed {options.seed})",
        )

    def read(self, into: Planes) -> Optional[Captured]:
        options, scene = self._options, self._scene
        if scene is None:
            raise SourceError("synthetic: read before open")
        if options.paced:
            now_s = time.monotonic()
            self._start_s = now_s - self._next / options.fps if self._start_s is None else self._start_s
            self._next, wait_s = due(self._next, now_s - self._start_s, options.fps)
            if options.frames is None or self._next < options.frames:
                self._closed.wait(wait_s)
        if self._closed.is_set() or (options.frames is not None and self._next >= options.frames):
            return None
        colour = colour_room(into.colour, options.width, options.height)
        if into.depth is None:
            import numpy as np

            depth = np.empty((options.height, options.width), np.uint16)
        else:
            depth = depth_room(into.depth, options.width, options.height)
        captured_s, captured_at = time.monotonic(), time.time()
        truth = scene.draw(self._next, self._next / options.fps, colour, depth)
        self._next += 1
        return Captured(captured_s, captured_at, options.width, options.height, truth=truth)

    def skip(self, frames: int) -> None:
        """Skip frames, to continue where another reader stopped."""
        self._next += frames

    def close(self) -> None:
        self._closed.set()


def due(frame: int, elapsed_s: float, fps: float) -> Tuple[int, float]:
    """The next frame's number and the seconds to wait for it, when `frame` would be next `elapsed_s` after the first.

    Frame n is due at n / fps, so no drift adds up; a reader more than a period late skips frames and never reads in a burst.
    """
    now = int(elapsed_s * fps)
    frame = now if now - frame > 1 else frame
    return frame, max(0.0, frame / fps - elapsed_s)
