"""Talk to a running daemon: used by ncsctl, by the web page and by anybody's own program.

    with Client() as daemon:
        print(daemon.status()["clusters"]["active"])

Imports neither OpenCV nor OpenVINO nor pydantic. Answers are plain dicts and lists as docs/status.md describes them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ncs_cluster.errors import NcsClusterError, NotRunning
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.ipc.control_socket import CONTROL_SOCKET, default_runtime_dir
from ncs_cluster.messages import AskEvents, AskFault, AskStatus, AskSwitch, AskUrl, Reply, Request
from ncs_cluster.types import StickId

SERVICE_DIR = Path("/run/ncs-cluster")
"""Where the service of deploy/ lives."""


def _running_dir() -> Path:
    """Where a daemon is: the default place, or the service's when only there somebody is."""
    default = default_runtime_dir()
    if not _may_be(default / CONTROL_SOCKET) and _may_be(SERVICE_DIR / CONTROL_SOCKET):
        return SERVICE_DIR
    return default


def _may_be(path: Path) -> bool:
    """True also where this user may not look: connecting tells them why."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


class Refused(NcsClusterError):
    """The daemon understood and said no; the text says why."""


class Client:
    """One connection to the daemon's control socket. Not for use from two threads at once."""

    def __init__(self, runtime_dir: Path | None = None, *, timeout_s: float = 5.0) -> None:
        """Raises NotRunning when nobody listens."""
        path = (runtime_dir or _running_dir()) / CONTROL_SOCKET
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(timeout_s)
        try:
            sock.connect(os.fspath(path))
        except PermissionError as error:
            sock.close()
            raise NotRunning(
                f"no permission to use {path}: join the daemon's group (usermod -aG ncs $USER) and log in again"
            ) from error
        except OSError as error:
            sock.close()
            raise NotRunning(
                f"ncs-clusterd is not running: nobody listens on {path} (--runtime-dir names another place)"
            ) from error
        self._channel: Channel[Reply] = Channel(sock, Reply)

    def status(self) -> dict[str, Any]:
        """The whole status document."""
        answer: dict[str, Any] = self._ask(AskStatus())
        return answer

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """Events newer than id `after`, oldest first: {"id", "at" (unix s), "level", "who", "text"}."""
        answer: list[dict[str, Any]] = self._ask(AskEvents(after=after))
        return answer

    def follow(self, after: int = 0) -> Iterator[list[dict[str, Any]]]:
        """Lists of events as they come, for ever; ends with NotRunning when the daemon goes away."""
        self._channel.sock.settimeout(None)
        yield self._ask(AskEvents(after=after, follow=True))
        while True:
            yield self._receive()

    def switch(self) -> str:
        """Switch to the next cluster now. Returns what was done; raises Refused."""
        return str(self._ask(AskSwitch())["text"])

    def trouble(self, kind: str, stick: str | None = None) -> str:
        """Make trouble on purpose, with simulated sticks: "heat", "unplug" or "hang". Raises Refused."""
        return str(self._ask(AskFault(kind, StickId(stick) if stick else None))["text"])

    def url(self) -> str:
        """The page's address, with its token. Raises Refused when there is no page."""
        return str(self._ask(AskUrl())["url"])

    def _ask(self, request: Request) -> Any:
        try:
            self._channel.send(request)
        except OSError as error:
            raise NotRunning("ncs-clusterd went away") from error
        return self._receive()

    def _receive(self) -> Any:
        try:
            received = self._channel.receive()
        except (EOFError, TimeoutError) as error:
            raise NotRunning(
                "ncs-clusterd does not answer" if isinstance(error, TimeoutError) else "ncs-clusterd went away"
            ) from error
        if received is None:
            raise NotRunning("ncs-clusterd does not answer")
        reply: Reply = received.message
        if reply.error is not None:
            raise Refused(reply.error)
        return msgspec.msgpack.decode(reply.body)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
