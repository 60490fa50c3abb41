"""The supervisor's ends of its wires: sends without blocking, keeps what the kernel will not take yet, in order and bounded.

A peer that does not read is not waited for: beyond MOST_QUEUED messages it counts as hung, and the caller is told.
"""

from __future__ import annotations

import logging
import os
import select
import selectors
from collections import deque
from collections.abc import Callable

from ncs_cluster.errors import ProtocolError
from ncs_cluster.ipc.channel import Channel

MOST_QUEUED = 4096
MOST_PER_TURN = 64
"""Messages read from one peer before the others are looked at."""

log = logging.getLogger(__name__)


class Link:
    """One wire, registered with the loop."""

    def __init__(
        self,
        wire: Channel[object],
        selector: selectors.BaseSelector,
        on_message: Callable[[object], None],
        on_close: Callable[[str], None],
    ) -> None:
        """`on_close` is told why, once: end of file is "", anything else is the peer's fault."""
        self.wire = wire
        self._selector = selector
        self._on_message = on_message
        self._on_close = on_close
        self._queue: deque[tuple[bytes, int | None]] = deque()
        """What waits, each with a descriptor of our own: the sender may close its one meanwhile."""
        self._closed = False
        self._more = select.poll()
        self._more.register(wire.sock, select.POLLIN)
        selector.register(wire.sock, selectors.EVENT_READ, self._turn)

    def send(self, message: object, fd: int | None = None, *, droppable: bool = False) -> bool:
        """False when the peer is hung or gone. A droppable message is left out where it would have to wait."""
        if self._closed:
            return True
        if self._queue and droppable:
            return True
        try:
            data = self.wire.encode(message)
        except ProtocolError as error:
            # whatever led to it, one message is not worth the daemon
            log.error("left out: %s", error)
            return True
        if self._queue:
            if len(self._queue) >= MOST_QUEUED:
                return False
            self._keep(data, fd)
            return True
        try:
            sent = self.wire.send_bytes(data) if fd is None else self.wire.send_bytes(data, fd)
        except OSError:
            # its end is closed: the process's own end is heard of by other ways
            return True
        if not sent and not droppable:
            self._keep(data, fd)
            self._selector.modify(self.wire.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self._turn)
        return True

    def drain(self) -> None:
        """Read everything that is there: the last words of a process that has ended."""
        while not self._closed and self._read_one():
            pass

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._selector.unregister(self.wire.sock)
            self.wire.close()
            self._forget()

    def _turn(self, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._flush()
        if mask & selectors.EVENT_READ:
            for _ in range(MOST_PER_TURN):
                # a receive that finds nothing raises, and costs seven times as much as to ask
                if self._closed or not self._read_one() or not self._more.poll(0):
                    break

    def _read_one(self) -> bool:
        try:
            received = self.wire.receive()
        except EOFError:
            self._end("")
            return False
        except (ProtocolError, OSError) as error:
            self._end(str(error))
            return False
        if received is None:
            return False
        for fd in received.fds:
            # nobody has reason to send the supervisor one
            os.close(fd)
        self._on_message(received.message)
        return True

    def _flush(self) -> None:
        while self._queue:
            data, fd = self._queue[0]
            try:
                sent = self.wire.send_bytes(data) if fd is None else self.wire.send_bytes(data, fd)
            except OSError:
                self._forget()
                break
            if not sent:
                return
            self._forget_first()
        self._selector.modify(self.wire.sock, selectors.EVENT_READ, self._turn)

    def _keep(self, data: bytes, fd: int | None) -> None:
        self._queue.append((data, None if fd is None else os.dup(fd)))

    def _forget_first(self) -> None:
        _, fd = self._queue.popleft()
        if fd is not None:
            os.close(fd)

    def _forget(self) -> None:
        while self._queue:
            self._forget_first()

    def _end(self, why: str) -> None:
        self.close()
        self._on_close(why)
