"""A live OpenCV capture: the newest frame wins, and no reader blocks for ever.

One thread owns the VideoCapture from opening to release. It grabs every frame, so that none ages in the device's queue, and decodes
a frame (the costly half) only for a waiting reader, into the reader's slot. A device that blocks holds up this thread only: the
reader times out after `silence_s`, and the thread ends when the device's call returns. A frame that cannot be decoded is dropped;
a device is lost when many fail in a row.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional, Tuple

import numpy as np

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._ffmpeg import Unconverted, has_filters, retrieve
from ncs_cluster.sources._opencv import need_opencv
from ncs_cluster.sources._planes import colour_room
from ncs_cluster.sources.base import Captured, Planes

if TYPE_CHECKING:
    import cv2
    from numpy.typing import NDArray

CLOSED = "the source is closed"
RELEASE_S = 1.0
RETRIEVE_S = 5.0
"""Seconds a reader waits for a decode into its slot, which computes and does not block."""
LOST_READS = 100
"""Failed reads in a row after which the stream has ended: at its end they fail at once."""
FAILED_READS = 3
"""So many are no silence: a read that fails for want of data has waited for the time-out."""
UNCONVERTED_FRAMES = 25
"""Frames in a row that cannot be converted after which the camera gives no signal, where nothing can convert them."""


class Opened(NamedTuple):
    """Size of the first frame, and the device's rate in fps (0 or nonsense where it is unknown)."""

    width: int
    height: int
    fps: float


class Live:
    """What V4L2 and network cameras share: open, read, close, and open again."""

    def __init__(
        self,
        name: str,
        start: Callable[[], cv2.VideoCapture],
        *,
        open_s: float,
        silence_s: float,
        repeat_s: Optional[float] = None,
        deinterlace: Optional[Callable[[], cv2.VideoCapture]] = None,
    ) -> None:
        """`name` begins every message. `start` runs in the owning thread and raises SourceError.

        `open_s`, `silence_s`: how long to wait for the first and for the next frame. `repeat_s`: a stream that ends after a frame
        is started again, this long after its last start at the earliest; None: it is lost. `deinterlace` starts a stream whose
        frames cannot be converted because they are interlaced.
        """
        self._name = name
        self._start = start
        self._repeat_s = repeat_s
        self._deinterlace = deinterlace
        self._open_s = open_s
        self._silence_s = silence_s
        self._capture: Optional[_Capture] = None

    def open(self) -> Opened:
        """Waits for the first frame. SourceError when there is none."""
        need_opencv()
        if self._capture is not None:
            self._capture.close()
            self._capture.wait_released(RELEASE_S)
            if self._capture.interlaced and self._deinterlace is not None:
                self._start = self._deinterlace
        self._capture = capture = _Capture(self._start, self._repeat_s, self._deinterlace)
        try:
            return capture.opened(self._open_s)
        except SourceError as error:
            capture.close()
            raise self._named(error) from None

    def read(self, into: Planes) -> Captured:
        """The next frame to arrive. SourceError when none comes for `silence_s`."""
        capture = self._capture
        try:
            if capture is None:
                raise SourceError(CLOSED)
            return capture.read(into, self._silence_s)
        except SourceError as error:
            raise self._named(error) from None

    def close(self) -> None:
        """From any thread, any number of times. Waits for nothing."""
        capture = self._capture
        if capture is not None:
            capture.close()

    def _named(self, error: SourceError) -> SourceError:
        return SourceError(f"{self._name}: {error.detail}", permanent=error.permanent)


class _Capture:
    """One VideoCapture and the thread that owns it; opened once, closed once."""

    def __init__(
        self,
        start: Callable[[], cv2.VideoCapture],
        repeat_s: Optional[float],
        deinterlace: Optional[Callable[[], cv2.VideoCapture]],
    ) -> None:
        self._start = start
        self._repeat_s = repeat_s
        self._deinterlace = deinterlace
        self.interlaced = False
        """The stream was started again by `deinterlace`."""
        self._pause_s = 0.0
        """How long it may be silent between two streams."""
        self._failed = 0
        """Reads that failed since the last frame."""
        self._change = threading.Condition()
        self._size: Optional[Opened] = None
        self._error: Optional[SourceError] = None
        self._wanted: Optional[NDArray[np.uint8]] = None
        self._writing = False
        self._taken: Optional[Captured] = None
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def opened(self, timeout_s: float) -> Opened:
        with self._change:
            self._change.wait_for(lambda: self._size or self._error, timeout_s)
            if self._error is not None:
                raise self._error
            if self._size is None:
                raise SourceError(f"no frame within {timeout_s:g} s of opening")
            return self._size

    def read(self, into: Planes, timeout_s: float) -> Captured:
        with self._change:
            if self._error is not None or self._size is None:
                raise self._error or SourceError(CLOSED)
            self._taken, self._wanted = None, colour_room(into.colour, self._size.width, self._size.height)
            self._change.wait_for(lambda: self._taken or self._error, timeout_s + self._pause_s)
            self._change.wait_for(lambda: not self._writing, RETRIEVE_S)
            self._wanted = None
            if self._taken is not None:
                return self._taken
            many = f": {self._failed} in a row cannot be decoded" if self._failed >= FAILED_READS else ""
            raise self._error or SourceError(f"no frame for {timeout_s:g} s{many}")

    def close(self) -> None:
        self._fail(SourceError(CLOSED))

    def wait_released(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _fail(self, error: SourceError) -> None:
        """The first error stays."""
        with self._change:
            self._error = self._error or error
            self._change.notify_all()

    def _run(self) -> None:
        try:
            while True:
                started_s = time.monotonic()
                capture = self._start()
                try:
                    frames = self._take_frames(capture)
                except Unconverted as error:
                    if self._deinterlace is None or self.interlaced or not has_filters():
                        raise SourceError(str(error)) from error
                    self._start, self.interlaced = self._deinterlace, True
                    continue
                finally:
                    capture.release()
                if not frames:
                    raise SourceError("opens, but gives no frame")
                if self._repeat_s is None:
                    raise SourceError("the stream ended or stopped giving frames")
                with self._change:
                    self._pause_s = self._repeat_s
                    rest_s = started_s + self._repeat_s - time.monotonic()
                    if self._change.wait_for(lambda: self._error is not None, max(0.0, rest_s)):
                        return
        except SourceError as error:
            self._fail(error)
        except Exception as error:  # cv2.error or any other exception of a driver must reach the reader
            self._fail(SourceError(f"OpenCV failed: {' '.join(str(error).split())[:200]}"))

    def _take_frames(self, capture: cv2.VideoCapture) -> int:
        """Give frames to readers until the stream ends or the device is closed; returns how many came. Raises Unconverted."""
        frames = unconverted = self._failed = 0
        while self._failed < LOST_READS:
            ok = capture.grab()
            captured_s, captured_at = time.monotonic(), time.time()
            with self._change:
                if self._error is not None:
                    return max(1, frames)
                slot = self._wanted if ok else None
                self._writing = slot is not None
            self._failed = 0 if ok else self._failed + 1
            if not ok or (slot is None and self._size is not None):
                frames += ok
                continue
            size = None
            try:
                size = self._decode(capture, slot)
                unconverted = 0
            except Unconverted:
                unconverted += 1
                if unconverted == UNCONVERTED_FRAMES or has_filters():
                    raise
            finally:
                with self._change:
                    self._writing = False
                    if size is not None and slot is not None:
                        self._wanted, self._taken = None, Captured(captured_s, captured_at, *size)
                    self._change.notify_all()
            frames += size is not None
        return frames

    def _decode(self, capture: cv2.VideoCapture, slot: Optional[NDArray[np.uint8]]) -> Optional[Tuple[int, int]]:
        """Decode the grabbed frame into the slot, or the first frame for its size; None when that fails."""
        import cv2

        frame = retrieve(capture, slot)
        if frame is None:
            return None
        height, width = frame.shape[:2]
        if self._size is None:
            with self._change:
                self._size = Opened(width, height, float(capture.get(cv2.CAP_PROP_FPS)))
        elif slot is not None and frame is not slot:
            raise SourceError(f"the frame size changed to {width}x{height}")
        return width, height
