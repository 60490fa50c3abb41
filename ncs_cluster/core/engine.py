"""The switchboard: an event comes in, the room it concerns decides, actions go out. No rule of its own beyond start and end.

`handle` is the only way to change anything; time is an argument. `deadline_s` says when `handle(OPERATOR, None)`-like `wake` is due
although nothing happens. Told the same events at the same times, it answers the same actions.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, Exit, Kill, Note, Send, Unplug
from ncs_cluster.core.cameras import Camera, Cameras
from ncs_cluster.core.child import Child, Limits, State
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import GATEWAY, SINK, Who
from ncs_cluster.core.outbox import Outbox
from ncs_cluster.core.sticks import Stick, Sticks
from ncs_cluster.core.work import DROPPED, Ledger, Unit
from ncs_cluster.errors import EX_CONFIG
from ncs_cluster.specs import Settings
from ncs_cluster.types import StickId

TICK_S = 0.25
"""How often deadlines of processes are looked at; frames have their own clock."""
DRAIN_S = 2.0
"""How long a stop waits for what is under way."""
LONGEST_STOP_S = 4.5
STALL_S = 1.0
"""The loop itself stood still for so long: nobody else is called late for it."""


class Engine:
    """The daemon's mind."""

    def __init__(self, settings: Settings, now_s: float, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.settings = settings
        self.began_s = now_s
        self.ledger = Ledger()
        self.dispatcher = Dispatcher(self.ledger)
        self.outbox = Outbox() if settings.sink else None
        self.sticks = Sticks(settings.clusters, settings.graphs, self.dispatcher, limits)
        graphs = [str(graph.name) for graph in settings.graphs]
        self.cameras = Cameras(graphs, self.dispatcher, self.ledger, self.outbox, limits)
        self.sink = Child(SINK, "default", limits) if settings.sink else None
        self.gateway = Child(GATEWAY, "default", limits) if settings.gateway else None
        self.sink_detail: str | None = None
        self.page: tuple[str, int] | None = None
        """Where the page answers."""
        self.last_result_s: float | None = None
        self.stopping_s: float | None = None
        """Since when it is being stopped."""
        self._stop_step = 0
        self._next_tick_s = now_s + TICK_S
        self._last_tick_s = now_s
        self._told: dict[str, m.Rates] = {}
        self._told_s = now_s

    @property
    def deadline_s(self) -> float:
        """When `wake` is due at the latest."""
        due = [self._next_tick_s, self.dispatcher.deadline_s, self.sticks.next_s]
        return min(when for when in due if when is not None)

    def start(self, now_s: float) -> list[Action]:
        """Everything that is configured begins."""
        actions: list[Action] = [Note("info", "daemon", text) for text in self.settings.notices]
        for child in (self.sink, self.gateway):
            if child is not None:
                actions += child.start(now_s)
        for stick in self.settings.sticks:
            actions += self.sticks.found(stick, now_s)
        for camera in self.settings.cameras:
            actions += self.cameras.add(camera, now_s)
        return actions

    def handle(self, who: Who, message: object, now_s: float) -> list[Action]:
        """One event; the actions it leads to, in order."""
        match who.kind:
            case "worker":
                stick = self.sticks.by_id.get(StickId(who.name))
                actions = self._worker(stick, message, now_s) if stick else []
            case "camera":
                camera = self.cameras.by_name.get(who.name)
                actions = self._camera(camera, message, now_s) if camera else []
            case "sink":
                actions = self._sink(message, now_s)
            case "gateway":
                actions = self._gateway(message, now_s)
            case "bus":
                actions = self._bus(message, now_s)
            case "client":
                actions = self._client(who, message, now_s)
            case _:
                actions = self.stop(now_s) if isinstance(message, e.StopAsked) else []
        return actions + self._hand_over(now_s)

    def wake(self, now_s: float) -> list[Action]:
        """Time has passed."""
        actions: list[Action] = []
        if self.sticks.next_s is not None and now_s >= self.sticks.next_s:
            actions += self.sticks.regulate(now_s)
        if now_s >= self._next_tick_s:
            actions += self._tick(now_s)
        return actions + self._hand_over(now_s)

    # -- who says what

    def _worker(self, stick: Stick, message: object, now_s: float) -> list[Action]:
        child = stick.child
        child.heard(now_s)
        match message:
            case m.Inferred(ticket=ticket, outcome=outcome, latency_s=latency_s):
                unit = self.dispatcher.answered(stick.spec.id, ticket, latency_s, now_s)
                if unit is None:
                    return []
                stick.inferences += 1
                self.last_result_s = now_s
                return self.cameras.inferred(unit, outcome, now_s) + self._freed(unit)
            case m.Telemetry():
                self.sticks.measured(stick, message, now_s)
                return self.sticks.regulate(now_s)
            case m.StickOpened():
                return self.sticks.opened(stick, message, now_s) + self.sticks.regulate(now_s)
            case m.Hello():
                return self._greet(child, message, now_s) or self.sticks.hello(stick, now_s) + self.cameras.maps(child.who)
            case e.Exited(how=how):
                blameless = self.dispatcher.blameless(stick.spec.id)
                self._take_back(stick, now_s)
                actions = child.exited(how, now_s, innocent=blameless)
                if not stick.present:
                    child.last_error = "unplugged"
                elif child.state is State.DOWN and self.stopping_s is None:
                    # it was pulled and has come back before its process had ended
                    actions += child.start(now_s)
                return actions + self.sticks.regulate(now_s)
            case _:
                return self._common(child, message, now_s)

    def _take_back(self, stick: Stick, now_s: float) -> None:
        """The stick will not answer any more: its frames go to others, except those that have cost too many sticks."""
        for unit in self.dispatcher.unseat(stick.spec.id):
            why = f"given up: {len(unit.tried)} sticks died with it in hand ({', '.join(sorted(unit.tried))})"
            self.cameras.give_up(self.cameras.by_name[unit.stream], unit, why, now_s)

    def _camera(self, camera: Camera, message: object, now_s: float) -> list[Action]:
        child = camera.child
        child.heard(now_s)
        match message:
            case m.FrameCaptured():
                return self.cameras.captured(camera, message, now_s)
            case m.Measured(ticket=ticket, detections=detections):
                self.cameras.measured(camera, ticket, detections, now_s)
                return self._pump_sink() + self.cameras.grant(camera)
            case m.Drawn(frame=frame):
                watched = self.gateway is not None and self.gateway.running and camera.viewers
                return [Send(GATEWAY, m.PictureReady(camera.spec.name, frame))] if watched else []
            case m.Skipped():
                self.cameras.skipped(camera, message)
                return []
            case m.SourceOpened():
                actions = self.cameras.opened(camera, message, self._listening_workers(), now_s)
                return actions + ([self.cameras.pictures(camera, GATEWAY)] if self.gateway and self.gateway.running else [])
            case m.SourceLost(detail=detail):
                return self.cameras.lost(camera, detail)
            case m.SourceEnded():
                return self.cameras.ended(camera)
            case m.CameraRates(capture_fps=capture_fps, preview_fps=preview_fps):
                camera.capture_fps, camera.preview_fps = capture_fps, preview_fps
                return []
            case m.QuitAsked():
                return self.stop(now_s)
            case m.Hello():
                self._told.pop(camera.spec.name, None)
                return self._greet(child, message, now_s) or self.cameras.hello(camera, now_s)
            case m.Failed(permanent=True, detail=detail) if camera.info is None and self.stopping_s is None:
                # it was never there: a wrong path or a file that is no video, and it will not become one
                return [Note("error", camera.spec.name, detail), *self._all_killed(), Exit(EX_CONFIG)]
            case e.Exited(how=how):
                self.cameras.exited(camera, now_s)
                if camera.ended:
                    child.stop(now_s)
                return child.exited(how, now_s) + self._pump_sink()
            case _:
                return self._common(child, message, now_s)

    def _sink(self, message: object, now_s: float) -> list[Action]:
        child, outbox = self.sink, self.outbox
        if child is None or outbox is None:
            return []
        child.heard(now_s)
        match message:
            case m.Acked(number=number, offset=offset):
                outbox.acked(number, offset)
                return self._pump_sink()
            case m.SinkOpened(written=written, offset=offset):
                child.ready(now_s)
                outbox.opened(written)
                outbox.offset = offset
                return self._pump_sink()
            case m.SinkBlocked(detail=detail):
                self.sink_detail = detail
                if detail is None:
                    return [Note("info", "sink", "writes again")]
                return [Note("error", "sink", f"cannot write: {detail}")]
            case m.Hello():
                assert self.settings.sink is not None
                return self._greet(child, message, now_s) or self._said(child, now_s, m.OpenSink(self.settings.sink, outbox.offset))
            case m.Failed(permanent=True, detail=detail) if outbox.offset is None and self.stopping_s is None:
                return [Note("error", "sink", detail), *self._all_killed(), Exit(EX_CONFIG)]
            case e.Exited(how=how):
                outbox.closed()
                return child.exited(how, now_s)
            case _:
                return self._common(child, message, now_s)

    def _gateway(self, message: object, now_s: float) -> list[Action]:
        child = self.gateway
        if child is None or self.settings.gateway is None:
            return []
        child.heard(now_s)
        match message:
            case m.Watch(camera=name, viewers=viewers):
                camera = self.cameras.by_name.get(name)
                if camera is not None:
                    camera.viewers = viewers
                    return self._tell_rates(camera, now_s)
                return []
            case m.GatewayOpened(host=host, port=port):
                child.ready(now_s)
                self.page = (host, port)
                rings = [self.cameras.pictures(camera, GATEWAY) for camera in self.cameras.by_name.values() if camera.slots]
                return [Note("info", "page", f"is at http://{host}:{port}/"), *rings]
            case m.Hello():
                opening = m.OpenGateway(self.settings.gateway, self.settings.runtime_dir, self.settings.simulated)
                return self._greet(child, message, now_s) or self._said(child, now_s, opening)
            case m.Failed(permanent=True, detail=detail) if self.page is None and self.stopping_s is None:
                return [Note("error", "page", detail), *self._all_killed(), Exit(EX_CONFIG)]
            case e.Exited(how=how):
                for camera in self.cameras.by_name.values():
                    camera.viewers = 0
                return child.exited(how, now_s)
            case _:
                return self._common(child, message, now_s)

    def _common(self, child: Child, message: object, now_s: float) -> list[Action]:
        """What every child may say."""
        match message:
            case m.Phase(name=name):
                child.phase(name, now_s)
            case m.Failed(detail=detail, permanent=permanent):
                child.failed(detail, permanent=permanent)
            case e.Spawned(pid=pid):
                child.spawned(pid)
            case e.SpawnFailed(detail=detail):
                child.failed(detail, permanent=True)
                return child.exited("could not be started", now_s)
            case _:
                pass
        return []

    def _bus(self, message: object, now_s: float) -> list[Action]:
        match message:
            case e.StickFound(stick=spec) if self.stopping_s is None:
                return self.sticks.found(spec, now_s) + self.sticks.regulate(now_s)
            case e.StickGone(id=stick):
                return self.sticks.gone(stick, now_s) + self.sticks.regulate(now_s)
            case _:
                return []

    def _client(self, who: Who, message: object, now_s: float) -> list[Action]:
        match message:
            case m.AskSwitch():
                switches = self.sticks.switches
                actions = self.sticks.regulate(now_s, asked=True)
                if self.sticks.switches > switches:
                    return [*actions, _answer(who, {"text": f"switched to {', '.join(self.sticks.active)}"})]
                if len(self.sticks.clusters(now_s)) < 2:
                    return [*actions, _refuse(who, "there is no other cluster to switch to")]
                return [*actions, _answer(who, {"text": "will switch as soon as the dwell is over or another cluster is cool"})]
            case m.AskTrouble(kind=kind, stick=stick):
                return self._trouble(who, kind, stick)
            case _:
                return []

    def _trouble(self, who: Who, kind: str, stick: StickId | None) -> list[Action]:
        """Simulated sticks only: a heat wave over all of them, or one stick that is pulled or hangs."""
        if not self.settings.simulated:
            return [_refuse(who, "trouble can only be made with simulated sticks (--backend simulated)")]
        usable = [known for known in self.sticks.by_id.values() if known.usable]
        if stick is not None and stick not in {known.spec.id for known in usable}:
            return [_refuse(who, f"stick {stick} is not at hand")]
        chosen = stick or next(iter(self.sticks.active), None) or (usable[0].spec.id if usable else None)
        if chosen is None:
            return [_refuse(who, "no stick is at hand")]
        match kind:
            case "heat":
                wave: list[Action] = [Send(known.child.who, m.Trouble("heat", 20.0)) for known in usable]
                text = "a heat wave: 15 °C warmer for 20 s"
                return [*wave, Note("warning", "trouble", text), _answer(who, {"text": text})]
            case "unplug":
                text = f"{chosen} is pulled, and plugged in again after 5 s"
                return [Unplug(chosen), Note("warning", "trouble", text), _answer(who, {"text": text})]
            case "hang":
                text = f"{chosen} hangs: it will not answer any more"
                return [
                    Send(Who("worker", chosen), m.Trouble("hang")),
                    Note("warning", "trouble", text),
                    _answer(who, {"text": text}),
                ]
            case _:
                return [_refuse(who, f"no such trouble: {kind}; known are heat, unplug, hang")]

    # -- frames

    def _hand_over(self, now_s: float) -> list[Action]:
        """Whatever sticks can take now goes to them."""
        if self._stop_step:
            return []
        if self.outbox is not None:
            self.dispatcher.hold_ordered = self.outbox.full
        return [
            Send(Who("worker", unit.stick), m.Infer(unit.ticket, unit.graph, unit.frame.ref))
            for unit in self.dispatcher.assign(now_s)
            if unit.stick is not None
        ]

    def _freed(self, unit: Unit) -> list[Action]:
        return self._pump_sink() + self.cameras.grant(self.cameras.by_name[unit.stream])

    def _pump_sink(self) -> list[Action]:
        if self.outbox is None:
            return []
        return [Send(SINK, m.Write(number, record)) for number, record in self.outbox.sendable()]

    # -- time

    def _tick(self, now_s: float) -> list[Action]:
        stalled = now_s - self._last_tick_s > TICK_S + STALL_S
        self._last_tick_s, self._next_tick_s = now_s, now_s + TICK_S
        actions: list[Action] = []
        if stalled:
            self.dispatcher.forgive(now_s)
            for child in self.children():
                child.forgive(now_s)
        for late in self.dispatcher.overdue(now_s):
            actions += self.sticks.by_id[late].child.kill(now_s, "no answer in time: it hangs")
        for child in self.children():
            actions += child.tick(now_s)
        for stick in self.sticks.by_id.values():
            if stick.child.state is State.FENCED:
                self._take_back(stick, now_s)
        actions += self.sticks.regulate(now_s)
        actions += self.cameras.housekeeping(self._listening_workers())
        for camera in self.cameras.by_name.values():
            actions += self.cameras.grant(camera)
            if now_s - self._told_s >= 1.0:
                actions += self._tell_rates(camera, now_s)
        if now_s - self._told_s >= 1.0:
            self._told_s = now_s
        if self.stopping_s is not None:
            actions += self._stop_on(now_s)
        elif self.cameras.finished and not self.ledger.open and not (self.outbox and self.outbox.kept):
            actions += [Note("info", "daemon", "all sources have ended and every result is out"), *self.stop(now_s)]
        return actions

    def _tell_rates(self, camera: Camera, now_s: float) -> list[Action]:
        rates = m.Rates(round(camera.detection.per_s(now_s), 1), camera.viewers > 0)
        if not camera.child.listening or self._told.get(camera.spec.name) == rates:
            return []
        self._told[camera.spec.name] = rates
        return [Send(camera.child.who, rates)]

    # -- beginning and end

    def _greet(self, child: Child, hello: m.Hello, now_s: float) -> list[Action]:
        """A child of another version is not listened to."""
        child.spawned(hello.pid)
        if hello.protocol == m.PROTOCOL:
            return []
        return child.kill(
            now_s, f"speaks protocol {hello.protocol}, not {m.PROTOCOL}: install the same version for its interpreter"
        )

    def _said(self, child: Child, now_s: float, message: object) -> list[Action]:
        child.hello(now_s)
        return [Send(child.who, message)]

    def stop(self, now_s: float) -> list[Action]:
        """Drain and end; asked a second time, end at once."""
        if self.stopping_s is not None:
            return [Note("warning", "daemon", "asked again: ending at once"), *self._all_killed(), Exit(0)]
        self.stopping_s = now_s
        self.cameras.stopping = True
        for lane in self.dispatcher.lanes.values():
            while lane.pending:
                self.ledger.end(lane.pending.popleft(), DROPPED)
        return [Note("info", "daemon", "stopping: finishing what is under way"), *self._stop_on(now_s)]

    def _stop_on(self, now_s: float) -> list[Action]:
        """First what is under way ends, then sources and sticks, then what they led to is written, then the rest."""
        assert self.stopping_s is not None
        waited_s = now_s - self.stopping_s
        actions: list[Action] = []
        if self._stop_step == 0 and (not self.ledger.open or waited_s > DRAIN_S):
            self._stop_step = 1
            for child in [*(c.child for c in self.cameras.by_name.values()), *(s.child for s in self.sticks.by_id.values())]:
                actions += child.stop(now_s)
        if self._stop_step == 1 and (not (self.outbox and self.outbox.kept) or waited_s > DRAIN_S + 1.0):
            self._stop_step = 2
            for last in (self.sink, self.gateway):
                actions += last.stop(now_s) if last is not None else []
        if self._stop_step == 2 and not any(child.alive for child in self.children()):
            return [*actions, Note("info", "daemon", "stopped"), Exit(0)]
        if waited_s > LONGEST_STOP_S:
            return [*actions, Note("warning", "daemon", "some processes did not stop in time"), *self._all_killed(), Exit(0)]
        return actions

    def _all_killed(self) -> list[Action]:
        return [Kill(child.who) for child in self.children() if child.alive]

    def children(self) -> list[Child]:
        """Every child that is configured."""
        sticks = [stick.child for stick in self.sticks.by_id.values()]
        cameras = [camera.child for camera in self.cameras.by_name.values()]
        return [*sticks, *cameras, *(child for child in (self.sink, self.gateway) if child is not None)]

    def _listening_workers(self) -> list[Who]:
        return [
            stick.child.who
            for stick in self.sticks.by_id.values()
            if stick.child.listening and stick.child.state is not State.STARTING
        ]


def _answer(who: Who, body: dict[str, Any]) -> Action:
    return Send(who, m.Reply(body=msgspec.Raw(msgspec.msgpack.encode(body))))


def _refuse(who: Who, why: str) -> Action:
    return Send(who, m.Reply(error=why))
