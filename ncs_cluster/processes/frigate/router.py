"""A ROUTER socket of ZeroMQ in an event loop: a callback for each message that has come, and sends that never wait.

pyzmq's own `zmq.asyncio` makes a future of each call and looks at the socket's state several times for each, which takes longer
than all else that is done with a frame of Frigate. The socket's descriptor is readable when ZeroMQ has something to do, and says
so once: whoever was told reads until nothing is left.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from typing import Any

from ncs_cluster.errors import NcsClusterError
from ncs_cluster.processes.frigate import protocol

MOST_AT_ONCE = 16
"""Messages between two looks at what else the event loop has to do."""
WAITING = 4
"""Messages of each client that may wait in either direction: frames that wait here are late already."""
HEARTBEAT_MS = 10_000
PIP = "pip install 'ncs-cluster[frigate]'"


class CannotServe(NcsClusterError):
    """The endpoint cannot be bound, one line. `permanent`: another try would fail too."""

    def __init__(self, detail: str, *, permanent: bool = True) -> None:
        super().__init__(detail)
        self.permanent = permanent


class Router:
    """A bound socket, read until it is closed. Lives in the event loop."""

    def __init__(self, endpoint: str, received: Callable[[list[Any]], None]) -> None:
        """`received` gets the frames of one message, as zmq.Frame, the sender's identity first. Raises CannotServe."""
        self._socket = _bound(endpoint)
        self._received = received
        self._loop = asyncio.get_running_loop()
        self.failed = False
        """It is read no more: `received` has raised an error, which the event loop has logged."""
        import zmq

        self._nothing_left, self._at_once = zmq.Again, int(zmq.NOBLOCK)
        # plain ints: arithmetic on the enums takes longer than the calls
        self._events, self._readable = int(zmq.EVENTS), int(zmq.POLLIN)
        self._fd = self._socket.get(zmq.FD)
        self._loop.add_reader(self._fd, self._read)
        # who connected between the bind and now is not told by the descriptor again
        self._loop.call_soon(self._read)

    def send(self, frames: Sequence[bytes]) -> None:
        """To the client whose identity comes first. One that has gone or does not read gets nothing."""
        self._socket.send_multipart(frames, self._at_once)
        # a send may have taken note of a message that has come; then the descriptor does not tell it
        if self._socket.get(self._events) & self._readable:
            self._loop.call_soon(self._read)

    def close(self) -> None:
        if not self._socket.closed:
            self._loop.remove_reader(self._fd)
            self._socket.close(linger=0)

    def _read(self) -> None:
        try:
            for _ in range(MOST_AT_ONCE):
                if self._socket.closed or self.failed:
                    return
                self._received(self._socket.recv_multipart(self._at_once, copy=False))
        except self._nothing_left:
            return
        except Exception:
            self.failed = True
            self._loop.remove_reader(self._fd)
            raise
        self._loop.call_soon(self._read)


def _bound(endpoint: str) -> Any:
    try:
        import zmq
    except ImportError as error:
        raise CannotServe(f"Frigate's detector needs pyzmq ({error}): {PIP}") from error
    socket: Any = zmq.Context.instance().socket(zmq.ROUTER)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.MAXMSGSIZE, protocol.LARGEST_TENSOR)
    socket.set(zmq.RCVHWM, WAITING)
    socket.set(zmq.SNDHWM, WAITING)
    socket.set(zmq.IPV6, 1)
    socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close(linger=0)
        used = error.errno == zmq.EADDRINUSE
        raise CannotServe(f"{endpoint} cannot be bound: {_why(error.errno or errno.EINVAL)}", permanent=not used) from error
    return socket


def _why(number: int) -> str:
    """With what to do. The text of pyzmq names the endpoint once more."""
    remedy = {
        errno.EADDRNOTAVAIL: "; name an address of this machine, as in tcp://127.0.0.1:5555",
        errno.EADDRINUSE: "; end the program that has it, or choose another with --frigate",
        errno.ENOENT: "; make its folder first",
        errno.EACCES: "; choose a port above 1023, or a folder that this user may write to",
    }
    return f"{os.strerror(number)}{remedy.get(number, '')}"
