"""The sinks: each is a process that writes records to one destination. Its outbox is kept here and survives the process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union, assert_never

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, LogEvent, Send
from ncs_cluster.core.child import Child, Limits
from ncs_cluster.core.child_health import complaint
from ncs_cluster.core.child_messages import accepts, check_protocol, handle_common
from ncs_cluster.core.daemon import Daemon
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.outbox import Outbox
from ncs_cluster.specs import SinkSpec
from ncs_cluster.types import Record

GIVE_UP_S = 10.0
"""A closing sink that has acknowledged nothing for so long (its disk is full) loses what it has: its successor shall begin."""

SinkMessage = Union[m.FromSink, e.ProcessEvent]


class Sink:
    """One sink's process and its outbox."""

    def __init__(self, spec: SinkSpec, daemon: Daemon, limits: Limits, *, added: bool = False) -> None:
        """`added`: to a daemon that runs, which goes on where the place can never be written."""
        self.spec = spec
        self._daemon = daemon
        self._added = added
        self.child = Child(Endpoint("sink", spec.name), "default", limits)
        self.outbox = Outbox()
        self.blocked: str | None = None
        """Why writing fails at present; None while it works."""
        self.closing = False
        """No longer configured: it writes its kept records, then its process stops."""
        self.finishing = False
        """Of a job whose stream has ended: it gives its output the final form."""
        self.result: m.SinkFinished | None = None
        """How its job has ended."""
        self.refused: str | None = None
        """Why it can never be opened, where the daemon goes on without it."""
        self.work: m.WorkTold | None = None
        """Of a sink of the fleet: what it knows and has; None: its process has told nothing."""
        self._progress = (0, 0.0)
        """Records written when a closing sink was last seen to write, and when."""

    @property
    def ever_opened(self) -> bool:
        return self.outbox.token is not None

    @property
    def _may_come_back(self) -> bool:
        """What was written once may be again, but for the ledger of a job: what it lacks is lost."""
        return self.ever_opened and self.spec.ledger is None

    def detail(self, now_s: float) -> str | None:
        """Why nothing is written, for people: it is blocked, or its process does not run."""
        return self.blocked or complaint(self.child, now_s)

    def handle(self, message: SinkMessage, now_s: float) -> list[Action]:
        child = self.child
        if not accepts(child, message):
            return []
        child.message_received(now_s)
        match message:
            case m.Hello():
                if refused := check_protocol(child, message, now_s):
                    return refused
                child.hello(now_s)
                return [Send(child.endpoint, m.OpenSink(self.spec, self.outbox.written, self.outbox.token))]
            case m.SinkOpened(next=wanted, token=token):
                child.ready(now_s)
                self.blocked = self.refused = None
                self.outbox.opened(wanted, token)
                return self.finish() if self.finishing else []
            case m.Acked(number=number, token=token):
                self.outbox.acked(number, token)
                return []
            case m.SinkFinished():
                if not self.finishing:
                    return child.kill(now_s, "sent SinkFinished, not requested")
                self.result = message
                return []
            case m.SinkBlocked(detail=detail):
                self.blocked = detail
                does = ("cannot write", "writing again") if self.spec.records else ("cannot work", "works again")
                return [self._event("error", f"{does[0]}: {detail}") if detail else self._event("info", does[1])]
            case m.WorkTold():
                self.work = message
                return []
            case m.Failed(permanent=True, detail=detail) if not (self._may_come_back or self._daemon.stopping):
                if not self._added:
                    return self._daemon.refuse(str(child.endpoint), detail)
                self.refused = detail
                return handle_common(child, message, now_s)
            case m.Failed(reason=m.NO_READER, detail=detail) if not self._daemon.stopping:
                return [self._event("info", f"{detail}: stopping"), *self._daemon.stop(now_s)]
            case e.Exited(how=how):
                self.outbox.closed()
                self.work = None
                return child.exited(how, now_s)
            case m.Heartbeat() | m.Failed() | e.Spawned() | e.SpawnFailed():
                return handle_common(child, message, now_s)
            case _:
                assert_never(message)

    def pump(self) -> list[Action]:
        """Send the next records, as far as credits allow."""
        return [Send(self.child.endpoint, m.Write(number, record)) for number, record in self.outbox.sendable()]

    def finish(self) -> list[Action]:
        """The job's stream has ended, and every record is acknowledged. The next process is told again."""
        self.finishing = True
        return [Send(self.child.endpoint, m.FinishSink())] if self.outbox.open else []

    def close(self, now_s: float) -> list[Action]:
        """It is no longer wanted: it writes the records that are kept, then its process stops."""
        self.closing, self._progress = True, (self.outbox.written, now_s)
        return []

    def give_up(self, now_s: float) -> list[Action]:
        """A closing sink that does not write any more ends without what it has."""
        written, since_s = self._progress
        if written != self.outbox.written:
            self._progress = (self.outbox.written, now_s)
        elif now_s - since_s > GIVE_UP_S and self.outbox.kept:
            actions = self.discard()
            self.child.stop(now_s)
            return [*actions, *self.child.kill(now_s, self.blocked or "it does not write")]
        return []

    def discard(self) -> list[Action]:
        """What it has is lost, unless a later run of its job does it again."""
        lost = self.outbox.discard()
        text = f"{lost} result{'' if lost == 1 else 's'} could not be written before it was removed"
        return [self._event("error", text)] if lost and self.spec.ledger is None else []

    def removed(self) -> LogEvent:
        return self._event("info", "is removed")

    def _event(self, level: str, text: str) -> LogEvent:
        return LogEvent(level, str(self.child.endpoint), text)


class Sinks:
    """All sinks, by name."""

    def __init__(self, specs: Sequence[SinkSpec], daemon: Daemon, limits: Limits) -> None:
        self.by_name = {spec.name: Sink(spec, daemon, limits) for spec in specs}
        self._following: dict[str, Sink] = {}
        """Sinks that start once the closing sink of the same name is gone; they take new records at once, so that none is lost."""
        self._order = list(self.by_name)
        """As configured."""
        self._daemon = daemon
        self._limits = limits

    def add(self, spec: SinkSpec, now_s: float, *, added: bool) -> list[Action]:
        sink = self.by_name[spec.name] = Sink(spec, self._daemon, self._limits, added=added)
        return sink.child.start(now_s)

    def configure(self, specs: Sequence[SinkSpec], now_s: float) -> list[Action]:
        """Add and remove sinks to match `specs`, those of jobs aside; a removed sink writes its kept records first."""
        actions: list[Action] = []
        wanted = {spec.name: spec for spec in specs}
        for name, sink in self.by_name.items():
            if sink.spec != wanted.get(name) and not sink.closing and sink.spec.ledger is None:
                actions += [sink.removed(), *sink.close(now_s)]
        self._order = list(wanted)
        following, self._following = self._following, {}
        for name, spec in wanted.items():
            if name not in self.by_name or self.by_name[name].closing:
                sink = self._following[name] = Sink(spec, self._daemon, self._limits, added=True)
                if name in following:
                    sink.outbox = following.pop(name).outbox
        for sink in following.values():
            actions += sink.discard()
        return actions + self.retire(now_s)

    def start(self, now_s: float) -> list[Action]:
        return [action for sink in self.by_name.values() for action in sink.child.start(now_s)]

    def start_waiting(self, now_s: float) -> list[Action]:
        """Start the sinks that have records and wait for their next start: the daemon stops, and there is no later."""
        actions: list[Action] = []
        for sink in self.by_name.values():
            if sink.outbox.kept:
                actions += sink.child.retry_now(now_s)
        return actions

    def put(self, record: Record, names: Sequence[str] | None, *, live: bool) -> None:
        """`names`: the sinks that get the record; None: all that are no job's."""
        for sink in self._named(names):
            sink.outbox.put(record, live=live)

    def full(self, names: Sequence[str] | None) -> bool:
        return any(sink.outbox.full for sink in self._named(names))

    def pump(self) -> list[Action]:
        return [action for sink in self.by_name.values() for action in sink.pump()]

    def retire(self, now_s: float) -> list[Action]:
        """Stop closing sinks that have written all their records, or that do not write any more, delete them once their process has
        exited, and then start the sinks that follow under their names."""
        actions: list[Action] = []
        for name, sink in list(self.by_name.items()):
            if sink.closing:
                actions += sink.give_up(now_s)
            if sink.closing and not sink.outbox.kept:
                actions += sink.child.stop(now_s)
                if not sink.child.alive:
                    del self.by_name[name]
        free = [] if self._daemon.stopping else [name for name in self._following if name not in self.by_name]
        for name in free:
            sink = self.by_name[name] = self._following.pop(name)
            actions += [LogEvent("info", str(sink.child.endpoint), f"is added: {sink.spec.shown}"), *sink.child.start(now_s)]
        if free:
            ordered = [name for name in self._order if name in self.by_name]
            self.by_name = {name: self.by_name[name] for name in dict.fromkeys([*ordered, *self.by_name])}
        return actions

    @property
    def kept(self) -> int:
        """Records that are not acknowledged yet."""
        return sum(sink.outbox.kept for sink in [*self.by_name.values(), *self._following.values()])

    def _named(self, names: Sequence[str] | None) -> list[Sink]:
        open_for = {name: sink for name, sink in self.by_name.items() if not sink.closing} | self._following
        if names is not None:
            return [sink for name, sink in open_for.items() if name in names]
        return [sink for sink in open_for.values() if sink.spec.ledger is None and sink.spec.records]
