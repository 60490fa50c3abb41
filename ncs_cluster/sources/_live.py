"""A live OpenCV capture: the newest frame wins, and no reader blocks for ever.

One thread owns the VideoCapture from opening to release. It grabs every frame, so that none ages in the device's queue, and decodes
a frame (the costly half) only for a waiting reader, into the reader's slot. A device that blocks holds up this thread only: the
reader times out after `silence_s`, and the thread ends when the device's call returns.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

import numpy as np

from ncs_cluster.errors import SourceError
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


class Opened(NamedTuple):
    """Size of the first frame, and the device's rate in fps (0 or nonsense where it is unknown)."""

    width: int
    height: int
    fps: float


class Live:
    """What V4L2 and network cameras share: open, read, close, and open again."""

    def __init__(self, name: str, start: Callable[[], cv2.VideoCapture], *, open_s: float, silence_s: float) -> None:
        """`name` begins every message. `start` runs in the owning thread and raises SourceError.

        `open_s`, `silence_s`: how long to wait for the first and for the next frame.
        """
        self._name = name
        self._start = start
        self._open_s = open_s
        self._silence_s = silence_s
        self._capture: Optional[_Capture] = None

    def open(self) -> Opened:
        """Waits for the first frame. SourceError when there is none."""
        need_opencv()
        if self._capture is not None:
            self._capture.close()
            self._capture.wait_released(RELEASE_S)
        self._capture = capture = _Capture(self._start)
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

    def __init__(self, start: Callable[[], cv2.VideoCapture]) -> None:
        self._start = start
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
            self._change.wait_for(lambda: self._taken or self._error, timeout_s)
            self._change.wait_for(lambda: not self._writing, RETRIEVE_S)
            self._wanted = None
            if self._taken is not None:
                return self._taken
            raise self._error or SourceError(f"no frame for {timeout_s:g} s")

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
            capture = self._start()
            try:
                self._take_frames(capture)
            finally:
                capture.release()
        except SourceError as error:
            self._fail(error)
        except Exception as error:  # cv2.error or any other exception of a driver must reach the reader
            self._fail(SourceError(f"OpenCV failed: {' '.join(str(error).split())[:200]}"))

    def _take_frames(self, capture: cv2.VideoCapture) -> None:
        import cv2

        ok, frame = capture.read()
        if not ok:
            raise SourceError("opens, but gives no frame")
        height, width = frame.shape[:2]
        with self._change:
            self._size = Opened(width, height, float(capture.get(cv2.CAP_PROP_FPS)))
            self._change.notify_all()
        while True:
            ok = capture.grab()
            captured_s, captured_at = time.monotonic(), time.time()
            with self._change:
                if self._error is not None:
                    return
                slot, self._writing = self._wanted, ok and self._wanted is not None
            if not ok:
                raise SourceError("the stream ended or stopped giving frames")
            if slot is None:
                continue
            filled = False
            try:
                ok, frame = capture.retrieve(slot)
                if ok and frame.shape != slot.shape:
                    raise SourceError(f"the frame size changed to {frame.shape[1]}x{frame.shape[0]}")
                if ok and frame is not slot:
                    slot[:] = frame
                filled = ok
            finally:
                with self._change:
                    self._writing = False
                    if filled:
                        self._wanted, self._taken = None, Captured(captured_s, captured_at, width, height)
                    self._change.notify_all()
