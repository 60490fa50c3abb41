"""Requests of clients: questions are answered here from the engine's state; what changes something becomes an event of the core."""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never
from urllib.parse import quote

import msgspec

import ncs_cluster
from ncs_cluster import control_messages as c
from ncs_cluster.core import report
from ncs_cluster.core.client import ClientMessage
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import JobGiven
from ncs_cluster.processes import usage
from ncs_cluster.processes.climate import Climate
from ncs_cluster.processes.event_log import EventLog
from ncs_cluster.processes.reloading import Reloading
from ncs_cluster.processes.spawn import Spawner
from ncs_cluster.specs import JobSpec
from ncs_cluster.status import Event, OriginalStatus, Status

if TYPE_CHECKING:
    from ncs_cluster.processes.original_twin import OriginalTwin


ROOT = 0
LONGEST_SETTINGS = 190_000
"""Bytes of an answer: see channel.MAX_MESSAGE."""
NOT_READ_AGAIN = "this daemon was started by a program, which gives it its settings"


class Requests:
    """Answers the clients of the control socket."""

    def __init__(
        self,
        engine: Engine,
        spawner: Spawner,
        sampled: usage.Usage,
        events: EventLog,
        reply: Callable[[str, c.Reply], None],
        raise_event: Callable[[str, ClientMessage], None],
        *,
        no_jobs: str | None,
        uid: Callable[[str], int],
        climate: Climate | None = None,
        reloading: Reloading | None = None,
    ) -> None:
        """`reply(client, reply)` sends; `raise_event(client, request)` gives a request to the core. `no_jobs`: why this daemon
        takes no jobs. `uid(client)`: the user who has connected. `reloading`: None where settings are read at the start only."""
        self._no_jobs, self._uid, self._climate, self._reloading = no_jobs, uid, climate, reloading
        self._engine, self._spawner, self._usage, self._events = engine, spawner, sampled, events
        self._reply, self._raise = reply, raise_event
        self._twin: OriginalTwin | None = None
        self._followers: set[str] = set()
        events.followers.append(self._follow)

    def handle(self, client: str, request: c.Request) -> None:
        match request:
            case c.AskStatus():
                self._reply(client, _body(self.status()))
            case c.AskEvents(after=after, follow=follow, before=before):
                self._reply(client, _body(self._events.newer(after, before)))
                if follow:
                    self._followers.add(client)
            case c.AskUrl():
                self._reply(client, self._url())
            case c.AskGraphs():
                self._reply(client, _body(self._engine.settings.all_graphs))
            case c.BeginJob(job=job):
                self._begin(client, job)
            case c.ChangeStick():
                self._change_stick(client, request)
            case c.AskReload():
                self._reload(client)
            case c.ChangeGuests(guests=guests):
                self._change_guests(client, guests)
            case c.AskSettings():
                self._reply(client, self._settings())
            case c.AskSwitch() | c.AskFault() | c.ChangeJob():
                self._raise(client, request)
            case _:
                assert_never(request)

    def _begin(self, client: str, job: msgspec.Raw) -> None:
        if self._no_jobs is not None:
            self._reply(client, c.Reply(error=self._no_jobs))
        elif self._uid(client) != os.getuid():
            self._reply(client, c.Reply(error=f"only the daemon's own user may start jobs: sudo -u {_owner()} ncsctl run ..."))
        else:
            try:
                self._raise(client, JobGiven(msgspec.msgpack.decode(job, type=JobSpec)))
            except msgspec.DecodeError as error:
                self._reply(client, c.Reply(error=f"the job is of another version: {error}"))

    def _change_stick(self, client: str, request: c.ChangeStick) -> None:
        if self._uid(client) in (os.getuid(), ROOT):
            self._raise(client, request)
        else:
            error = f"only the daemon's own user and root may change a stick: sudo -u {_owner()} ncsctl ..."
            self._reply(client, c.Reply(error=error))

    def _reload(self, client: str) -> None:
        if self._reloading is None:
            self._reply(client, c.Reply(error=NOT_READ_AGAIN))
        elif self._uid(client) not in (os.getuid(), ROOT):
            why = f"only root and the daemon's own user may give it new settings: sudo -u {_owner()} ncsctl reload"
            self._reply(client, c.Reply(error=why))
        else:
            self._reloading.ask(client)

    def _change_guests(self, client: str, guests: list[tuple[str, str]]) -> None:
        if self._reloading is None:
            self._reply(client, c.Reply(error=NOT_READ_AGAIN))
        elif self._uid(client) != os.getuid():
            self._reply(client, c.Reply(error="only the daemon's own user may give it graphs"))
        else:
            self._reloading.ask(client, guests)

    def _settings(self) -> c.Reply:
        if self._reloading is None:
            return c.Reply(error=NOT_READ_AGAIN)
        reply = _body(self._reloading.shown)
        if len(bytes(reply.body)) > LONGEST_SETTINGS:
            return c.Reply(error="the settings are too long for one message; ncsctl config show --config FILE reads the file")
        return reply

    def left(self, client: str) -> None:
        """The client has closed its connection."""
        self._followers.discard(client)

    def status(self, *, twin: bool = True) -> Status:
        """`twin`: with the figures of the original's twin, which is simulated up to now."""
        now_s = time.monotonic()
        machine = usage.machine(self._usage.machine_percent)
        status = report.status(
            self._engine,
            now_s,
            time.time(),
            version=ncs_cluster.__version__,
            pid=os.getpid(),
            machine=machine if self._climate is None else self._climate.shown(machine),
            usage=self._usage.by_pid,
        )
        supervisor, *children = status.processes
        processes = [supervisor, *self._spawner.status(self._usage.by_pid), *children]
        return msgspec.structs.replace(status, processes=processes, original=self._original(now_s) if twin else None)

    def _original(self, now_s: float) -> OriginalStatus | None:
        if not self._engine.settings.simulated:
            return None
        from ncs_cluster.processes import original_twin

        if self._twin is None and (twin := original_twin.twin_of(self._engine, now_s)) is not None:
            self._twin = twin
        if self._twin is None:
            return None
        self._twin.advance(now_s, original_twin.offered_per_s(self._engine), self._engine.heat_wave)
        return self._twin.status()

    def _follow(self, event: Event) -> None:
        for client in list(self._followers):
            self._reply(client, _body([event]))

    def _url(self) -> c.Reply:
        gateway = self._engine.gateway
        if gateway is None:
            return c.Reply(error="there is no page: the daemon was started with --no-web", code=c.NO_PAGE)
        if gateway.address is None:
            return c.Reply(error="the page is not ready yet; try again in a moment", code=c.PAGE_NOT_READY)
        host, port = gateway.address
        host = socket.gethostname() if host in ("0.0.0.0", "::") else host
        spec = gateway.spec
        url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
        return _body(c.PageUrl(f"{url}?token={quote(spec.token, safe='')}" if spec.token else url))


def _owner() -> str:
    """The daemon's user, for a command line."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"'#{os.getuid()}'"


def _body(body: object) -> c.Reply:
    return c.Reply(body=msgspec.Raw(msgspec.msgpack.encode(body)))
