"""OpenCV's FFmpeg captures, and the proof that a frame was really decoded.

libswscale converts no interlaced frame into a progressive one, and OpenCV since 4.13 ignores that error: `read` returns True with a
black picture, or with the frame before. Only FFmpeg's log tells, so its errors are counted per thread: libswscale reports in the
thread that asks for the conversion.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Set

from ncs_cluster.errors import SourceError

if TYPE_CHECKING:
    import cv2
    import numpy as np
    from numpy.typing import NDArray

_LOG_ERROR = 16
"""AV_LOG_ERROR of libavutil/log.h: this and lower levels are errors. The lowest byte holds the level."""
_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_refused: Set[int] = set()
"""Threads whose last conversion libswscale refused."""
_errors = itertools.count()
"""Counts the errors in FFmpeg's log."""
_newest = [-1]
"""The number of the newest one."""
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_TURNS = {90: ",transpose=clock", 180: ",hflip,vflip", 270: ",transpose=cclock"}


class Unconverted(Exception):
    """A frame was decoded and not converted: it is interlaced, or (OpenCV before 4.13) larger than the frames before."""

    def __str__(self) -> str:
        import cv2

        return f"interlaced or of another size, which OpenCV {cv2.__version__} cannot convert"


def capture(address: str, parameters: Optional[List[int]] = None) -> cv2.VideoCapture:
    """A capture of a file or address; ask isOpened. Frames of it are read by `retrieve`."""
    import cv2

    opened = cv2.VideoCapture(address, cv2.CAP_FFMPEG, parameters or [])
    # OpenCV installs a listener of its own with its first capture
    library = _libavutil()
    if library is not None:
        library.av_log_set_callback(_listener)
    return opened


def film(path: str, parameters: Optional[List[int]] = None) -> cv2.VideoCapture:
    """A capture of a file; ask isOpened. Raises SourceError."""
    try:
        path.encode()
    except UnicodeEncodeError:
        # OpenCV ends the process at a name that is not UTF-8
        return _by_descriptor(path, lambda plain: capture(plain, parameters))
    return capture(path, parameters)


def retrieve(grabbed: cv2.VideoCapture, slot: Optional[NDArray[np.uint8]] = None) -> Optional[NDArray[np.uint8]]:
    """The grabbed frame, uint8 BGR [height, width, 3]: `slot` itself where it has the frame's shape, else a new array. None: it
    cannot be decoded. Raises Unconverted."""
    thread = threading.get_ident()
    _refused.discard(thread)
    ok, frame = grabbed.retrieve(slot)
    if thread in _refused:
        _refused.discard(thread)
        raise Unconverted
    if not ok:
        return None
    import numpy as np

    if slot is not None and frame is not slot and frame.shape == slot.shape:
        # a rotated frame
        slot[:] = frame
        return slot
    return np.asarray(frame, np.uint8)


def deinterlacing(path: str, turn: float) -> Optional[cv2.VideoCapture]:
    """A capture that gives the same frames as `capture` without interlacing, through FFmpeg's filters; None in builds without them.

    It ends at the first damaged packet. `turn`: the file's CAP_PROP_ORIENTATION_META, degrees.
    """
    turned = _TURNS.get(round(turn) % 360, "")
    # any other path would have to be escaped
    opened = _by_descriptor(path, lambda plain: _filtered(f"movie={plain},yadif=deint=interlaced{turned}"))
    return opened if opened.isOpened() else None


def deinterlacing_stream(url: str, timeout_s: float) -> cv2.VideoCapture:
    """A capture of a live stream without interlacing; ask isOpened. Only where `has_filters`."""
    given = os.environ.get(_OPTIONS, "")
    options = dict(pair.split(";", 1) for pair in given.split("|") if ";" in pair)
    limit = "timeout" if url.startswith("rtsp") else "rw_timeout"
    options.setdefault(limit, str(int(1e6 * timeout_s)))
    listed = ":".join(f"{key}={value}" for key, value in options.items())
    return _filtered(f"movie=filename={_escaped(url)}:format_opts={_escaped(listed)},yadif=deint=interlaced")


def errors() -> int:
    """A number that has grown by more than one since the last call when FFmpeg has logged an error meanwhile."""
    return next(_errors)


def newest_error() -> int:
    """Another number than before when FFmpeg has logged an error meanwhile."""
    return _newest[0]


def has_filters() -> bool:
    """FFmpeg's filters are there: not in OpenCV's headless builds, nor before 4.13."""
    return bool(_mapped("libavfilter"))


def _by_descriptor(path: str, opener: Callable[[str], cv2.VideoCapture]) -> cv2.VideoCapture:
    """What `opener` makes of a file, which it gets under a name of plain letters. Raises SourceError."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    try:
        return opener(f"/proc/self/fd/{number}")
    finally:
        os.close(number)


def _filtered(graph: str) -> cv2.VideoCapture:
    others = os.environ.get(_OPTIONS)
    os.environ[_OPTIONS] = "input_format;lavfi"
    try:
        return capture(graph)
    finally:
        del os.environ[_OPTIONS]
        if others is not None:
            os.environ[_OPTIONS] = others


def _escaped(text: str) -> str:
    """A value in a graph: once for the filter's options, once for the graph (ffmpeg-filters, "Notes on filtergraph escaping")."""
    for _ in range(2):
        text = re.sub(r"([\\':,;=\[\]])", r"\\\1", text)
    return text


def _mapped(library: str) -> List[str]:
    """Paths of the libraries of this name that the process has loaded."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        return sorted({line.split(maxsplit=5)[5].strip() for line in maps if library in line})


@cache
def _libavutil() -> Any:
    """The library that OpenCV has loaded; None where it is linked into OpenCV without its symbols."""
    for path in _mapped("libavutil"):
        if "/av.libs/" in path:
            # PyAV's own copy, in the process that writes videos
            continue
        try:
            library = ctypes.CDLL(path)
            library.av_log_set_callback.argtypes = [_CALLBACK]
            library.av_log_default_callback.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
        except (OSError, AttributeError):
            continue
        return library
    return None


def _listen(context: Optional[int], level: int, text: Optional[int], values: Optional[int]) -> None:
    if level & 0xFF <= _LOG_ERROR:
        _newest[0] = next(_errors)
        if context and _class_name(context).lower() == b"swscaler":
            _refused.add(threading.get_ident())
    if _passes_on():
        _libavutil().av_log_default_callback(context, level, text, values)


@cache
def _passes_on() -> bool:
    """FFmpeg's log was requested by an environment variable, see _opencv."""
    return os.environ.get("OPENCV_FFMPEG_LOGLEVEL", "-8") != "-8"


def _class_name(context: int) -> bytes:
    """The name in the AVClass that every logging context of FFmpeg begins with."""
    described = ctypes.c_void_p.from_address(context).value
    return (ctypes.c_char_p.from_address(described).value or b"") if described else b""


_listener = _CALLBACK(_listen)
