"""The control socket in the runtime directory, and the clients connected to it. Its mode is 0660: only the daemon's user and group
may connect.

Clients must not take the daemon's time from the sticks, whatever they do. So they have an epoll of their own, which the loop looks
at after the children's channels, one event in each turn; and what they cost on average is at most SHARE of the loop's time.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import socket
from collections.abc import Callable
from pathlib import Path

from ncs_cluster.errors import ConfigError, ProtocolError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.ipc.control_socket import CONTROL_SOCKET
from ncs_cluster.messages import Request
from ncs_cluster.processes.client_link import LONGEST_REQUEST, ClientLink
from ncs_cluster.processes.loop import Loop

MAX_CLIENTS = 16
"""Clients that have sent a request. One more takes the place of the one whose last request is the oldest."""
MAX_SILENT = 8
"""Connections without a request. One more takes the place of the oldest."""
LISTEN_BACKLOG = 128
"""Connections not yet accepted; beyond it a client's connect() fails."""
SHARE, BURST_S = 0.03, 0.05
"""Clients may cost this share of the time, and so much at once after a quiet time."""
RESERVED = 6
"""Descriptors that clients leave for starting a child."""
FULL_S = 0.5
"""Pause of accepting while the process has no descriptor left."""
NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)


class ControlSocket:
    """Listens, and holds the connections. A client's name is a number, which is never used twice."""

    def __init__(
        self,
        folder: Path,
        loop: Loop,
        on_request: Callable[[str, Request], None],
        on_disconnect: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._on_request = on_request
        self._on_disconnect = on_disconnect
        self._path = folder / CONTROL_SOCKET
        self._listener = _listen(self._path)
        self._clients: dict[str, ClientLink] = {}
        """In the order of their last requests, the oldest first."""
        self._names: dict[int, str] = {}
        self._next_client = 1
        self._credit_s, self._credit_at_s = BURST_S, 0.0
        self._resume_s: float | None = None
        """When clients are served again; None: now."""
        self.offered = False
        """In this turn a client is ready to be served."""
        self._accepts = False
        """The last turn served a new client; the next one serves a known one."""
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._loop.watch(self._epoll.fileno(), self._offer)

    @property
    def deadline_s(self) -> float | None:
        """When `wake` is due."""
        first_s = self._resume_s
        for link in self._clients.values():
            if link.deadline_s is not None and (first_s is None or link.deadline_s < first_s):
                first_s = link.deadline_s
        return first_s

    def wake(self, now_s: float) -> None:
        """Disconnect clients that have not read in time; serve clients again after a pause."""
        for client, link in list(self._clients.items()):
            if link.deadline_s is not None and now_s >= link.deadline_s:
                self._disconnect(client)
        if self._resume_s is not None and now_s >= self._resume_s:
            self._resume_s = None
            self._loop.watch(self._epoll.fileno(), self._offer)

    def serve(self, now_s: float) -> None:
        """Serve one request: of the client that has waited longest, or, in turn, of a new one. `charge` follows."""
        self.offered = False
        ready = dict(self._epoll.poll(0))
        new = ready.pop(self._listener.fileno(), 0)
        self._accepts = bool(new) and not (self._accepts and ready)
        if self._accepts:
            # a client that sends its request with the connection never counts as silent
            client = self._accept(now_s)
            if client is not None:
                self._handle(client, select.EPOLLIN, now_s)
            return
        names = {self._names[fd]: mask for fd, mask in ready.items()}
        for client in list(self._clients):
            if client in names and self._handle(client, names[client], now_s):
                return

    def charge(self, cost_s: float, now_s: float) -> None:
        """Charge `cost_s` of the loop's time to the clients. Over their share, all clients wait."""
        self._credit_s = min(BURST_S, self._credit_s + SHARE * (now_s - self._credit_at_s)) - cost_s
        self._credit_at_s = now_s
        if self._credit_s < 0:
            self._pause(now_s - self._credit_s / SHARE)

    def reply(self, client: str, message: object, now_s: float) -> None:
        """Send to a client. Disconnects one that does not read its replies."""
        link = self._clients.get(client)
        if link is None:
            return
        waited = link.waits
        try:
            kept = link.send(message, now_s)
        except OSError:
            kept = False
        if not kept:
            self._disconnect(client)
        elif link.waits != waited:
            # requests of a client wait until it has read its replies
            self._epoll.modify(link, select.EPOLLOUT)

    def uid(self, client: str) -> int:
        """The user of a connected client."""
        return self._clients[client].uid

    def shed(self) -> bool:
        """Disconnect one client to free its descriptor: one without a request, else the one with the oldest.
        False without clients."""
        client = next((name for name, link in self._clients.items() if not link.asked), next(iter(self._clients), None))
        if client is not None:
            self._disconnect(client)
        return client is not None

    def _handle(self, client: str, mask: int, now_s: float) -> bool:
        """Returns whether a request was served."""
        link = self._clients[client]
        try:
            if link.waits:
                if mask & (select.EPOLLHUP | select.EPOLLERR):
                    raise EOFError
                link.flush(now_s)
                if not link.waits:
                    self._epoll.modify(link, select.EPOLLIN)
                return False
            request = link.receive()
        except (EOFError, ProtocolError, OSError):
            self._disconnect(client)
            return False
        if request is None:
            return False
        self._clients[client] = self._clients.pop(client)
        self._limit(asked=True, most=MAX_CLIENTS)
        self._on_request(client, request)
        return True

    def _accept(self, now_s: float) -> str | None:
        try:
            sock, _address = self._listener.accept()
        except OSError as error:
            if error.errno in NO_DESCRIPTOR and not self.shed():
                self._pause(now_s + FULL_S)
            return None
        while _scarce(sock):
            if not self.shed():
                sock.close()
                return None
            # its number becomes the one that is free now
            with sock:
                sock = sock.dup()
        sock.setblocking(False)
        client, self._next_client = str(self._next_client), self._next_client + 1
        self._clients[client] = ClientLink(Channel(sock, Request, LONGEST_REQUEST))
        self._names[sock.fileno()] = client
        self._epoll.register(sock, select.EPOLLIN)
        self._limit(asked=False, most=MAX_SILENT)
        return client

    def _limit(self, *, asked: bool, most: int) -> None:
        alike = [name for name, link in self._clients.items() if link.asked == asked]
        for client in alike[: max(0, len(alike) - most)]:
            self._disconnect(client)

    def _pause(self, until_s: float) -> None:
        if self._resume_s is None:
            self._loop.forget(self._epoll.fileno())
        self._resume_s = until_s

    def _offer(self, _ready: int) -> None:
        self.offered = True

    def _disconnect(self, client: str) -> None:
        link = self._clients.pop(client, None)
        if link is not None:
            del self._names[link.fileno()]
            self._epoll.unregister(link)
            link.close()
            self._on_disconnect(client)

    def close(self) -> None:
        if self._resume_s is None:
            self._loop.forget(self._epoll.fileno())
        self._listener.close()
        self._path.unlink(missing_ok=True)
        for client in list(self._clients):
            self._disconnect(client)
        self._epoll.close()


def _scarce(sock: socket.socket) -> bool:
    """Few descriptors are left: the kernel gives the lowest free number, and this one is high."""
    return sock.fileno() >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        path.unlink(missing_ok=True)
        listener.bind(os.fspath(path))
        os.chmod(path, 0o660)
        listener.listen(LISTEN_BACKLOG)
    except OSError as error:
        listener.close()
        remedy = f"remove {path}" if path.is_dir() else "choose a shorter --runtime-dir"
        raise ConfigError(f"control socket {path} cannot be created ({error.strerror or error}); {remedy}") from error
    listener.setblocking(False)
    return listener
