"""A USB camera through OpenCV and Video4Linux. The newest frame wins; a silent camera is an error after 3 s."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._live import Live
from ncs_cluster.sources.base import Captured, Find, Parsed, Planes, SourceInfo

if TYPE_CHECKING:
    import cv2

OPEN_S = 10.0
SILENCE_S = 3.0


@dataclass(frozen=True)
class Options:
    """`device`: "0" or "/dev/video0". The camera chooses every value that is None, and the format where `fourcc` is empty or is
    none of its own.

    Without compression two cameras fill the USB bus that the sticks share, and most give 720p at 10 fps only.
    """

    __pydantic_config__ = {"extra": "forbid"}

    device: str = "0"
    width: Optional[int] = None
    height: Optional[int] = None
    fps: Optional[float] = None
    fourcc: str = "MJPG"

    def __post_init__(self) -> None:
        if self.fourcc and not (len(self.fourcc) == 4 and self.fourcc.isascii()):
            raise ValueError('fourcc must be empty or four characters, such as "MJPG" or "YUYV"')
        if any(value is not None and value <= 0 for value in (self.width, self.height, self.fps)):
            raise ValueError("width, height and fps must be more than 0")


def parse(spec: str, find: Find) -> Parsed:
    if spec.startswith("/dev/"):
        return Parsed({"device": spec}, spec)
    number = spec.partition(":")[2]
    if not (number.isascii() and number.isdigit()):
        raise ValueError(f'"{spec}": wants a number, as in usb:0')
    return Parsed({"device": str(int(number))}, spec)


class V4l2:
    """A USB camera."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._path = f"/dev/video{options.device}" if options.device.isdigit() else options.device
        self._format = ""
        self._live = Live(f"camera {self._path}", self._start, open_s=OPEN_S, silence_s=SILENCE_S)

    def open(self) -> SourceInfo:
        """Waits for the first frame. SourceError when the camera is absent, busy or not permitted."""
        width, height, rate_fps = self._live.open()
        fps = rate_fps if 0 < rate_fps <= 1000 else self._options.fps
        rate = f", {fps:.4g} fps" if fps else ""
        return SourceInfo(width, height, fps, description=f"USB camera {self._path} ({width}x{height}{rate}{self._format})")

    def read(self, into: Planes) -> Optional[Captured]:
        """The next frame. SourceError when the camera gives none for 3 s."""
        return self._live.read(into)

    def close(self) -> None:
        """From any thread, any number of times."""
        self._live.close()

    def _start(self) -> cv2.VideoCapture:
        import cv2

        if not os.path.exists(self._path):
            there = ", ".join(sorted(glob.glob("/dev/video*"))) or "none"
            raise SourceError(f"not plugged in (cameras found: {there})")
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise SourceError("no permission to open it: add this user to the group video")
        capture = cv2.VideoCapture(self._path, cv2.CAP_V4L2)
        if not capture.isOpened():
            raise SourceError("is busy, or not a capture device (a camera often has a second /dev/video for metadata)")
        options = self._options
        # the format first: which sizes and rates there are depends on it
        for key, value in (
            (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*options.fourcc) if options.fourcc else None),
            (cv2.CAP_PROP_FRAME_WIDTH, options.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, options.height),
            (cv2.CAP_PROP_FPS, options.fps),
        ):
            if value is not None:
                capture.set(key, value)
        chosen = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=True).decode("ascii", "replace")
        self._format = f", {chosen}" if chosen.isalnum() else ""
        return capture
