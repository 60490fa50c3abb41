"""The Frigate process. It stays bound while supervisors come and go: see processes/resident.py.

Without a supervisor frames get zeros in time and handshakes are held. It ends by itself after a while without one: LOST_S after its
supervisor has vanished, FrigateSpec.keep_s after a stop, at once where that is 0, and never with `--stay yes`, for a service of its
own.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional

import msgspec

from ncs_cluster.errors import ProtocolError, one_line
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages import (
    PROTOCOL,
    ClientsSeen,
    Failed,
    Heartbeat,
    Hello,
    IntakeReady,
    InUse,
    ServeIntake,
    Stop,
    ToIntakeProcess,
    Warned,
)
from ncs_cluster.processes import child, resident
from ncs_cluster.processes.frigate.router import CannotServe
from ncs_cluster.processes.frigate.server import Server
from ncs_cluster.processes.intake import Intake
from ncs_cluster.specs import FrigateSpec
from ncs_cluster.types import IntakeClient

log = logging.getLogger(__name__)

HEARTBEAT_S = 1.0
LOST_S = 600.0
LONGEST_NOTE = 500
MOST_CALLERS = 8
"""Connections that have not told what to serve."""
MOST_MEMORY = 512 * 1024 * 1024
"""Bytes. ZeroMQ keeps the parts of a message until the last one is there, and has no bound for them. Frigate's frames take a
few megabytes."""
_PR_SET_NAME = 15


class Link:
    """A supervisor."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.channel: Channel[Any] = Channel(sock, ToIntakeProcess)
        self.intake = Intake(self.send, "frigate")
        self.reported: Optional[list[IntakeClient]] = None

    def send(self, message: Any) -> bool:
        """False when the channel is full, or ended: then reading it tells so."""
        try:
            return self.channel.send(message)
        except OSError:
            return False


class Frigate:
    """The detector's server, and the supervisor where there is one."""

    def __init__(self, place: Path, listener: socket.socket, *, stay: bool) -> None:
        self._place, self._listener, self._stay = place, listener, stay
        self._server: Optional[Server] = None
        self._link: Optional[Link] = None
        self._callers: list[Link] = []
        """Who has connected and not told what to serve: a supervisor in a moment, or a process that asks whether somebody waits."""
        self._ends_s: Optional[float] = None

    @property
    def intake(self) -> Optional[Intake]:
        """Of the present supervisor, once it has told what its sticks can do."""
        return self._link.intake if self._link is not None and self._link.intake.served is not None else None

    async def run(self, first: Optional[socket.socket], spec: Optional[FrigateSpec]) -> None:
        """Serve until the time without a supervisor is over. `first`: the channel to the supervisor that has started this process.
        `spec`: what is served before one has come. Raises CannotServe."""
        loop = asyncio.get_running_loop()
        self._ends_s = loop.time() + LOST_S
        if spec is not None:
            self._serve(spec)
        if first is not None:
            self._link = self._greeted(first)
        loop.add_reader(self._listener.fileno(), self._accept)
        while self._stay or self._link is not None or loop.time() < self._ends_s:
            await asyncio.sleep(HEARTBEAT_S)
            self._beat(loop.time())

    # -- the supervisor

    def _accept(self) -> None:
        with suppress(OSError):
            sock, _ = self._listener.accept()
            if resident.peer(sock)[1] == os.geteuid():
                self._callers.append(self._greeted(sock))
                if len(self._callers) > MOST_CALLERS:
                    self._hang_up(self._callers.pop(0))
            else:
                sock.close()

    def _greeted(self, sock: socket.socket) -> Link:
        link = Link(sock)
        asyncio.get_running_loop().add_reader(sock.fileno(), self._receive, link)
        link.send(Hello(PROTOCOL, os.getpid(), ".".join(map(str, sys.version_info[:3]))))
        return link

    def _hang_up(self, link: Link) -> None:
        asyncio.get_running_loop().remove_reader(link.channel.fileno())
        link.channel.close()
        link.intake.close()

    def _attach(self, link: Link) -> bool:
        """A supervisor has come; False: another one is there, and stays."""
        if self._link is not None:
            # it may have left, and that was not read yet
            self._receive(self._link)
        if self._link is not None:
            pid, _ = resident.peer(self._link.channel.sock)
            used = f"{self._place} is in use by the daemon of process {pid}"
            link.send(InUse(f"{used}: stop that one, or set another frigate.socket"))
            return False
        self._callers.remove(link)
        self._link = link
        return True

    def _release(self, keep_s: float) -> None:
        """Go on without the supervisor, for `keep_s`."""
        link, self._link = self._link, None
        if link is None:
            return
        self._hang_up(link)
        self._ends_s = asyncio.get_running_loop().time() + keep_s
        if not self._stay:
            # a program that reads the supervisor's output, such as a pipe, sees its end only when no process holds it open
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            os.close(nowhere)

    def _receive(self, link: Link) -> None:
        try:
            while (self._link is link or link in self._callers) and (received := link.channel.receive()) is not None:
                message = received.message
                if link in self._callers and isinstance(message, ServeIntake) and not self._attach(link):
                    continue
                if isinstance(message, Stop):
                    if link in self._callers:
                        raise EOFError
                    self._release(self._server.spec.keep_s if self._server is not None else 0.0)
                elif isinstance(message, ServeIntake):
                    self._open(link, message)
                else:
                    link.intake.received(message, received.fds)
        except (EOFError, ProtocolError) as error:
            if isinstance(error, ProtocolError):
                log.error("%s", one_line(str(error)))
            if link in self._callers:
                self._callers.remove(link)
                self._hang_up(link)
                return
            keep_s = self._server.spec.keep_s if self._server is not None else LOST_S
            self._release(max(LOST_S, keep_s) if keep_s else 0.0)

    def _open(self, link: Link, message: ServeIntake) -> None:
        try:
            spec = msgspec.convert(message.intake.options, FrigateSpec)
            self._serve(spec)
        except (CannotServe, msgspec.ValidationError) as error:
            link.channel.sock.setblocking(True)
            child.fail(link.channel, Failed("open", str(error), permanent=getattr(error, "permanent", True)))
        link.send(IntakeReady(spec.endpoint))
        link.intake.start()

    def _serve(self, spec: FrigateSpec) -> None:
        """Serve as `spec` says, the same clients as before. Raises CannotServe."""
        before = self._server
        if before is not None and before.spec.endpoint == spec.endpoint:
            before.change(spec)
            return
        self._server = Server(spec, self, self._note, before.clients if before is not None else None)
        if before is not None:
            before.close()

    # -- every second

    def _beat(self, now_s: float) -> None:
        if self._server is not None and self._server.failed:
            log.error("the detector's socket is read no more")
            os._exit(1)
        if not self._waits_at_its_place():
            self._listen_again()
        link = self._link
        if link is None:
            return
        link.send(Heartbeat())
        clients = self._server.clients.report(now_s) if self._server is not None else []
        if clients != link.reported and link.send(ClientsSeen(clients)):
            link.reported = clients

    def _waits_at_its_place(self) -> bool:
        """The runtime directory of a service is removed with the service, and made anew."""
        try:
            return self._place.is_socket() or not self._place.parent.is_dir()
        except OSError:
            return True

    def _listen_again(self) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            listener = resident.listen(self._place)
            loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = listener
            loop.add_reader(listener.fileno(), self._accept)

    def _note(self, text: str) -> None:
        text = one_line(text)[:LONGEST_NOTE]
        if self._link is None or not self._link.send(Warned(text)):
            log.warning("%s", text)


def _bound_memory() -> None:
    """At MOST_MEMORY ZeroMQ ends the connection whose message is too long, or this process dies and the next one takes over. Else
    the machine would have no memory left."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or hard > MOST_MEMORY:
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))


def main() -> int:
    """`--socket PATH`, and of a supervisor that starts this process `--channel FD`; else `--endpoint`, `--stay yes`."""
    arguments = child.options()
    ctypes.CDLL(None).prctl(_PR_SET_NAME, b"ncs-frigate")
    _bound_memory()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # a supervisor blocks them until its children ignore them
    signal.pthread_sigmask(signal.SIG_UNBLOCK, child.ALL_STOPS)
    child.log_to_stderr(arguments.get("--name", "ncs-frigate"), arguments.get("--log-level", "info"))
    place, endpoint = Path(arguments["--socket"]), arguments.get("--endpoint")
    first = socket.socket(fileno=int(arguments["--channel"])) if "--channel" in arguments else None
    try:
        listener = resident.listen(place)
        frigate = Frigate(place, listener, stay=arguments.get("--stay") == "yes")
        asyncio.run(frigate.run(first, FrigateSpec(endpoint) if endpoint is not None else None))
    except (CannotServe, OSError) as error:
        text = str(error) if isinstance(error, CannotServe) else f"{place}: {error.strerror or error}"
        if first is not None:
            Channel(first, ToIntakeProcess).send(Failed("open", text, permanent=not isinstance(error, FileExistsError)))
        log.error("%s", text)
        return 1
    with suppress(OSError):
        place.unlink()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # the sockets of ZeroMQ have nothing left to send
