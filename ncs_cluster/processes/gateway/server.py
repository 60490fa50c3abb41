"""The listening socket, and uvicorn with the limits it lacks.

A request has a deadline, a client that does not read is disconnected after STALL_S, and from REPLACE_IDLE_FROM connections on a new
one replaces another: one of the visitor that has the most.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from ncs_cluster.errors import NcsClusterError
from ncs_cluster.processes.gateway.visitors import network

REQUEST_S = 10.0
"""Deadline for a whole request with its body."""
STALL_S = 5.0
"""A client that reads nothing of a response for this long is disconnected."""
REPLACE_IDLE_FROM = 64
"""From here on a new connection replaces an idle one."""
MAX_CONNECTIONS = 96
"""Beyond this a new connection replaces one that has a request in progress."""
STREAMING = "ncs_cluster.streaming"
"""Key of a request's scope: its response is a live stream."""
GRACE_S = 1.0
_SEND_BUFFER = 128 * 1024
"""Small, so that a slow viewer lags by a few pictures at most."""


class CannotListen(NcsClusterError):
    """The page's address cannot be used. `permanent`: a later attempt would fail likewise."""

    def __init__(self, detail: str, *, permanent: bool = True) -> None:
        super().__init__(detail)
        self.permanent = permanent


def listen(host: str, port: int, flag: str = "--listen") -> socket.socket:
    """A bound, listening socket, as `flag` says. Raises CannotListen with one line for the operator."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
    except OSError as error:
        raise CannotListen(f"{flag} {host}:{port}: no such address ({error.strerror})", permanent=False) from error
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        sock.bind(address)
        sock.listen(128)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise _listen_error(flag, host, port, error) from error
    return sock


def _listen_error(flag: str, host: str, port: int, error: OSError) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return CannotListen(f"port {port} on {host} is in use by another program: choose another with {flag} {host}:PORT")
    if error.errno == errno.EACCES:
        return CannotListen(f"port {port} is not for ordinary users: choose one from 1024 up with {flag} {host}:PORT")
    # the network may come up later
    return CannotListen(f"{flag} {host}:{port}: {error.strerror}", permanent=error.errno != errno.EADDRNOTAVAIL)


class Connection(H11Protocol):
    """One HTTP connection."""

    _request_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _since_s = 0.0
    visitor = ""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._since_s = self.loop.time()
        self.visitor = network(self.client[0]) if self.client else ""
        if len(self.connections) > REPLACE_IDLE_FROM:
            self._make_room()
        self._start_request_timer()

    def _make_room(self) -> None:
        """Close a connection of the visitor that has the most: one that never had a request, else the oldest that is idle, else,
        when there are too many, the one that waits longest for its response, else the oldest stream."""
        others = [other for other in self.connections if isinstance(other, Connection)]
        shares = Counter(other.visitor for other in others)
        others.remove(self)
        choice = [other for other in others if not other.is_responding]
        if not choice and len(self.connections) > MAX_CONNECTIONS:
            choice = others
        if choice:
            given_up = min(choice, key=lambda other: (-shares[other.visitor], other.rank, other._since_s))
            self.connections.discard(given_up)
            given_up.transport.abort()

    @property
    def rank(self) -> int:
        """Rank of a connection for closing: 0 goes first; 1 is a live stream, or a client that has sent a request before."""
        if self.cycle is None:
            return 0
        return int(not self.is_responding or bool(self.cycle.scope.get(STREAMING)))

    @property
    def is_responding(self) -> bool:
        """A response is in progress."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_request_timer()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._start_request_timer()
        else:
            self._stop_request_timer()

    def send_400_response(self, msg: str) -> None:
        """The rest of a request is malformed: its response, if one is in progress, can be sent no more."""
        cycle = self.cycle if self.is_responding else None
        if cycle is None or not cycle.response_started:
            super().send_400_response(msg)
        else:
            self.transport.abort()
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()

    def _start_request_timer(self) -> None:
        if self._request_timer is None and not self.transport.is_closing():
            self._request_timer = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _stop_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


class Server(uvicorn.Server):
    """Serves one application on one socket, inside the running event loop."""

    def __init__(self, app: ASGIApp, sock: socket.socket, on_open: Callable[[str, int], object]) -> None:
        """`on_open` is called with host and port once requests are answered."""
        for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
            logging.getLogger(name).setLevel(logging.ERROR)  # anybody can send a malformed request: not a line in the log
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=int(GRACE_S),
            )
        )
        self._sock, self._on_open = sock, on_open

    async def open(self) -> None:
        """Nothing: its socket listens already."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self._sock.getsockname()[:2]
        self._on_open(host, port)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit`."""
        await super().serve([self._sock])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams end by themselves. A response that is not read within GRACE_S is cancelled, and uvicorn logs no error for it."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Keep the signal handlers of processes/child.py."""
        yield
