"""One end of a channel: whole messages in, whole messages out, with descriptors.

SOCK_SEQPACKET keeps message boundaries and order, and reports end of file when the peer has closed its end. A message has 1 to
MAX_MESSAGE bytes: an empty one would look like end of file. On a non-blocking socket `receive` returns None when the kernel's queue
is empty, and `send` returns False when it is full. Runs on CPython 3.9.
"""

from __future__ import annotations

import array
import socket
from typing import Any, Generic, List, NamedTuple, Optional, Tuple, TypeVar

import msgspec

from ncs_cluster import file_descriptors
from ncs_cluster.errors import ProtocolError

MAX_MESSAGE = 200_000
"""Bytes. With the kernel's overhead it fits into the default send buffer of 212,960 bytes."""
MAX_FDS = 4
"""Descriptors per message."""
_REAL_LENGTH = int(socket.MSG_TRUNC)
"""Makes a receive return the length of the message, of which the end may not have fit into the buffer."""
_WAIT, _AT_ONCE = int(socket.MSG_CMSG_CLOEXEC), int(socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT)
_TRUNCATED = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
"""A plain int: arithmetic on the enum costs more than decoding the message."""

R = TypeVar("R")


class Received(NamedTuple):
    """A message and its descriptors, which the receiver now owns."""

    message: Any
    fds: List[int]


class Channel(Generic[R]):
    """Sends any message; receives messages of the union `R`, given as `incoming`, of at most `max_bytes` bytes."""

    def __init__(self, sock: socket.socket, incoming: Any, max_bytes: int = MAX_MESSAGE) -> None:
        self.sock = sock
        self._max_bytes = max_bytes
        self._decode = msgspec.msgpack.Decoder(incoming).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._buffer = bytearray(max_bytes + 1)
        self._view = memoryview(self._buffer)
        self._ancillary = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)

    def fileno(self) -> int:
        return self.sock.fileno()

    def encode(self, message: Any) -> bytes:
        """The encoded message, for senders that queue bytes. Raises ProtocolError when it has more than MAX_MESSAGE bytes."""
        data = self._encode(message)
        if len(data) > MAX_MESSAGE:
            raise ProtocolError(f"{type(message).__name__} of {len(data)} bytes is longer than {MAX_MESSAGE} bytes")
        return data

    def send(self, message: Any, *fds: int) -> bool:
        """False when the queue is full and the socket is non-blocking. Raises BrokenPipeError when the peer has closed its end."""
        return self.send_bytes(self.encode(message), *fds)

    def send_bytes(self, data: bytes, *fds: int) -> bool:
        """As `send`, for an encoded message."""
        try:
            if fds:
                socket.send_fds(self.sock, [data], list(fds))
            else:
                self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionResetError as error:
            raise BrokenPipeError(str(error)) from error
        return True

    def receive(self, *, wait: bool = True) -> Optional[Received]:
        """None when the queue is empty and the socket is non-blocking, or `wait` is False. Raises EOFError when the peer has closed
        its end, ProtocolError when the bytes are not a message of `R`."""
        try:
            try:
                size, ancillary, flags, _ = self._receive(wait)
            except ConnectionResetError:
                # the peer closed its end before it had read everything; once this is told, its own last messages can be read
                size, ancillary, flags, _ = self._receive(wait)
        except (BlockingIOError, InterruptedError):
            return None
        except ConnectionResetError as error:
            raise EOFError(str(error)) from error
        fds = file_descriptors.received(ancillary)
        try:
            message = self._message(size, truncated=bool(flags & _TRUNCATED))
        except (EOFError, ProtocolError):
            file_descriptors.close(fds)
            raise
        return Received(message, fds)

    def receive_message(self) -> Optional[R]:
        """As `receive`, where no message carries descriptors: the kernel closes those that come. Takes half the time."""
        try:
            try:
                size = self.sock.recv_into(self._buffer, 0, _REAL_LENGTH)
            except ConnectionResetError:
                size = self.sock.recv_into(self._buffer, 0, _REAL_LENGTH)
        except (BlockingIOError, InterruptedError):
            return None
        except ConnectionResetError as error:
            raise EOFError(str(error)) from error
        return self._message(size)

    def close(self) -> None:
        self.sock.close()

    def _message(self, size: int, *, truncated: bool = False) -> R:
        """The message of `size` bytes in the buffer."""
        if size == 0:
            raise EOFError("the peer closed the channel")
        if truncated or size > self._max_bytes:
            raise ProtocolError(f"a message is longer than {self._max_bytes} bytes")
        try:
            return self._decode(self._view[:size])  # type: ignore[no-any-return]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            # msgspec raises UnicodeDecodeError for text that is not UTF-8 and RecursionError for endless nesting
            raise ProtocolError(f"not a message of this channel: {error}") from error

    def _receive(self, wait: bool) -> Tuple[int, List[Tuple[int, int, bytes]], int, Any]:
        return self.sock.recvmsg_into([self._buffer], self._ancillary, _WAIT if wait else _AT_ONCE)


def pair() -> Tuple[socket.socket, socket.socket]:
    """Two connected sockets, close-on-exec and blocking."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
