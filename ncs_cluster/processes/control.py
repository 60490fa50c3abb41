"""The daemon's place in the runtime directory: its lock, its control socket, and who is connected there.

One daemon per directory: the lock is held as long as the process lives, whatever kills it. The socket is 0660, so the directory's
group may use it; nobody else can.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import socket
from collections.abc import Callable
from pathlib import Path

from ncs_cluster.errors import ConfigError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.ipc.control_socket import CONTROL_SOCKET
from ncs_cluster.messages import Request
from ncs_cluster.processes.links import Link

MOST_CLIENTS = 16
MOST_WAITING = 128
"""Connections not yet accepted; beyond it a client is told that nobody listens."""


def claim(folder: Path) -> int:
    """Make the directory ours. Returns the lock's descriptor, to be kept open. Raises ConfigError when another daemon holds it."""
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        stat = folder.lstat()
        if not folder.is_dir() or folder.is_symlink() or stat.st_uid not in (os.getuid(), 0):
            raise ConfigError(f"runtime directory {folder} belongs to somebody else; give another with --runtime-dir")
        lock = os.open(folder / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except OSError as error:
        raise ConfigError(
            f"runtime directory {folder} cannot be used ({error.strerror}); give another with --runtime-dir"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.read(lock, 20).decode(errors="replace").strip() or "?"
        os.close(lock)
        raise ConfigError(
            f"another ncs-clusterd (pid {pid}) uses {folder}; stop it, or give this one another place with --runtime-dir"
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


class ControlSocket:
    """Listens and keeps the connections. Clients are named by numbers, which are never used twice."""

    def __init__(
        self,
        folder: Path,
        selector: selectors.BaseSelector,
        on_request: Callable[[str, object], None],
        on_left: Callable[[str], None],
    ) -> None:
        self._selector = selector
        self._on_request = on_request
        self._on_left = on_left
        self._path = folder / CONTROL_SOCKET
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._listener.bind(os.fspath(self._path))
        except OSError as error:
            raise ConfigError(f"control socket {self._path} cannot be made ({error}); give a shorter --runtime-dir") from error
        os.chmod(self._path, 0o660)
        self._listener.listen(MOST_WAITING)
        self._listener.setblocking(False)
        self._clients: dict[str, Link] = {}
        """In the order of their last requests."""
        self._next = 1
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def reply(self, client: str, message: object) -> None:
        """A client that does not read its replies is hung up on."""
        link = self._clients.get(client)
        if link is not None and not link.send(message):
            self._leave(client, "")

    def _accept(self, _: int) -> None:
        try:
            sock, _address = self._listener.accept()
        except OSError:
            return
        if len(self._clients) >= MOST_CLIENTS:
            # the one that has asked nothing for longest, so that silent connections lock nobody out
            self._leave(next(iter(self._clients)), "")
        sock.setblocking(False)
        client, self._next = str(self._next), self._next + 1
        self._clients[client] = Link(
            Channel(sock, Request),
            self._selector,
            lambda message: self._asked(client, message),
            lambda why: self._leave(client, why),
        )

    def _asked(self, client: str, request: object) -> None:
        self._clients[client] = self._clients.pop(client)
        self._on_request(client, request)

    def _leave(self, client: str, _why: str) -> None:
        link = self._clients.pop(client, None)
        if link is not None:
            link.close()
            self._on_left(client)

    def close(self) -> None:
        self._selector.unregister(self._listener)
        self._listener.close()
        self._path.unlink(missing_ok=True)
        for client in list(self._clients):
            self._leave(client, "")
