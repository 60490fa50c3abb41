"""One end of a connection between a program and a plugin: whole messages over AF_UNIX SOCK_SEQPACKET, with descriptors.

On a non-blocking socket, or after its time-out, `receive` returns None when no message has come. Runs on CPython 3.9.
"""

from __future__ import annotations

import array
import socket
from typing import Any, Generic, NamedTuple, Optional, TypeVar

import msgspec

from ncs_cluster import file_descriptors
from ncs_cluster.errors import ProtocolError

SOCKET = "feed.sock"
"""Its name in the runtime directory."""
MAX_MESSAGE = 200_000
"""Bytes. With the kernel's overhead it fits into the default send buffer of 212,960 bytes."""
ANSWER_S = 20.0
"""Longest wait for the program's first answer."""

R = TypeVar("R")


class Received(NamedTuple):
    """A message, and the descriptor that came with it, which the receiver owns now; -1: none."""

    message: Any
    fd: int


class Link(Generic[R]):
    """Sends any message; receives messages of the union `R`, given as `incoming`."""

    def __init__(self, sock: socket.socket, incoming: Any) -> None:
        self.sock = sock
        self._decode = msgspec.msgpack.Decoder(incoming).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._buffer = bytearray(MAX_MESSAGE + 1)
        self._view = memoryview(self._buffer)
        self._ancillary = socket.CMSG_SPACE(array.array("i").itemsize)

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, message: Any, *fds: int) -> None:
        """Raises OSError: BlockingIOError or a time-out when the queue is full, BrokenPipeError when the peer is gone."""
        data = self._encode(message)
        try:
            if fds:
                socket.send_fds(self.sock, [data], list(fds))
            else:
                self.sock.send(data)
        except ConnectionResetError as error:
            raise BrokenPipeError(error.errno, error.strerror) from error

    def receive(self) -> Optional[Received]:
        """Raises EOFError when the peer is gone, ProtocolError for bytes that are not a message of `R`."""
        try:
            size, ancillary, flags, _ = self._read()
        except (BlockingIOError, InterruptedError, socket.timeout):
            return None
        except OSError as error:
            raise EOFError(str(error)) from error
        fds = file_descriptors.received(ancillary)
        try:
            if size == 0:
                raise EOFError("the peer closed the connection")
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise ProtocolError(f"a message is longer than {MAX_MESSAGE} bytes")
            message = self._decode(self._view[:size])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            file_descriptors.close(fds)
            raise ProtocolError(f"not a message of this connection: {error}") from error
        except (EOFError, ProtocolError):
            file_descriptors.close(fds)
            raise
        file_descriptors.close(fds[1:])
        return Received(message, fds[0] if fds else -1)

    def end(self) -> None:
        """End the connection. A `receive` that another thread waits in ends with EOFError; the descriptor stays open."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer is gone already

    def close(self) -> None:
        self.sock.close()

    def _read(self) -> Any:
        try:
            return self.sock.recvmsg_into([self._buffer], self._ancillary, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            # the peer closed its end before it had read everything; once this is told, its own last messages can be read
            return self.sock.recvmsg_into([self._buffer], self._ancillary, socket.MSG_CMSG_CLOEXEC)


def connect(path: str, incoming: Any) -> Link[Any]:
    """A connection to the program that listens on `path`, blocking. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.settimeout(ANSWER_S)
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return Link(sock, incoming)
