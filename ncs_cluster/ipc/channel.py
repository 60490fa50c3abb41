"""One end of a wire: whole messages in, whole messages out, descriptors beside them.

SOCK_SEQPACKET keeps message boundaries and order and tells end of file when the peer is gone. A message is at most MAX_MESSAGE
bytes; an empty one is never sent, because it looks like end of file. Non-blocking ends get None from `receive` and False from
`send` when the kernel's queue is empty or full. Runs on CPython 3.9.
"""

from __future__ import annotations

import array
import os
import socket
from typing import Any, Generic, List, NamedTuple, Optional, Tuple, TypeVar

import msgspec

from ncs_cluster.errors import ProtocolError

MAX_MESSAGE = 200_000
"""Below the kernel's default send buffer of 212,960 bytes, its own overhead included."""
MAX_FDS = 4
_CUT_SHORT = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
"""As a plain number: an enum's arithmetic would cost each message more than its decoding."""

R = TypeVar("R")


class Received(NamedTuple):
    """A message and the descriptors that came with it, owned by the receiver now."""

    message: Any
    fds: List[int]


class Channel(Generic[R]):
    """Sends any message, receives those of one union `R`. `incoming` is that union's type; none may be longer than `most` bytes."""

    def __init__(self, sock: socket.socket, incoming: Any, most: int = MAX_MESSAGE) -> None:
        self.sock = sock
        self._most = most
        self._decode = msgspec.msgpack.Decoder(incoming).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._buffer = bytearray(most + 1)
        self._view = memoryview(self._buffer)
        self._ancillary = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)

    def fileno(self) -> int:
        return self.sock.fileno()

    def encode(self, message: Any) -> bytes:
        """The bytes of a message, for senders that queue them. Raises ProtocolError when it is too long."""
        data = self._encode(message)
        if len(data) > MAX_MESSAGE:
            raise ProtocolError(f"{type(message).__name__} of {len(data)} bytes is longer than {MAX_MESSAGE}")
        return data

    def send(self, message: Any, *fds: int) -> bool:
        """False when the queue is full and the socket does not block. Raises BrokenPipeError when the peer is gone."""
        return self.send_bytes(self.encode(message), *fds)

    def send_bytes(self, data: bytes, *fds: int) -> bool:
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

    def receive(self) -> Optional[Received]:
        """None when nothing is there. Raises EOFError when the peer is gone, ProtocolError on bytes that are no message of `R`."""
        try:
            size, ancillary, flags, _ = self.sock.recvmsg_into([self._buffer], self._ancillary, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return None
        except ConnectionResetError as error:
            raise EOFError(str(error)) from error
        fds = _descriptors(ancillary)
        if size == 0:
            _close(fds)
            raise EOFError("the peer closed the channel")
        if flags & _CUT_SHORT or size > self._most:
            _close(fds)
            raise ProtocolError(f"a message is longer than {self._most} bytes")
        try:
            message = self._decode(self._view[:size])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            # the second of a text that is none, the third of nesting without end: both from a peer that talks rubbish
            _close(fds)
            raise ProtocolError(f"not a message of this channel: {error}") from error
        return Received(message, fds)

    def close(self) -> None:
        self.sock.close()


def pair() -> Tuple[socket.socket, socket.socket]:
    """Two connected ends; both are close-on-exec and blocking."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _descriptors(ancillary: List[Tuple[int, int, bytes]]) -> List[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _close(fds: List[int]) -> None:
    for fd in fds:
        os.close(fd)
