"""A process that is an intake and nothing else: it serves one protocol, such as that of Frigate's detectors."""

from __future__ import annotations

from typing import Union, assert_never

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, LogEvent, Release, Send
from ncs_cluster.core.child import Child, Limits
from ncs_cluster.core.child_messages import accepts, check_protocol, handle_common
from ncs_cluster.core.daemon import Daemon
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.intake import Intake
from ncs_cluster.specs import IntakeSpec
from ncs_cluster.types import IntakeClient

IntakeMessage = Union[m.FromIntakeProcess, e.ProcessEvent]


class IntakeProcess:
    """One process. Its intake outlives it."""

    def __init__(self, spec: IntakeSpec, intake: Intake, daemon: Daemon, limits: Limits) -> None:
        self.spec = spec
        self.intake = intake
        self.child = Child(intake.endpoint, "default", limits)
        self.address: str | None = None
        """Where it listens; None before it does."""
        self.clients: list[IntakeClient] = []
        self.work: m.WorkTold | None = None
        """Of one that takes frames of other hosts: what it knows; None: its process has told nothing."""
        self._daemon = daemon

    @staticmethod
    def endpoint(spec: IntakeSpec) -> Endpoint:
        return Endpoint("intake", spec.name)

    def handle(self, message: IntakeMessage, now_s: float) -> list[Action]:
        child = self.child
        if not accepts(child, message):
            return []
        child.message_received(now_s)
        match message:
            case m.Ask() | m.Withdraw() | m.OpenIntake():
                return self.intake.handle(message, now_s)
            case m.Hello():
                if refused := check_protocol(child, message, now_s):
                    return refused
                child.hello(now_s)
                return [Send(child.endpoint, m.ServeIntake(self.spec))]
            case m.IntakeReady(address=address):
                child.ready(now_s)
                first, self.address = self.address is None, address
                return [LogEvent("info", self.spec.name, f"listens at {address}")] if first else []
            case m.ClientsSeen(clients=clients):
                self.clients = clients
                return []
            case m.WorkTold():
                self.work = message
                return []
            case m.Warned(text=text):
                return [LogEvent("warning", self.spec.name, text)]
            case m.InUse(detail=detail):
                child.record_failure(detail, permanent=False)
                let_go: list[Action] = [Release(child.endpoint)]
                starts = self.address is None and not self._daemon.stopping
                return [*let_go, *(self._daemon.refuse(self.spec.name, detail) if starts else [])]
            case m.Failed(permanent=True, detail=detail) if self.address is None and not self._daemon.stopping:
                return self._daemon.refuse(self.spec.name, detail)
            case e.Exited(how=how):
                self.intake.lost()
                self.clients, self.work = [], None
                return child.exited(how, now_s)
            case m.Heartbeat() | m.Failed() | e.Spawned() | e.SpawnFailed():
                return handle_common(child, message, now_s)
            case _:
                assert_never(message)
