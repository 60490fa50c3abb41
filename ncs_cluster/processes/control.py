"""The daemon's lock and control socket in the runtime directory, and the clients connected to it.

One daemon per directory: the kernel releases the lock when the process ends, however it ends. The socket's mode is 0660: only the
daemon's user and group may connect.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path

from ncs_cluster.errors import ConfigError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.ipc.control_socket import CONTROL_SOCKET
from ncs_cluster.messages import Request
from ncs_cluster.processes.buffered_channel import BufferedChannel
from ncs_cluster.processes.loop import Loop

MAX_CLIENTS = 16
LISTEN_BACKLOG = 128
"""Connections not yet accepted; beyond it a client's connect() fails."""


def claim(folder: Path) -> int:
    """Create and lock the directory. Returns the descriptor of the lock, which must stay open. Raises ConfigError."""
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        stat = folder.lstat()
        if not folder.is_dir() or folder.is_symlink() or stat.st_uid not in (os.getuid(), 0):
            raise ConfigError(f"runtime directory {folder} belongs to another user; choose another with --runtime-dir")
        lock = os.open(folder / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except OSError as error:
        raise ConfigError(
            f"runtime directory {folder} cannot be used ({error.strerror}); choose another with --runtime-dir"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.read(lock, 20).decode(errors="replace").strip() or "?"
        os.close(lock)
        raise ConfigError(
            f"another ncs-clusterd (pid {pid}) uses {folder}; stop it, or choose another folder with --runtime-dir"
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


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
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._listener.bind(os.fspath(self._path))
        except OSError as error:
            raise ConfigError(f"control socket {self._path} cannot be created ({error}); choose a shorter --runtime-dir") from error
        os.chmod(self._path, 0o660)
        self._listener.listen(LISTEN_BACKLOG)
        self._listener.setblocking(False)
        self._clients: dict[str, BufferedChannel[Request]] = {}
        """In the order of their last requests, the oldest first."""
        self._next_client = 1
        loop.watch(self._listener.fileno(), self._accept)

    def reply(self, client: str, message: object) -> None:
        """Send to a client. Disconnects one that does not read its replies."""
        link = self._clients.get(client)
        if link is not None and not link.send(message):
            self._disconnect(client, "")

    def _accept(self, _: int) -> None:
        try:
            sock, _address = self._listener.accept()
        except OSError:
            return
        if len(self._clients) >= MAX_CLIENTS:
            # drop the client with the oldest request, so that idle connections cannot lock others out
            self._disconnect(next(iter(self._clients)), "")
        sock.setblocking(False)
        client, self._next_client = str(self._next_client), self._next_client + 1
        self._clients[client] = BufferedChannel(
            Channel(sock, Request),
            self._loop,
            lambda message: self._received(client, message),
            lambda why: self._disconnect(client, why),
        )

    def _received(self, client: str, request: Request) -> None:
        self._clients[client] = self._clients.pop(client)
        self._on_request(client, request)

    def _disconnect(self, client: str, _why: str) -> None:
        link = self._clients.pop(client, None)
        if link is not None:
            link.close()
            self._on_disconnect(client)

    def close(self) -> None:
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        self._path.unlink(missing_ok=True)
        for client in list(self._clients):
            self._disconnect(client, "")
