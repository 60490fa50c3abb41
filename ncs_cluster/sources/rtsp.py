"""A network camera: rtsp://, rtmp://, or MJPEG and the like over http(s)://, through OpenCV's FFmpeg. The newest frame wins.

The address may contain a password, so messages show its redacted form.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Optional
from urllib.parse import urlsplit

from ncs_cluster.errors import SourceError, one_line
from ncs_cluster.sources._ffmpeg import capture, deinterlacing_stream
from ncs_cluster.sources._live import Live
from ncs_cluster.sources._secret import redacted
from ncs_cluster.sources.base import Captured, Find, Parsed, Planes, SourceInfo

if TYPE_CHECKING:
    import cv2

PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
CODES = {"%": "%25", "#": "%23", "/": "%2F", "?": "%3F", "[": "%5B", "]": "%5D"}
"""Characters that end or change the part of an address in which user and password stand; RFC 3986, 2.1."""
CONNECT_S = 2.0
MOST_PATIENCE_S = 15.0
"""Seconds; a camera process that is silent for longer counts as stuck."""
LONGEST_INTERVAL_S = 10.0
TRANSPORT = "rtsp_transport;tcp"
"""TCP: a UDP datagram lost on a radio link corrupts the picture. OPENCV_FFMPEG_CAPTURE_OPTIONS in the environment overrides it."""


@dataclass(frozen=True)
class Options:
    """`open_timeout_s` also covers the wait for the first key frame. `snapshot_interval_s`: http only, between two requests to an
    address that gives single pictures."""

    __pydantic_config__ = {"extra": "forbid"}

    url: str
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    snapshot_interval_s: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.open_timeout_s <= MOST_PATIENCE_S and 0 < self.read_timeout_s <= MOST_PATIENCE_S):
            raise ValueError(f"open_timeout_s and read_timeout_s must be within 0..{MOST_PATIENCE_S:g}")
        if not 0 < self.snapshot_interval_s <= LONGEST_INTERVAL_S:
            raise ValueError(f"snapshot_interval_s must be within 0..{LONGEST_INTERVAL_S:g}")


def parse(spec: str, find: Find) -> Parsed:
    scheme, slashes, rest = spec.partition("://")
    url = scheme.lower() + slashes + rest
    if not _has_host(url):
        odd = [f"{found} as {code}" for found, code in CODES.items() if found in rest.rpartition("@")[0]]
        why = f"in user and password write {', '.join(odd)}" if odd else "it has no host, or no such port"
        raise ValueError(f'"{one_line(redacted(url))}" is no address of a camera: {why}')
    return Parsed({"url": url}, redacted(url))


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        whole = "@" not in parts.fragment  # else a password with # ended the host
        return bool(parts.hostname) and (parts.port is None or parts.port > 0) and whole and url.isprintable()
    except ValueError:
        return False


class Rtsp:
    """A network stream."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._shown = redacted(options.url)
        # over http a stream that ends may be one picture, or have been cut off by a part that is none
        repeat_s = options.snapshot_interval_s if options.url.startswith("http") else None
        open_s, silence_s = options.open_timeout_s, options.read_timeout_s
        self._live = Live(
            self._shown,
            self._start,
            open_s=open_s,
            silence_s=silence_s,
            repeat_s=repeat_s,
            deinterlace=self._start_deinterlacing,
        )

    def open(self) -> SourceInfo:
        """Waits for the first frame. SourceError when no server answers, or without a video stream."""
        width, height, rate_fps = self._live.open()
        fps = rate_fps if 0 < rate_fps <= 240 else None
        return SourceInfo(width, height, fps, description=f"{self._shown} ({width}x{height})")

    def read(self, into: Planes) -> Optional[Captured]:
        """The next frame. SourceError when the stream ends or gives none for `read_timeout_s`."""
        return self._live.read(into)

    def close(self) -> None:
        """From any thread, any number of times."""
        self._live.close()

    def _start(self) -> cv2.VideoCapture:
        import cv2

        options = self._options
        return self._opened(
            lambda: capture(
                options.url,
                [
                    cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                    int(1000 * options.open_timeout_s),
                    cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                    int(1000 * options.read_timeout_s),
                ],
            )
        )

    def _start_deinterlacing(self) -> cv2.VideoCapture:
        return self._opened(lambda: deinterlacing_stream(self._options.url, self._options.read_timeout_s))

    def _opened(self, start: Callable[[], cv2.VideoCapture]) -> cv2.VideoCapture:
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", TRANSPORT)
        self._check_connection()
        opened = start()
        if not opened.isOpened():
            raise SourceError("answers, but gives no stream: check the path, user and password")
        return opened

    def _check_connection(self) -> None:
        """Connect once over TCP: OpenCV reports a refused connection only as "not opened"."""
        try:
            parts = urlsplit(self._options.url)
            host, port = parts.hostname, parts.port or PORTS.get(parts.scheme)
        except ValueError:
            host = port = None
        if not host or not port:
            raise SourceError("is not a stream address: write rtsp://host/path or http://host/path", permanent=True)
        try:
            socket.create_connection((host, port), timeout=CONNECT_S).close()
        except OSError as error:
            raise SourceError(f"no answer from {host}:{port} ({error.strerror or error})") from error
