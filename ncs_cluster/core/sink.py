"""The sink: one process that writes results where they go, and the outbox that outlives it."""

from __future__ import annotations

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, LogEvent, Send
from ncs_cluster.core.child import Child, Limits
from ncs_cluster.core.events import SINK
from ncs_cluster.core.outbox import Outbox
from ncs_cluster.specs import SinkSpec


class Sink:
    """Results on their way out."""

    def __init__(self, spec: SinkSpec, limits: Limits) -> None:
        self.spec = spec
        self.child = Child(SINK, "default", limits)
        self.outbox = Outbox()
        self.blocked: str | None = None
        """Why nothing can be written at present."""

    @property
    def only_reader_gone(self) -> bool:
        """After a permanent failure: who reads standard output does not come back, as `ncs-clusterd --results - | head`."""
        return self.spec.path == "-" and self.ever_opened

    @property
    def ever_opened(self) -> bool:
        return self.outbox.offset is not None

    def handle(self, message: object, now_s: float) -> list[Action]:
        """What the sink says, beyond what every child may say."""
        match message:
            case m.Hello():
                self.child.hello(now_s)
                return [Send(SINK, m.OpenSink(self.spec, self.outbox.offset))]
            case m.SinkOpened(written=written, offset=offset):
                self.child.ready(now_s)
                self.blocked = None
                self.outbox.opened(written)
                self.outbox.offset = offset
            case m.Acked(number=number, offset=offset):
                self.outbox.acked(number, offset)
            case m.SinkBlocked(detail=detail):
                self.blocked = detail
                return [
                    LogEvent("error", "sink", f"cannot write: {detail}") if detail else LogEvent("info", "sink", "writes again")
                ]
            case e.Exited(how=how):
                self.outbox.closed()
                return self.child.exited(how, now_s)
            case _:
                pass
        return []

    def pump(self) -> list[Action]:
        """Send what may be sent."""
        return [Send(SINK, m.Write(number, record)) for number, record in self.outbox.sendable()]
