"""Another source, for a program that follows it with Cluster.stream: the program learns why there is no frame, and of the end.

Where every frame counts, frames are read as far as the program gives credit, so that one that reads its results slowly holds this
source and nothing else. Runs on CPython 3.9.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Dict, Optional

from ncs_cluster.errors import ProtocolError, SourceError, format_os_error
from ncs_cluster.feeding.link import Link, connect
from ncs_cluster.feeding.messages import Credit, RelayEnded, RelayLost, RelayOpens, ToPlugin
from ncs_cluster.plugins import load
from ncs_cluster.sources.base import Captured, Find, Idling, Parsed, Planes, Skipping, Source, SourceInfo

GONE = "the program that follows this source has ended"


@dataclass(frozen=True)
class Options:
    """Where the program listens, what it calls the stream, and the source."""

    __pydantic_config__ = {"extra": "forbid"}

    socket: str
    stream: str
    source: str
    """The name of a source plugin."""
    options: Dict[str, Any] = field(default_factory=dict)
    """Fields of its `Options`."""


def parse(spec: str, find: Find) -> Parsed:
    """No SPEC means a relay: Cluster.stream makes one."""
    raise ValueError("a program follows a source by ncs_cluster.Cluster.stream")


class Relay:
    """See base.Source, base.Skipping, base.Idling."""

    def __init__(self, options: Options) -> None:
        from ncs_cluster.sources import SOURCES

        plugin = SOURCES.get(options.source)
        self._options = options
        self._inner: Source = load(plugin.driver)(load(plugin.options)(**options.options))
        self._info: Optional[SourceInfo] = None
        self._link: Optional[Link[ToPlugin]] = None
        self._frames = 0
        """Frames read or skipped."""
        self._limit: Optional[int] = 0
        """Frames that may be read; None: all."""
        self._lock = threading.Lock()
        self._reading = self._closed = self._waits = False

    @property
    def idle(self) -> bool:
        return self._waits or (isinstance(self._inner, Idling) and self._inner.idle)

    def open(self) -> SourceInfo:
        try:
            self._connect()
        except SourceError:
            self._release()
            raise
        try:
            self._info = self._inner.open()
        except SourceError as error:
            self._tell(RelayLost(error.detail, error.permanent))
            raise
        return self._info

    def skip(self, frames: int) -> None:
        self._frames += frames
        if isinstance(self._inner, Skipping):
            self._inner.skip(frames)
        else:
            scratch = self._scratch()
            for _ in range(frames):
                if self._inner.read(scratch) is None:
                    break

    def read(self, into: Planes) -> Optional[Captured]:
        with self._lock:
            if self._closed or self._link is None:
                raise SourceError("the source is closed")
            self._reading = True
        try:
            self._await_credit(self._link)
            captured = self._inner.read(into)
        except SourceError as error:
            self._tell(RelayLost(error.detail, error.permanent))
            raise
        finally:
            with self._lock:
                self._reading = self._waits = False
                if self._closed:
                    self._release()
        if captured is None:
            self._tell(RelayEnded(self._frames))
        else:
            self._frames += 1
        return captured

    def close(self) -> None:
        """From any thread, any number of times."""
        with self._lock:
            self._closed = True
            if self._link is not None:
                self._link.end()
            if not self._reading:
                self._release()
        self._inner.close()

    def _connect(self) -> None:
        try:
            self._link = connect(self._options.socket, ToPlugin)
            self._link.send(RelayOpens(self._options.stream))
            received = self._link.receive()
        except OSError as error:
            raise SourceError(f"{GONE}: {format_os_error(error)}") from error
        except (EOFError, ProtocolError) as error:
            raise SourceError(f"{GONE}: {error}") from error
        if received is None or not isinstance(received.message, Credit):
            raise SourceError("the program that follows this source does not answer")
        self._limit = received.message.frames
        self._link.sock.settimeout(None)

    def _await_credit(self, link: Link[ToPlugin]) -> None:
        while self._limit is not None and self._frames >= self._limit:
            self._waits = True
            try:
                received = link.receive()
            except (EOFError, ProtocolError) as error:
                raise SourceError(f"{GONE}: {error}") from error
            if received is not None and isinstance(received.message, Credit):
                self._limit = received.message.frames
        self._waits = False

    def _tell(self, message: Any) -> None:
        with self._lock:
            if self._link is not None and not self._closed:
                try:
                    self._link.send(message)
                except OSError:
                    pass  # the program has ended, and this process ends too

    def _release(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _scratch(self) -> Planes:
        """Memory for a frame that nobody sees."""
        import numpy as np

        assert self._info is not None
        info = self._info
        depth = None if info.depth_scale_m is None else np.empty((info.height, info.width), np.uint16)
        return Planes(np.empty((info.height, info.width, 3), np.uint8), depth)
