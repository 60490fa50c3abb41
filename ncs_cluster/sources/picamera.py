"""The Raspberry Pi's own camera, on its ribbon cable: libcamera alone reaches it, through `rpicam-vid` of Raspberry Pi OS.

    rpicam-vid --codec yuv420 --output - ---- raw frames over a pipe ----> a thread, two buffers ----> the slot, on demand

The newest frame wins: the thread reads every frame, so that none ages in the pipe, and a frame is converted only for a reader.
Frames are planar YUV 4:2:0 of full range (JFIF): rpicam-vid asks for that colour space where it does not encode. OpenCV's
conversions of such planes assume the narrow range of television, so the planes are put together first. Rows have no padding where
the width is a multiple of 64 pixels; other widths are padded, differently on each model of the Pi, and are refused.

Options: https://www.raspberrypi.com/documentation/computers/camera_software.html
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Deque, List, Optional

from ncs_cluster.errors import SourceError, one_line
from ncs_cluster.sources._opencv import need_opencv
from ncs_cluster.sources._planes import colour_room
from ncs_cluster.sources.base import Captured, Find, Parsed, Planes, SourceInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROGRAMS = ("rpicam-vid", "libcamera-vid")
"""The second is the name in older releases of Raspberry Pi OS."""
OPEN_S = 10.0
"""Longest wait for the first frame, seconds: libcamera looks for cameras, and the sensor starts."""
SILENCE_S = 3.0
END_S = 1.0
ALIGNED = 64
FOCUS = ("default", "manual", "auto", "continuous")
KEPT_LINES = 20
CLOSED = "the source is closed"


@dataclass(frozen=True)
class Options:
    """`camera`: its number in `rpicam-hello --list-cameras`. `rotation`: 0 or 180 degrees. `lens_position`: dioptres, for
    `autofocus` manual; 0 is infinity. `program`: path of rpicam-vid; empty: found in PATH."""

    __pydantic_config__ = {"extra": "forbid"}

    camera: int = 0
    width: int = 1280
    height: int = 720
    fps: float = 30.0
    rotation: int = 0
    hflip: bool = False
    vflip: bool = False
    autofocus: str = "default"
    lens_position: Optional[float] = None
    program: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.camera <= 99:
            raise ValueError("camera must be a number from 0 to 99")
        if self.width <= 0 or self.width % ALIGNED:
            lower = max(ALIGNED, self.width // ALIGNED * ALIGNED)
            raise ValueError(f"width must be a multiple of {ALIGNED}: {lower} or {lower + ALIGNED}")
        if self.height <= 0 or self.height % 2:
            raise ValueError("height must be even")
        if not 0 < self.fps <= 240:
            raise ValueError("fps must be within 0..240")
        if self.rotation not in (0, 180):
            raise ValueError("rotation must be 0 or 180: the sensor can do no other")
        if self.autofocus not in FOCUS:
            raise ValueError(f"autofocus must be one of {', '.join(FOCUS)}")
        if self.lens_position is not None and not 0 <= self.lens_position <= 32:
            raise ValueError("lens_position must be within 0..32 dioptres")


def parse(spec: str, find: Find) -> Parsed:
    _, colon, number = spec.partition(":")
    if colon and not (number.isascii() and number.isdigit() and len(number) <= 2):
        raise ValueError(f'"{spec}": wants a number, as in picamera:0')
    return Parsed({"camera": int(number or 0)}, spec)


def command(program: str, options: Options) -> List[str]:
    """The command line: no shell, no preview, for ever, raw frames to standard output."""
    words = [program, "--nopreview", "--timeout", "0", "--codec", "yuv420", "--output", "-", "--flush"]
    words += ["--camera", str(options.camera), "--framerate", f"{options.fps:g}"]
    words += ["--width", str(options.width), "--height", str(options.height), "--rotation", str(options.rotation)]
    words += ["--hflip"] * options.hflip + ["--vflip"] * options.vflip
    if options.autofocus != "default":
        words += ["--autofocus-mode", options.autofocus]
    if options.lens_position is not None:
        words += ["--lens-position", f"{options.lens_position:g}"]
    return words


def bgr(planes: NDArray[np.uint8], into: NDArray[np.uint8]) -> None:
    """`planes`: uint8 [height * 3 / 2, width], the planes Y, U, V of full range (JFIF); `into`: uint8 [height, width, 3]."""
    import cv2

    height, width = into.shape[:2]
    y, rest = planes[:height], planes[height:].reshape(2, height // 2, width // 2)
    u, v = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in rest)
    # JFIF: V is Cr, U is Cb
    cv2.cvtColor(cv2.merge((y, v, u)), cv2.COLOR_YCrCb2BGR, dst=into)


class Picamera:
    """A camera of the Pi."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._name = f"Pi camera {options.camera}"
        self._stream: Optional[_Stream] = None

    def open(self) -> SourceInfo:
        """Waits for the first frame. SourceError without program or camera, or when another program has the camera."""
        need_opencv()
        options = self._options
        self.close()
        program = options.program or next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            why = "rpicam-vid is not installed: sudo apt install rpicam-apps-lite (Raspberry Pi OS)"
            raise SourceError(f"{self._name}: {why}", permanent=True)
        self._stream = stream = _Stream(command(program, options), options.width * options.height * 3 // 2)
        try:
            stream.wait(0, OPEN_S)
        except SourceError as error:
            stream.close()
            raise SourceError(f"{self._name}: {error.detail}", permanent=error.permanent) from None
        size = f"{options.width}x{options.height}, {options.fps:g} fps"
        return SourceInfo(
            options.width, options.height, options.fps, description=f"{self._name} ({size}, {os.path.basename(program)})"
        )

    def read(self, into: Planes) -> Optional[Captured]:
        """The next frame. SourceError when the camera gives none for 3 s."""
        options, stream = self._options, self._stream
        try:
            if stream is None:
                raise SourceError(CLOSED)
            room = colour_room(into.colour, options.width, options.height)
            taken_s = stream.next(room, SILENCE_S)
        except SourceError as error:
            raise SourceError(f"{self._name}: {error.detail}", permanent=error.permanent) from None
        return Captured(taken_s, time.time() - (time.monotonic() - taken_s), options.width, options.height)

    def close(self) -> None:
        """From any thread, any number of times."""
        stream = self._stream
        if stream is not None:
            stream.close()


class _Stream:
    """One run of the program, and the thread that reads its frames."""

    def __init__(self, words: List[str], frame_bytes: int) -> None:
        try:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, bufsize=0
            )
        except OSError as error:
            raise SourceError(f"{words[0]} cannot be started: {error.strerror}", permanent=True) from error
        self._change = threading.Condition()
        self._reading, self._newest = bytearray(frame_bytes), bytearray(frame_bytes)
        self._frame, self._taken_s, self._given = 0, 0.0, 0
        self._error: Optional[SourceError] = None
        self._lines: Deque[str] = deque(maxlen=KEPT_LINES)
        self._frames_thread = threading.Thread(target=self._read_frames, name="picamera", daemon=True)
        self._lines_thread = threading.Thread(target=self._read_lines, name="picamera-log", daemon=True)
        self._lines_thread.start()
        self._frames_thread.start()

    def wait(self, after: int, timeout_s: float) -> None:
        """Until there is a frame with a higher number than `after`."""
        with self._change:
            self._change.wait_for(lambda: self._frame > after or self._error, timeout_s)
            if self._frame > after:
                return
            raise self._error or SourceError(f"no frame for {timeout_s:g} s")

    def next(self, into: NDArray[np.uint8], timeout_s: float) -> float:
        """Convert the newest frame that was not given yet; returns when it came, time.monotonic()."""
        import numpy as np

        self.wait(self._given, timeout_s)
        with self._change:
            if self._error is not None:
                raise self._error
            # the thread swaps the buffers under this lock: it waits for the conversion at most
            bgr(np.frombuffer(self._newest, np.uint8).reshape(-1, into.shape[1]), into)
            self._given = self._frame
            return self._taken_s

    def close(self) -> None:
        self._fail(SourceError(CLOSED))
        threading.Thread(target=self._end, name="picamera-end", daemon=True).start()

    def _end(self) -> None:
        """SIGINT lets the program release the camera; it is killed where it does not end."""
        for number in (signal.SIGINT, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
            try:
                self._process.wait(END_S)
                return
            except subprocess.TimeoutExpired:
                pass

    def _fail(self, error: SourceError) -> None:
        """The first error stays."""
        with self._change:
            self._error = self._error or error
            self._change.notify_all()

    def _read_frames(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            while self._fill(pipe.fileno()):
                with self._change:
                    self._reading, self._newest = self._newest, self._reading
                    self._frame, self._taken_s = self._frame + 1, time.monotonic()
                    self._change.notify_all()

    def _fill(self, fd: int) -> bool:
        """Read one frame; False: there is none more, or the source is closed."""
        got = 0
        with memoryview(self._reading) as frame:
            while got < len(frame):
                # a wait with an end: a program that does not end keeps the pipe open
                if select.select([fd], [], [], END_S)[0]:
                    if (count := os.readv(fd, [frame[got:]])) == 0:
                        self._fail(self._reason())
                        return False
                    got += count
                if self._error is not None:
                    return False
        return True

    def _read_lines(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._lines.append(line.decode(errors="replace").strip())

    def _reason(self) -> SourceError:
        """Why the program has ended, by what it said."""
        code = self._process.wait()
        self._lines_thread.join(END_S)
        said = [line for line in self._lines if "ERROR" in line] or list(self._lines)
        text = one_line(said[-1].partition("ERROR:")[2].strip(" *") or said[-1])[:200] if said else f"it ended with code {code}"
        if "no cameras available" in text or "selected camera is not available" in text:
            text = "no such camera is found: check the ribbon cable; rpicam-hello --list-cameras lists cameras"
        elif "failed to acquire" in text or "in use" in text:
            text = "another program has the camera"
        return SourceError(text)
