"""A client of a running daemon's control socket: for ncsctl, for the web page and for other people's programs.

    with Client() as daemon:
        print(daemon.status().clusters.active)

Answers are the structs of `ncs_cluster.status`; docs/status.md describes their fields. `ncsctl status` imports this module, so it
imports little: no OpenCV, no OpenVINO, no pydantic, no pathlib.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ncs_cluster.control_messages import (
    AskEvents,
    AskFault,
    AskGraphs,
    AskReload,
    AskSettings,
    AskStatus,
    AskSwitch,
    AskUrl,
    BeginJob,
    ChangeGuests,
    ChangeJob,
    ChangeStick,
    Done,
    JobBegun,
    PageUrl,
    Reloaded,
    Reply,
    Request,
    Setting,
)
from ncs_cluster.errors import NcsClusterError, NotRunning, Starting
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.ipc.control_socket import CONTROL_SOCKET, default_runtime_dir
from ncs_cluster.status import Event, Status
from ncs_cluster.types import StickId

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

SERVICE_DIR = "/run/ncs-cluster"
"""Runtime directory of the systemd service in deploy/."""


RELOAD_S = 200.0
"""Longest time in which a daemon answers to AskReload: it tries graphs of two backends, perhaps after a reading that has begun."""


class Refused(NcsClusterError):
    """The daemon refused the request. The text says why; `code` says it for programs, where there is one (control_messages.py)."""

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code


class Incompatible(NcsClusterError):
    """The daemon's answer lacks what this version needs."""


class Client:
    """One connection to the daemon's control socket. Not for use from two threads at once.

    Every method raises NotRunning when the daemon ends or does not answer within `timeout_s`, Refused when it refuses the request,
    and Incompatible when it is of another version whose answer cannot be read.
    """

    def __init__(self, runtime_dir: str | Path | None = None, *, timeout_s: float = 5.0) -> None:
        """Raises NotRunning when no daemon listens, or when this user may not connect; Starting when one will listen soon."""
        path = os.path.join(_running_dir() if runtime_dir is None else runtime_dir, CONTROL_SOCKET)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(timeout_s)
        try:
            sock.connect(path)
        except PermissionError as error:
            sock.close()
            raise NotRunning(
                f"no permission to use {path}: join the daemon's group (usermod -aG ncs $USER) and log in again"
            ) from error
        except OSError as error:
            sock.close()
            from ncs_cluster.ipc import starting

            if (does := starting.read(os.path.dirname(path))) is not None:
                raise Starting(f"ncs-clusterd is starting: {does}") from error
            raise NotRunning(
                f"ncs-clusterd is not running: no process listens on {path} (--runtime-dir names another folder); "
                "ncsctl doctor looks for the cause"
            ) from error
        self._channel: Channel[Reply] = Channel(sock, Reply)

    def status(self) -> Status:
        """The status document. Fields that only a newer daemon knows are left out."""
        return _decode(self._ask(AskStatus()), Status)

    def status_document(self) -> dict[str, object]:
        """The status document as the daemon sent it, fields of a newer daemon included. `typed` makes a Status of it."""
        return _decode(self._ask(AskStatus()), dict[str, object])

    def events(self, after: int = 0, before: int | None = None) -> list[Event]:
        """The newest events with an id above `after`, and below `before` where it is given, oldest first: at most 300."""
        return _decode(self._ask(AskEvents(after=after, before=before)), list[Event])

    def follow(self, after: int = 0) -> Iterator[list[Event]]:
        """First the events with an id above `after`, then each later one as it happens. Ends with NotRunning."""
        self._channel.sock.settimeout(None)
        yield _decode(self._ask(AskEvents(after=after, follow=True)), list[Event])
        while True:
            yield _decode(self._receive(), list[Event])

    def switch(self) -> str:
        """Switch to the next cluster now. Returns what the daemon did, one line."""
        return _decode(self._ask(AskSwitch()), Done).text

    def trouble(self, kind: str, stick: str | None = None) -> str:
        """Inject a fault, simulated sticks only: "heat", "unplug" or "hang". Returns what the daemon did, one line."""
        return _decode(self._ask(AskFault(kind, StickId(stick) if stick else None)), Done).text

    def graphs(self) -> msgspec.Raw:
        """The daemon's graphs: list[specs.GraphSpec] in msgpack."""
        return self._ask(AskGraphs())

    def begin_job(self, job: bytes) -> str:
        """`job`: a specs.JobSpec in msgpack. Returns its id. Refused to other users than the daemon's."""
        return _decode(self._ask(BeginJob(msgspec.Raw(job))), JobBegun).id

    def change_job(self, id: str, verb: str) -> str:
        """`verb`: pause, resume or cancel. Returns what the daemon did, one line."""
        return _decode(self._ask(ChangeJob(id, verb)), Done).text

    def change_stick(self, stick: str, verb: str, *, why: str | None = None, calibration: bool = False) -> str:
        """`stick`: its id or name. `verb`: park (for a reason, `why`), work, restart, or forget, with its `calibration` or without.
        Returns what the daemon did, one line. Refused to other users than the daemon's and root."""
        return _decode(self._ask(ChangeStick(stick, verb, why, calibration)), Done).text

    def reload(self) -> Reloaded:
        """Have the settings read again and applied. Waits until that is done, seconds where graphs are tried. Refused with
        SETTINGS_REFUSED where they are wrong; and to other users than root and the daemon's."""
        return self._reloaded(AskReload())

    def change_guests(self, guests: list[tuple[str, str]]) -> Reloaded:
        """Load these graphs of other machines, by name and folder, and no others any more; waits as `reload`. Refused with
        SETTINGS_REFUSED where one does not load; and to other users than the daemon's."""
        return self._reloaded(ChangeGuests(guests))

    def _reloaded(self, request: Request) -> Reloaded:
        before_s = self._channel.sock.gettimeout()
        self._channel.sock.settimeout(RELOAD_S)
        try:
            return _decode(self._ask(request), Reloaded)
        finally:
            self._channel.sock.settimeout(before_s)

    def settings(self) -> list[Setting]:
        """The settings in effect, each with its origin. Passwords are replaced."""
        return _decode(self._ask(AskSettings()), list[Setting])

    def url(self) -> str:
        """The page's address, with its token. Refused with NO_PAGE or PAGE_NOT_READY."""
        return _decode(self._ask(AskUrl()), PageUrl).url

    def _ask(self, request: Request) -> msgspec.Raw:
        try:
            self._channel.send(request)
        except UnicodeEncodeError as error:
            # half of a surrogate pair, which JSON can write
            raise Refused(f"{error.object[:40]!a} is not text") from error
        except OSError as error:
            raise NotRunning("ncs-clusterd closed the connection") from error
        return self._receive()

    def _receive(self) -> msgspec.Raw:
        try:
            received = self._channel.receive()
        except (EOFError, TimeoutError) as error:
            raise NotRunning(
                "ncs-clusterd does not answer" if isinstance(error, TimeoutError) else "ncs-clusterd closed the connection"
            ) from error
        if received is None:
            raise NotRunning("ncs-clusterd does not answer")
        reply: Reply = received.message
        if reply.error is not None:
            raise Refused(reply.error, reply.code)
        return reply.body

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def typed(document: dict[str, object]) -> Status:
    """The struct of a status document. Raises Incompatible."""
    try:
        return msgspec.convert(document, Status)
    except msgspec.ValidationError as error:
        raise _incompatible(error) from error


def _decode(body: msgspec.Raw, answer: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(body, type=answer)
    except msgspec.DecodeError as error:
        raise _incompatible(error) from error


def _incompatible(error: msgspec.DecodeError) -> Incompatible:
    return Incompatible(f"ncs-clusterd is of another version: {error}; restart it, or use the ncsctl it was installed with")


def _running_dir() -> str:
    """The default runtime directory, or the service's when only there a daemon listens."""
    default = default_runtime_dir()
    if not _may_listen(default) and _may_listen(SERVICE_DIR):
        return SERVICE_DIR
    return default


def _may_listen(runtime_dir: str) -> bool:
    """Whether a control socket exists. Also true where this user may not look: connecting then says so."""
    try:
        os.stat(os.path.join(runtime_dir, CONTROL_SOCKET))
    except PermissionError:
        return True
    except OSError:
        return False
    return True
