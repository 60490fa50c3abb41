"""The images of a program, in the order in which it gives them; see ncs_cluster.feeding and docs/library.md.

An image stays in its slot of the ring until its frame is captured, so a camera process that is killed loses none: the next one says
which image it wants first. Runs on CPython 3.9.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Optional

from ncs_cluster.errors import ProtocolError, SourceError, SourceResized, format_os_error
from ncs_cluster.feeding.link import Link, connect
from ncs_cluster.feeding.messages import FeedOpens, FeedReady, Image, Outgrown, Ring, Taken, ToPlugin
from ncs_cluster.feeding.ring import ImageRing
from ncs_cluster.sources._planes import colour_room
from ncs_cluster.sources.base import Captured, Find, Parsed, Planes, SourceInfo

GONE = "the program that gives the images has ended"


@dataclass(frozen=True)
class Options:
    """Where the program listens, and what it calls the stream."""

    __pydantic_config__ = {"extra": "forbid"}

    socket: str
    stream: str


def parse(spec: str, find: Find) -> Parsed:
    """No SPEC means a feed: ncs_cluster.Cluster makes one."""
    raise ValueError("a program gives images by ncs_cluster.Cluster, not by --source")


class Feed:
    """See base.Source, base.Skipping, base.Idling."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._next = 0
        self._ready = False
        self._link: Optional[Link[ToPlugin]] = None
        self._ring: Optional[ImageRing] = None
        self._lock = threading.Lock()
        self._reading = False
        self._closed = False
        self.idle = False

    def open(self) -> SourceInfo:
        try:
            return self._open()
        except SourceError:
            self._release()
            raise

    def skip(self, frames: int) -> None:
        self._next = frames

    def read(self, into: Planes) -> Captured:
        """Waits for the program's next image. Raises SourceResized for one that is larger than a slot."""
        with self._lock:
            if self._closed or self._link is None or self._ring is None:
                raise SourceError("the source is closed")
            self._reading = True
        try:
            return self._read(self._link, self._ring, into)
        except (OSError, EOFError) as error:
            raise SourceError(GONE) from error
        except (ProtocolError, ValueError) as error:
            raise SourceError(f"invalid image of the program: {error}") from error
        finally:
            self.idle = False
            with self._lock:
                self._reading = False
                if self._closed:
                    self._release()

    def close(self) -> None:
        """From any thread, any number of times."""
        with self._lock:
            self._closed = True
            if self._link is not None:
                self._link.end()
            if not self._reading:
                self._release()

    def _open(self) -> SourceInfo:
        try:
            self._link = connect(self._options.socket, ToPlugin)
            self._link.send(FeedOpens(self._options.stream))
            received = self._link.receive()
        except OSError as error:
            raise SourceError(f"{GONE}: {format_os_error(error)}") from error
        except (EOFError, ProtocolError) as error:
            raise SourceError(f"{GONE}: {error}") from error
        if received is None or not isinstance(received.message, Ring) or received.fd < 0:
            raise SourceError("the program that gives the images does not answer")
        ring = received.message
        try:
            self._ring = ImageRing(received.fd, ring.slots, ring.width, ring.height, writable=False)
        except (OSError, ValueError) as error:
            raise SourceError(f"the ring of images cannot be mapped: {error}") from error
        finally:
            os.close(received.fd)
        # from now on it waits as long as the program does
        self._link.sock.settimeout(None)
        return SourceInfo(ring.width, ring.height, fps=None, finite=False, ordered=True, description="images of a program")

    def _read(self, link: Link[ToPlugin], ring: ImageRing, into: Planes) -> Captured:
        # the frame before this one is captured when the next one is asked for, not before
        link.send(Taken(self._next) if self._ready else FeedReady(self._next))
        self._ready = True
        self.idle = True
        received = link.receive()
        self.idle = False
        message = None if received is None else received.message
        if isinstance(message, Outgrown):
            raise SourceResized("the next image is larger than a slot")
        if not isinstance(message, Image) or message.number != self._next:
            raise ProtocolError(f"image {self._next} is next, not {message}")
        colour_room(into.colour, message.width, message.height)[:] = ring.image(message.slot, message.width, message.height)
        self._next += 1
        return Captured(message.submitted_s, message.submitted_at, message.width, message.height)

    def _release(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._ring is not None:
            self._ring.close()
            self._ring = None
