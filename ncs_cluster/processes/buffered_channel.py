"""The supervisor's end of a channel: sends never block, and messages that the kernel does not accept yet wait in a queue.

A peer with MAX_QUEUED waiting messages counts as hung: `send` returns False.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from ncs_cluster.errors import ProtocolError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.processes.loop import READ, WRITE, Loop

MAX_QUEUED = 4096

M = TypeVar("M")

log = logging.getLogger(__name__)


class BufferedChannel(Generic[M]):
    """A channel that is registered with the loop. M: the messages that it decodes."""

    def __init__(
        self,
        channel: Channel[M],
        loop: Loop,
        on_message: Callable[[M], None],
        on_close: Callable[[str], None],
    ) -> None:
        """`on_close(reason)` is called once when the peer ends the channel: "" for end of file, else the error in its messages."""
        self.channel = channel
        self._loop = loop
        self._on_message = on_message
        self._on_close = on_close
        self._queue: deque[tuple[bytes, int | None]] = deque()
        """Waiting messages, each with a duplicate of its descriptor: the caller may close the original."""
        self._closed = False
        self._fd = channel.fileno()
        loop.watch(self._fd, self._on_ready)

    def send(self, message: object, fd: int | None = None, *, droppable: bool = False) -> bool:
        """Send a message, or queue it. False when the peer is hung. A droppable message is dropped where it would be queued."""
        if self._closed:
            return True
        if self._queue and droppable:
            return True
        try:
            data = self.channel.encode(message)
        except ProtocolError as error:
            # a message too long is a defect, and the daemon goes on without this message
            log.error("message dropped: %s", error)
            return True
        if self._queue:
            return len(self._queue) < MAX_QUEUED and self._enqueue(data, fd)
        try:
            sent = self.channel.send_bytes(data) if fd is None else self.channel.send_bytes(data, fd)
        except OSError:
            # the peer has closed its end; the exit of its process is reported by its pidfd
            return True
        if not sent and not droppable:
            self._loop.watch(self._fd, self._on_ready, READ | WRITE)
            return self._enqueue(data, fd)
        return True

    @property
    def waiting(self) -> int:
        """Messages that the kernel does not accept yet."""
        return len(self._queue)

    def drain(self) -> None:
        """Read all messages that are in the socket: the last ones of a process that has exited."""
        while not self._closed and self._read_one():
            pass

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.forget(self._fd)
            self.channel.close()
            self._clear_queue()

    def _on_ready(self, ready: int) -> None:
        if ready & WRITE:
            self._flush()
        if ready & READ and not self._closed:
            # one message a turn: a peer that sends many keeps no other one waiting
            self._read_one()

    def _read_one(self) -> bool:
        try:
            message = self.channel.receive_message()
        except EOFError:
            self._fail("")
            return False
        except (ProtocolError, OSError) as error:
            self._fail(str(error))
            return False
        if message is None:
            return False
        self._on_message(message)
        return True

    def _flush(self) -> None:
        while self._queue:
            data, fd = self._queue[0]
            try:
                sent = self.channel.send_bytes(data) if fd is None else self.channel.send_bytes(data, fd)
            except OSError:
                self._clear_queue()
                break
            if not sent:
                return
            self._drop_first()
        self._loop.watch(self._fd, self._on_ready)

    def _enqueue(self, data: bytes, fd: int | None) -> bool:
        """False where no descriptor is left for the duplicate."""
        try:
            self._queue.append((data, None if fd is None else os.dup(fd)))
        except OSError:
            return False
        return True

    def _drop_first(self) -> None:
        _, fd = self._queue.popleft()
        if fd is not None:
            os.close(fd)

    def _clear_queue(self) -> None:
        while self._queue:
            self._drop_first()

    def _fail(self, reason: str) -> None:
        self.close()
        self._on_close(reason)
