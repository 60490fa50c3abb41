"""Records for the program that has started this cluster, over its socket; see ncs_cluster.feeding. Runs on CPython 3.9.

The program knows which records it has, so a sink process that follows a killed one goes on behind them. While the program does not
read, writing fails with EAGAIN, and the streams wait; when it has ended, records are dropped: the cluster ends too.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Optional

from ncs_cluster.errors import ProtocolError
from ncs_cluster.feeding.link import Link, connect
from ncs_cluster.feeding.messages import SinkOpens, ToPlugin, WriteFrom, Written
from ncs_cluster.sinks.base import Opened, Parsed, Place
from ncs_cluster.types import Record

READER_S = 0.5
"""Longest wait of a write for the program: heartbeats are sent meanwhile."""


@dataclass(frozen=True)
class Options:
    """Where the program listens."""

    __pydantic_config__ = {"extra": "forbid"}

    socket: str


def parse(spec: str, place: Place) -> Parsed:
    """No SPEC means a feed: ncs_cluster.Cluster makes one."""
    raise ValueError("a program gets results by ncs_cluster.Cluster, not by --results")


class Feed:
    """See base.Sink. The resume token is empty: the program says which record it wants."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._link: Optional[Link[ToPlugin]] = None
        self._number = 0

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        link = connect(self._options.socket, ToPlugin)
        try:
            link.send(SinkOpens(first))
            received = link.receive()
            if received is None or not isinstance(received.message, WriteFrom):
                raise OSError(errno.ETIMEDOUT, "the program that gets the results does not answer")
        except OSError:
            link.close()
            raise
        except (EOFError, ProtocolError) as error:
            link.close()
            raise OSError(errno.EPIPE, f"the program that gets the results has ended: {error}") from error
        link.sock.settimeout(READER_S)
        self._link, self._number = link, received.message.next
        return Opened(self._number, b"")

    def follow(self) -> Optional[bytes]:
        return None

    def write(self, record: Record) -> bytes:
        if self._link is not None:
            try:
                self._link.send(Written(self._number, record))
            except (BlockingIOError, socket.timeout) as error:
                raise BlockingIOError(errno.EAGAIN, "the program does not read its results") from error
            except BrokenPipeError:
                self.close()
        self._number += 1
        return b""

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
