"""The engine: routes each event to the peer it came from and returns the actions. Its own rules are start, tick and shutdown only.

`receive`, `hand_over` and `wake` are the only methods that change state, `start`, `stop` and `refuse` aside; time is an argument.
`deadline_s` is the time at which `wake` is due if no event comes first. The same events at the same times lead to the same actions.
"""

from __future__ import annotations

from typing import Any, Protocol

from ncs_cluster import messages as m
from ncs_cluster.core import client, configure, guests, stick_requests
from ncs_cluster.core.actions import Action, Exit, LogEvent, Send
from ncs_cluster.core.cameras import Cameras
from ncs_cluster.core.child import Child, Limits
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import GATEWAY, Endpoint
from ncs_cluster.core.fallback import Fallback
from ncs_cluster.core.fan import Fan
from ncs_cluster.core.fleet_drain import FleetDrain
from ncs_cluster.core.gateway import Gateway
from ncs_cluster.core.intake_process import IntakeProcess
from ncs_cluster.core.intakes import Intakes
from ncs_cluster.core.jobs import Jobs
from ncs_cluster.core.load import Load
from ncs_cluster.core.overflow import Overflow
from ncs_cluster.core.rollout import Rollout
from ncs_cluster.core.shutdown import Shutdown, killed
from ncs_cluster.core.sinks import Sinks
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.core.streams import Streams
from ncs_cluster.core.work import DROPPED, Tally
from ncs_cluster.core.workers import Workers
from ncs_cluster.errors import EX_CONFIG
from ncs_cluster.specs import GraphSpec, IntakeSpec, Settings
from ncs_cluster.types import StickId

TICK_S = 0.25
"""The period of `_tick`, which checks the deadlines of processes; frames have deadlines of their own."""
STALL_S = 1.0
"""After a longer stall of the event loop the deadlines of children are extended."""


class Peer(Protocol):
    """Handles the messages of one endpoint: the closed union that its channel decodes."""

    def handle(self, message: Any, now_s: float) -> list[Action]: ...


class Engine:
    """All decisions of the daemon."""

    def __init__(self, settings: Settings, now_s: float, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.settings = settings
        self.began_s = now_s
        self.tally = Tally()
        self.dispatcher = Dispatcher(self.tally)
        self.sinks = Sinks(settings.sinks, self, limits)
        self.sticks = Sticks(settings.all_pools, settings.all_graphs, self.dispatcher, limits)
        own, others = ([str(graph.name) for graph in each] for each in (settings.graphs, settings.guests))
        self.streams = Streams(own, self.dispatcher, self.tally, self.sinks, others)
        self.cameras = Cameras(self.streams, self.dispatcher, self._listening_workers, self, limits)
        self.workers = Workers(settings.all_pools, self.sticks, self.streams, self.dispatcher, self.cameras.pools)
        self.rollout = Rollout(self.sticks, self.dispatcher)
        self.fallback: Fallback | None = None
        if settings.fallback is not None:
            self.fallback = Fallback(settings.fallback, self.sticks, self.dispatcher, self.workers.regulators)
        self.load = Load(self.dispatcher, self.streams, self.tally, self.workers.regulators)
        if settings.overflow is not None:
            self.workers.overflow = Overflow(settings.overflow, self.sticks, self.dispatcher, self.workers.regulators, self.load)
        self.intakes = Intakes(self._graphs, self.workers, self.load, self.tally, self)
        self.intake_processes = {spec.name: self._intake_process(spec, limits) for spec in settings.intakes}
        self.gateway: Gateway | None = None
        if settings.gateway is not None:
            rings, set_viewers = self.cameras.rings, self.cameras.set_viewers
            self.gateway = Gateway(
                settings.gateway,
                settings,
                self,
                limits,
                rings=rings,
                set_viewers=set_viewers,
                intake=self.intakes.add("api", GATEWAY, settings.gateway.api_weight),
            )
        self.cameras.gateway = self.gateway
        self.jobs = Jobs(settings.jobs, self._all_graphs, self.cameras, self.sinks, self.tally)
        self.fleet_drain = FleetDrain(self.sinks, self.intake_processes)
        self.fan = Fan(settings.fan) if settings.fan is not None else None
        self.idle_s = now_s
        """When no unit was open last."""
        self.heat_wave: tuple[float, float] | None = None
        """From when and until when the newest injected heat wave lasts, monotonic seconds."""
        self.shutdown: Shutdown | None = None
        self._next_tick_s = now_s + TICK_S
        self._last_tick_s = now_s
        self._next_second_s = now_s + 1.0

    @property
    def deadline_s(self) -> float:
        """When `wake` is due at the latest."""
        first_s = self._next_tick_s
        others = (self.dispatcher.deadline_s, self.workers.deadline_s, self.sticks.boots.deadline_s, self.streams.deadline_s)
        for due_s in others:
            if due_s is not None and due_s < first_s:
                first_s = due_s
        return first_s

    @property
    def stopping(self) -> bool:
        return self.shutdown is not None

    def start(self, now_s: float) -> list[Action]:
        """Start every configured sink, stick and camera, and the gateway."""
        actions: list[Action] = [LogEvent("info", "daemon", text, group="") for text in self.settings.notices]
        for child in self._consumers():
            actions += child.start(now_s)
        for stick in self.settings.sticks:
            actions += self.sticks.found(stick, now_s)
        if self.fallback is not None:
            actions += self.fallback.start(now_s)
        if self.workers.overflow is not None:
            actions += self.workers.overflow.start(now_s)
        for camera in self.settings.cameras:
            actions += self.cameras.add(camera, now_s)
        return actions + self.jobs.tick(now_s)

    def receive(self, endpoint: Endpoint, message: Any, now_s: float) -> list[Action]:
        """Handle one event; `hand_over` follows after the last event of a turn. Returns its actions, in order."""
        peer = self._peer(endpoint)
        return peer.handle(message, now_s) if peer is not None else []

    def handle(self, endpoint: Endpoint, message: Any, now_s: float) -> list[Action]:
        """Handle one event that comes alone."""
        return self.receive(endpoint, message, now_s) + self.hand_over(now_s)

    def wake(self, now_s: float) -> list[Action]:
        """Act on every deadline that has passed."""
        actions = self._tick(now_s) if now_s >= self._next_tick_s else []
        return actions + self.hand_over(now_s)

    def _peer(self, endpoint: Endpoint) -> Peer | None:
        match endpoint.kind:
            case "worker":
                return self.workers.of(StickId(endpoint.name))
            case "camera":
                return self.cameras.by_name.get(endpoint.name)
            case "sink":
                return self.sinks.by_name.get(endpoint.name)
            case "intake":
                return self.intake_processes.get(endpoint.name)
            case "gateway":
                return self.gateway
            case "bus":
                return client.Bus(self)
            case "client":
                return client.Client(endpoint, self)
            case "operator":
                return configure.Operator(self)
            case _:
                return None

    # -- frames

    def hand_over(self, now_s: float) -> list[Action]:
        """Send frames to the sticks that can take them, and records to the sinks."""
        actions = self.workers.open_due(now_s) if self.sticks.boots.deadline_s is not None else []
        if (due_s := self.workers.deadline_s) is not None and now_s >= due_s:
            actions += self.workers.regulate_due(now_s)
        if (due_s := self.streams.deadline_s) is not None and now_s >= due_s:
            actions += self.streams.release(now_s)
        actions += self.intakes.tell_at_once(now_s)
        if self.fallback is not None and self.shutdown is None:
            actions += self.fallback.look(now_s)
        actions += self.intakes.flush()
        actions += self.sinks.pump()
        self.streams.hold_full()
        if not self.tally.open:
            self.idle_s = now_s
        if self.shutdown is not None:
            actions += self._advance_shutdown(now_s)
            if self.shutdown.closing:
                # the sticks are closing: no unit is assigned any more
                self.dispatcher.forget_deadline()
                return actions
        for unit in self.dispatcher.assign(now_s):
            assert unit.stick is not None
            self.streams.sent(unit)
            queue, stick = self.dispatcher.queue_of(unit.stick), self.sticks.by_id[unit.stick]
            assert queue is not None
            infer = m.Infer(unit.ticket, queue.index_of(unit.graph), unit.frame.ref, stick.reset_epoch, unit.raw)
            actions.append(Send(stick.child.endpoint, infer))
        return actions

    # -- time

    def _tick(self, now_s: float) -> list[Action]:
        stalled_s = now_s - self._last_tick_s - TICK_S
        self._last_tick_s, self._next_tick_s = now_s, now_s + TICK_S
        actions: list[Action] = []
        if stalled_s > STALL_S:
            actions.append(LogEvent("warning", "daemon", f"event loop stalled for {stalled_s:.1f} s; child deadlines extended"))
            self._extend_deadlines(now_s)
        actions += self.workers.tick(now_s)
        actions += self.cameras.overdue(now_s)
        self.sticks.extend_boot_deadlines(now_s)
        for child in self.children():
            actions += child.tick(now_s)
        self.workers.requeue_fenced(now_s)
        actions += self.workers.health.report(now_s)
        for regulator in self.workers.regulators.values():
            actions += regulator.regulate(now_s) + regulator.report_size()
        if self.fallback is not None and self.shutdown is None:
            actions += self.fallback.tick(now_s)
        if self.fan is not None:
            actions += self.fan.look(self.workers.regulators.values(), now_s)
        actions += self.cameras.tick(now_s)
        actions += self.intakes.tick()
        actions += self.sinks.retire(now_s)
        self.sticks.forget_removed()
        if now_s >= self._next_second_s:
            self._next_second_s = now_s + 1.0
            actions += self.cameras.send_detection_rate(now_s)
            actions += self.load.look(now_s)
            if self.workers.overflow is not None and self.shutdown is None:
                actions += self.workers.overflow.look(now_s)
            actions += self.intakes.tell(now_s)
        if self.shutdown is not None:
            # a sink that waits for its next start holds records, and this is the last chance to write them
            return actions + self.sinks.start_waiting(now_s)
        actions += guests.drop_unfit(self, now_s)
        actions += stick_requests.roll_out(self, now_s) + stick_requests.restart_due(self, now_s)
        actions += self.jobs.tick(now_s)
        actions += self.fleet_drain.tick() + self.jobs.fleet.look(self.fleet_drain.offered, now_s)
        over = (self.cameras.finished(self.jobs.cameras) or self.jobs.over) and not self.jobs.live
        if over and not self.tally.open and not self.sinks.kept:
            hint = "; --loop repeats them and keeps the page" if self.gateway is not None else ""
            text = f"all sources have ended and all results are written{hint}"
            actions += [LogEvent("info", "daemon", text), *self.stop(now_s)]
        return actions

    def _extend_deadlines(self, now_s: float) -> None:
        self.dispatcher.extend_deadlines(now_s)
        self.cameras.extend_deadlines(now_s)
        for child in self.children():
            child.extend_deadlines(now_s)

    # -- end

    def refuse(self, origin: str, detail: str) -> list[Action]:
        """A configured source or sink has never worked and cannot work: exit with code 78 instead of endless restarts."""
        return [LogEvent("error", origin, detail), *killed(self.children()), Exit(EX_CONFIG)]

    def stop(self, now_s: float) -> list[Action]:
        """Drain, then exit; a second call exits at once."""
        if self.shutdown is not None:
            return [LogEvent("warning", "daemon", "second stop request: exiting now"), *killed(self.children()), Exit(0)]
        self.shutdown = Shutdown(self._producers(), self._consumers(), now_s)
        for unit in self.dispatcher.drain():
            self.tally.end(unit, DROPPED)
        stopping = LogEvent("info", "daemon", "stopping: finishing frames in flight")
        return [stopping, *self.intakes.tick(), *self.sinks.start_waiting(now_s), *self._advance_shutdown(now_s)]

    def _advance_shutdown(self, now_s: float) -> list[Action]:
        assert self.shutdown is not None
        actions: list[Action] = []
        if self.tally.open and self.shutdown.too_late(now_s):
            actions += self._give_up_open_units(now_s)
        actions += self.shutdown.advance(now_s, drained=lambda: not self.tally.open, written=lambda: not self.sinks.kept)
        if self.sinks.kept and any(isinstance(action, Exit) for action in actions):
            kept = self.sinks.kept
            unwritten = f"{kept} result{'' if kept == 1 else 's'} not written before exit"
            return [LogEvent("error", "sink", unwritten), *actions]
        return actions

    def _give_up_open_units(self, now_s: float) -> list[Action]:
        """Give up all open units. Results of an ordered stream that waited for them are published first or with them."""
        actions = self.streams.flush(now_s)
        for camera in self.cameras.by_name.values():
            camera.publish_unmeasured(now_s)
        self.dispatcher.abandon()
        for unit in list(self.tally.open):
            self.streams.abandon(unit, "not finished: the daemon was stopped", now_s)
        return actions

    # -- children

    def children(self) -> list[Child]:
        """All children."""
        return self._producers() + self._consumers()

    def _producers(self) -> list[Child]:
        """Cameras and workers."""
        cameras = [camera.child for camera in self.cameras.by_name.values()]
        return cameras + [stick.child for stick in self.sticks.by_id.values()]

    def _consumers(self) -> list[Child]:
        """Sinks, intakes and the gateway, which stop last."""
        children = [sink.child for sink in self.sinks.by_name.values()]
        children += [each.child for each in self.intake_processes.values()]
        return [*children, self.gateway.child] if self.gateway is not None else children

    def _intake_process(self, spec: IntakeSpec, limits: Limits) -> IntakeProcess:
        intake = self.intakes.add(spec.name, IntakeProcess.endpoint(spec), spec.weight)
        return IntakeProcess(spec, intake, self, limits)

    def _graphs(self) -> list[GraphSpec]:
        return self.settings.graphs

    def _all_graphs(self) -> list[GraphSpec]:
        return self.settings.all_graphs

    def _listening_workers(self) -> list[Endpoint]:
        return self.workers.listening
