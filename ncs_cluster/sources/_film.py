"""The frames of a video file in order, each once: its pixels, or the reason why there are none.

A damaged packet costs a failed read, and the next read goes on behind it; only many failed reads in a row are the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

from ncs_cluster.sources import _ffmpeg

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

END_READS = 250
"""Failed reads in a row that are the end: 10 s of a film of 25 fps. At a file's real end they take milliseconds."""
DAMAGED = "cannot be decoded: its data are damaged"
LONGEST_DELAY = 64
"""Frames between a failed read and the gap that its frame leaves: decoders hold frames back, for their order and their threads."""
SHORT_FRAMES, SHORT_SHARE = 5, 0.05
"""A file may lack this many frames of those it declares: an edit list may hide some."""
SEEKS_MS = (0.0, 2_000.0, 10_000.0, 60_000.0)
"""How much earlier than wanted a seek is tried: OpenCV reckons with an even rate."""
SETTLING = 32
"""Frames that are decoded behind a seek before the first that counts: errors that these and its neighbours cause are seen then."""


class Size(NamedTuple):
    """Size of a decoded frame, pixels."""

    width: int
    height: int


class Film:
    """A file, read from its start after `rewind`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._direct: Any = None
        self._deinterlacing: Any = None
        """A second capture of the file that the frames are read from, since one was interlaced."""
        self._behind = 0
        """Frames read through `_deinterlacing` that `_direct` has not passed."""
        self._passed = 0
        """Frames that `_direct` has passed, the grabbed one included."""
        self._can_deinterlace = True
        self._items = 0
        """Frames returned or skipped, undecodable ones included."""
        self._declared = 0
        """Frames the file should have; 0: unknown."""
        self._failed = self._delay = 0
        """Failed reads whose frames have not been told yet, and for how many frames."""
        self._time_ms = 0.0
        """Of the frame that was grabbed last, from the film's start."""
        self._failed_at_end = False
        """FFmpeg has logged errors behind the last frame, so that there were data."""
        self._damaged = 0
        """Damaged frames before the one that is grabbed."""
        self._grabbed = False
        self._error_before: Optional[int] = None
        """The newest error at a seek; None: all frames were decoded."""
        self.size: Optional[Size] = None
        """Of the first frame, because headers of rotated videos are wrong; None: the file is no video."""
        self.declared_fps = 0.0

    def rewind(self) -> None:
        """Open the file, or start over. Raises Unconverted for its first frame."""
        import cv2

        self.release()
        self._direct = _ffmpeg.film(self._path)
        self._behind = self._passed = self._damaged = self._items = self._failed = self._delay = 0
        self._declared = int(self._direct.get(cv2.CAP_PROP_FRAME_COUNT)) if _counts_frames(self._path) else 0
        self._can_deinterlace, self._grabbed, self._failed_at_end, self._error_before = True, False, False, None
        self.declared_fps = float(self._direct.get(cv2.CAP_PROP_FPS))
        self._time_ms = -1000.0 / self.declared_fps if self.declared_fps > 0 else 0.0
        frame = self._retrieve(None) if self._grab() else None
        self.size = None if frame is None else Size(frame.shape[1], frame.shape[0])

    @property
    def declared(self) -> int:
        """Frames the file should have; 0: unknown."""
        return self._declared

    @property
    def time_s(self) -> float:
        """When the frame that was read or skipped last is shown, from the film's start; not for one that cannot be decoded."""
        if self._deinterlacing is None:
            return self._time_ms / 1000.0
        import cv2

        return float(self._deinterlacing.get(cv2.CAP_PROP_POS_MSEC)) / 1000.0

    def next(self, slot: NDArray[np.uint8]) -> Union[Size, str, None]:
        """Write the next frame into the slot [height, width, 3], at its start where it is smaller. The reason when the frame cannot
        be decoded; None after the last."""
        if not self._grabbed and not self._grab():
            return self._lacking()
        self._items += 1
        if self._damaged:
            self._damaged -= 1
            return DAMAGED
        self._grabbed = False
        try:
            frame = self._retrieve(slot)
        except _ffmpeg.Unconverted as error:
            return str(error)
        if frame is None:
            return DAMAGED
        return Size(slot.shape[1], slot.shape[0]) if frame is slot else _fit(frame, slot)

    def skip(self) -> bool:
        """Pass the next frame, decodable or not, without its pixels; False after the last."""
        if not self._grabbed and not self._grab():
            return self._lacking() is not None
        self._items += 1
        if self._damaged:
            self._damaged -= 1
        else:
            self._grabbed = False
        return True

    # -- a place in the film

    @property
    def items(self) -> int:
        """Frames returned or skipped, undecodable ones included: the number of the next one."""
        return self._items

    @property
    def pending(self) -> int:
        """Frames that could not be decoded, and whose place is not known yet."""
        return self._failed

    @property
    def damaged(self) -> bool:
        """FFmpeg has logged errors since a seek: what it makes of damaged data depends on frames long before."""
        return self._error_before is not None and _ffmpeg.newest_error() != self._error_before

    def ahead_ms(self) -> Optional[float]:
        """When the next frame is shown; None where it cannot be decoded, and after the last."""
        if (not self._grabbed and not self._grab()) or self._damaged:
            return None
        return self.time_s * 1000.0

    def look(self) -> Optional[NDArray[np.uint8]]:
        """The next frame, which stays the next one, of which `ahead_ms` has told; None where it cannot be converted."""
        try:
            return self._retrieve(None) if self._grabbed and not self._damaged else None
        except _ffmpeg.Unconverted:
            return None

    def seek(self, time_ms: float) -> bool:
        """From the film's start, go to some frame that is shown before this time. False: only decoding all frames leads there, and
        the film is at its start. Frames behind a seek may be decoded wrongly, and have no numbers until `count_from`."""
        import cv2

        if self._deinterlacing is not None or not self._direct.get(cv2.CAP_PROP_FRAME_COUNT) > 1:
            return False
        settled_ms = time_ms - SETTLING * 1000.0 / (self.declared_fps if 1.0 <= self.declared_fps <= 240.0 else 25.0)
        for before_ms in SEEKS_MS:
            if settled_ms - before_ms <= 0 or not self._direct.set(cv2.CAP_PROP_POS_MSEC, settled_ms - before_ms):
                break
            landed_ms = float(self._direct.get(cv2.CAP_PROP_POS_MSEC))
            if 0 < landed_ms <= settled_ms:
                self._time_ms, self._grabbed, self._error_before = landed_ms, False, _ffmpeg.newest_error()
                return True
        self.rewind()
        return False

    def count_from(self, number: int) -> None:
        """The next frame, of which `ahead_ms` has told, has this number; nothing is known of frames before it."""
        self._items, self._passed = number, number + 1
        self._failed = self._delay = 0

    def _lacking(self) -> Optional[str]:
        """At the end: the reason why a frame that the file declares is missing; None when there is no further one."""
        if self._failed:
            self._failed -= 1
            self._items += 1
            return DAMAGED
        missing = self._declared - self._items
        if missing > max(SHORT_FRAMES, SHORT_SHARE * self._declared):
            reason = f"ends after {self._items} of {self._declared} frames: it is truncated"
            self._declared = 0
            return reason
        if missing > 0 and self._failed_at_end:
            self._items += 1
            return DAMAGED
        return None

    def release(self) -> None:
        for capture in (self._direct, self._deinterlacing):
            if capture is not None:
                capture.release()
        self._direct = self._deinterlacing = None

    def _grab(self) -> bool:
        """Grab the next frame that can be grabbed; `_damaged` frames precede it. False at the end."""
        if self._deinterlacing is not None:
            if self._deinterlacing.grab():
                self._behind += 1
                self._grabbed = True
                return True
            self._go_on_directly()
        failed, before = 0, _ffmpeg.errors()
        while not self._direct.grab():
            failed += 1
            if failed == END_READS:
                self._failed_at_end = self._failed_at_end or _ffmpeg.errors() > before + 1
                return False
        self._passed += 1
        self._failed += failed
        self._grabbed, self._damaged = True, self._gap()
        return True

    def _gap(self) -> int:
        """How many frames just before the grabbed one were those of failed reads: where its time leaves a gap, or at once in a film
        without times."""
        import cv2

        before_ms, self._time_ms = self._time_ms, float(self._direct.get(cv2.CAP_PROP_POS_MSEC))
        self._delay = self._delay + 1 if self._failed else 0
        gap = self._failed
        if 1.0 <= self.declared_fps <= 240.0 and self._time_ms > before_ms and self._delay <= LONGEST_DELAY:
            gap = max(0, min(gap, round((self._time_ms - before_ms) * self.declared_fps / 1000.0) - 1))
        self._failed -= gap
        return gap

    def _retrieve(self, slot: Optional[NDArray[np.uint8]]) -> Optional[NDArray[np.uint8]]:
        if self._deinterlacing is None:
            try:
                return _ffmpeg.retrieve(self._direct, slot)
            except _ffmpeg.Unconverted:
                if not self._can_deinterlace or not self._deinterlace():
                    raise
        return _ffmpeg.retrieve(self._deinterlacing, slot)

    def _deinterlace(self) -> bool:
        """Read the grabbed frame and those after it through FFmpeg's filters. False where that is impossible."""
        import cv2

        second = _ffmpeg.deinterlacing(self._path, self._direct.get(cv2.CAP_PROP_ORIENTATION_META))
        if second is None or not all(second.grab() for _ in range(self._passed)):
            self._can_deinterlace = False
            return False
        self._deinterlacing, self._behind = second, 0
        return True

    def _go_on_directly(self) -> None:
        """The deinterlacing capture ended: at the film's end, or at a damaged packet."""
        self._deinterlacing.release()
        self._deinterlacing, self._can_deinterlace = None, False
        for _ in range(self._behind):
            self._direct.grab()
        self._passed += self._behind


def _counts_frames(path: str) -> bool:
    """The file's header holds the number of frames (MP4, AVI); for others OpenCV estimates it."""
    try:
        with open(path, "rb") as file:
            begins = file.read(12)
    except OSError:
        return False
    return begins[4:8] == b"ftyp" or (begins[:4], begins[8:]) == (b"RIFF", b"AVI ")


def _fit(frame: NDArray[np.uint8], slot: NDArray[np.uint8]) -> Size:
    """A frame of another size than the first: as it is where the slot has room, else scaled down with its aspect ratio."""
    import cv2

    height, width = frame.shape[:2]
    scale = min(1.0, slot.shape[1] / width, slot.shape[0] / height)
    size = Size(max(1, round(width * scale)), max(1, round(height * scale)))
    room = slot.reshape(-1)[: size.width * size.height * 3].reshape(size.height, size.width, 3)
    cv2.resize(frame, size, dst=room, interpolation=cv2.INTER_AREA)
    return size
