"""The switchboard: an event comes in, the room it concerns decides, actions go out. No rule of its own beyond start and end.

`handle` is the only way to change anything; time is an argument. `deadline_s` says when `handle(OPERATOR, None)`-like `wake` is due
although nothing happens. Told the same events at the same times, it answers the same actions.
"""

from __future__ import annotations

from collections import deque

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core import fault_injection
from ncs_cluster.core.actions import Action, Exit, LogEvent, Send
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.cameras import Cameras
from ncs_cluster.core.child import Child, Limits, State
from ncs_cluster.core.child_messages import accepts, check_protocol, handle_common
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.gateway import Gateway
from ncs_cluster.core.inference_health import InferenceHealth
from ncs_cluster.core.shutdown import Shutdown, killed
from ncs_cluster.core.sink import Sink
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.core.work import DROPPED, Ledger
from ncs_cluster.core.worker_messages import WorkerMessages
from ncs_cluster.errors import EX_CONFIG
from ncs_cluster.specs import Settings
from ncs_cluster.types import StickId

TICK_S = 0.25
"""How often deadlines of processes are looked at; frames have their own clock."""
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
        self.sink = Sink(settings.sink, limits) if settings.sink else None
        stagger_s = settings.discovery.stagger_s if settings.discovery else 0.0
        self.sticks = Sticks(settings.clusters, settings.graphs, self.dispatcher, limits, stagger_s)
        graphs = [str(graph.name) for graph in settings.graphs]
        outbox = self.sink.outbox if self.sink else None
        self.cameras = Cameras(graphs, self.dispatcher, self.ledger, outbox, limits)
        self.gateway = Gateway(settings.gateway, settings, self.cameras, limits) if settings.gateway else None
        self.idle_s = now_s
        """When there was nothing to do last."""
        self.inferences = InferenceHealth()
        self.workers = WorkerMessages(self.sticks, self.cameras, self.dispatcher, self.inferences)
        self.shutdown: Shutdown | None = None
        self._next_tick_s = now_s + TICK_S
        self._last_tick_s = now_s
        self._next_second_s = now_s + 1.0

    @property
    def deadline_s(self) -> float:
        """When `wake` is due at the latest."""
        due = [
            self._next_tick_s,
            self.dispatcher.deadline_s,
            self.sticks.next_s,
            self.sticks.reading_deadline_s,
            self.sticks.boots.deadline_s,
        ]
        return min(when for when in due if when is not None)

    def start(self, now_s: float) -> list[Action]:
        """Everything that is configured begins."""
        actions: list[Action] = [LogEvent("info", "daemon", text) for text in self.settings.notices]
        for child in self._consumers():
            actions += child.start(now_s)
        for stick in self.settings.sticks:
            actions += self.sticks.found(stick, now_s)
        for camera in self.settings.cameras:
            actions += self.cameras.add(camera, now_s)
        return actions

    def handle(self, endpoint: Endpoint, message: object, now_s: float) -> list[Action]:
        """One event; the actions it leads to, in order."""
        match endpoint.kind:
            case "worker":
                stick = self.sticks.by_id.get(StickId(endpoint.name))
                actions = self.workers.hear(stick, message, now_s) if stick else []
            case "camera":
                camera = self.cameras.by_name.get(endpoint.name)
                actions = self._camera(camera, message, now_s) if camera else []
            case "sink" | "gateway":
                actions = self._shown(endpoint, message, now_s)
            case "bus":
                actions = self._bus(message, now_s)
            case "client":
                actions = self._client(endpoint, message, now_s)
            case _:
                actions = self.stop(now_s) if isinstance(message, e.StopAsked) else []
        return actions + self._hand_over(now_s)

    def wake(self, now_s: float) -> list[Action]:
        """Time has passed."""
        actions = self._tick(now_s) if now_s >= self._next_tick_s else []
        return actions + self._hand_over(now_s)

    # -- who says what

    def _camera(self, camera: Camera, message: object, now_s: float) -> list[Action]:
        child = camera.child
        if not accepts(child, message):
            return []
        child.heard(now_s)
        match message:
            case m.FrameCaptured():
                return self.cameras.captured(camera, message, now_s)
            case m.Measured(ticket=ticket, detections=detections):
                self.cameras.measured(camera, ticket, detections, now_s)
                return self.cameras.grant(camera)
            case m.Drawn(frame=frame, captured_s=captured_s, drawn_s=drawn_s):
                if captured_s:
                    camera.drawing.add(drawn_s - captured_s)
                return self.gateway.drawn(camera, frame) if self.gateway else []
            case m.Skipped():
                self.cameras.skipped(camera, message)
                return []
            case m.SourceOpened():
                actions = self.cameras.opened(camera, message, self._listening_workers(), now_s)
                return actions + (self.gateway.reopened(camera) if self.gateway else [])
            case m.SourceLost(detail=detail):
                return self.cameras.lost(camera, detail)
            case m.SourceEnded():
                return self.cameras.ended(camera)
            case m.CameraRates(capture_fps=capture_fps, preview_fps=preview_fps):
                camera.capture_fps, camera.preview_fps = capture_fps, preview_fps
                # it tries to open its source for as long as that takes, and watches itself for a library that hangs
                child.waits(now_s)
                return []
            case m.QuitAsked():
                return self.stop(now_s) if self.shutdown is None else []
            case m.Hello():
                return check_protocol(child, message, now_s) or self.cameras.hello(camera, now_s)
            case m.Failed(permanent=True, detail=detail) if camera.info is None and self.shutdown is None:
                # it was never there: a wrong path or a file that is no video, and it will not become one
                return self._refuse_to_start(camera.spec.name, detail)
            case e.Exited(how=how):
                self.cameras.exited(camera, now_s)
                if camera.ended:
                    child.stop(now_s)
                return child.exited(how, now_s)
            case _:
                return handle_common(child, message, now_s)

    def _shown(self, endpoint: Endpoint, message: object, now_s: float) -> list[Action]:
        """Sink and page."""
        room = self.sink if endpoint.kind == "sink" else self.gateway
        if room is None or not accepts(room.child, message):
            return []
        room.child.heard(now_s)
        match message:
            case m.Hello():
                return check_protocol(room.child, message, now_s) or room.handle(message, now_s)
            case m.Failed(permanent=True, detail=detail) if self.shutdown is None and not self._ever_opened(room):
                return self._refuse_to_start(endpoint.kind, detail)
            case m.Failed(permanent=True, detail=detail) if (
                isinstance(room, Sink) and room.only_reader_gone and self.shutdown is None
            ):
                return [LogEvent("info", "sink", f"{detail}: nothing is left to do"), *self.stop(now_s)]
            case _:
                return room.handle(message, now_s) + handle_common(room.child, message, now_s)

    def _ever_opened(self, room: Sink | Gateway) -> bool:
        return room.ever_opened if isinstance(room, Sink) else room.address is not None

    def _bus(self, message: object, now_s: float) -> list[Action]:
        match message:
            case e.StickFound(stick=spec) if self.shutdown is None:
                new = [] if spec.id in self.sticks.by_id else [LogEvent("info", spec.id, "is plugged in")]
                return [*new, *self.sticks.found(spec, now_s), *self.sticks.regulate(now_s)]
            case e.StickGone(id=stick, renamed=renamed):
                return self.sticks.gone(stick, now_s, renamed) + self.sticks.regulate(now_s)
            case _:
                return []

    def _client(self, endpoint: Endpoint, message: object, now_s: float) -> list[Action]:
        match message:
            case m.AskSwitch() if len(self.sticks.clusters(now_s)) < 2:
                return [fault_injection.refuse(endpoint, "there is no other cluster to switch to")]
            case m.AskSwitch():
                switches = self.sticks.switches
                actions = self.sticks.regulate(now_s, asked=True)
                if self.sticks.switches > switches:
                    said = fault_injection.answer(endpoint, {"text": f"switched to {', '.join(self.sticks.active)}"})
                elif self.sticks.switch_pending:
                    said = fault_injection.answer(endpoint, {"text": "will switch as soon as the dwell is over"})
                else:
                    said = fault_injection.refuse(endpoint, "every other cluster is too hot; the cool sticks work on")
                return [*actions, said]
            case m.AskFault(kind=kind, stick=stick):
                return fault_injection.make(endpoint, kind, stick, self.sticks, simulated=self.settings.simulated)
            case _:
                return []

    # -- frames

    def _hand_over(self, now_s: float) -> list[Action]:
        """Whatever sticks can take now goes to them, and to the sink what it can take."""
        actions = self.workers.open_due(now_s)
        if any(due_s is not None and now_s >= due_s for due_s in (self.sticks.next_s, self.sticks.reading_deadline_s)):
            actions += self.sticks.regulate(now_s)
        if self.sink is not None:
            actions += self.sink.pump()
            self.dispatcher.hold(ordered=self.sink.outbox.full)
        if not self.ledger.open:
            self.idle_s = now_s
        if self.shutdown is not None and self.shutdown.closing:
            # nothing is handed over any more, so nothing is waited for either
            self.dispatcher.deadline_s = None
            return actions
        return actions + [
            Send(
                Endpoint("worker", unit.stick),
                m.Infer(unit.ticket, unit.graph, unit.frame.ref, self.sticks.by_id[unit.stick].reset_epoch),
            )
            for unit in self.dispatcher.assign(now_s)
            if unit.stick is not None
        ]

    # -- time

    def _tick(self, now_s: float) -> list[Action]:
        stalled = now_s - self._last_tick_s > TICK_S + STALL_S
        self._last_tick_s, self._next_tick_s = now_s, now_s + TICK_S
        actions: list[Action] = []
        if stalled:
            actions.append(
                LogEvent("warning", "daemon", "stood still for a while (stopped, or starved of CPU); nobody is called late for it")
            )
            self.dispatcher.extend_deadlines(now_s)
            self.cameras.extend_deadlines(now_s)
            for child in self.children():
                child.extend_deadlines(now_s)
        actions += self.workers.overdue(now_s)
        for camera in self.cameras.overdue(now_s):
            actions += camera.child.kill(now_s, "no answer in time: it hangs")
        self.sticks.extend_boot_deadlines(now_s)
        for child in self.children():
            actions += child.tick(now_s)
        self.workers.fenced(now_s)
        for camera in self.cameras.by_name.values():
            if camera.child.state is State.FENCED:
                # its slots stay its own: it may still write
                self.cameras.go_without(camera, now_s)
        actions += self.inferences.say(now_s)
        actions += self.sticks.regulate(now_s) + self.sticks.say_size()
        actions += self.cameras.housekeeping(self._listening_workers())
        for camera in self.cameras.by_name.values():
            actions += self.cameras.grant(camera)
        if now_s >= self._next_second_s:
            self._next_second_s = now_s + 1.0
            for camera in self.cameras.by_name.values():
                actions += self.cameras.tell_rates(camera, now_s)
        if self.shutdown is not None:
            actions += self._advance_shutdown(now_s)
        elif self.cameras.finished and not self.ledger.open and self._written():
            actions += [LogEvent("info", "daemon", "all sources have ended and every result is out"), *self.stop(now_s)]
        return actions

    # -- beginning and end

    def _refuse_to_start(self, endpoint: str, detail: str) -> list[Action]:
        """What was configured can never work, and never has: say so and end, rather than try for ever."""
        return [LogEvent("error", endpoint, detail), *killed(self.children()), Exit(EX_CONFIG)]

    def stop(self, now_s: float) -> list[Action]:
        """Drain and end; asked a second time, end at once."""
        if self.shutdown is not None:
            return [LogEvent("warning", "daemon", "asked again: ending at once"), *killed(self.children()), Exit(0)]
        self.shutdown = Shutdown(self._producers(), self._consumers(), now_s)
        self.cameras.stopping = True
        for lane in self.dispatcher.lanes.values():
            # what comes back from a stick that died was under way; in an ordered stream finished frames wait for it
            under_way = [unit for unit in lane.pending if lane.ordered and unit.tried]
            for unit in lane.pending:
                if unit not in under_way:
                    self.ledger.end(unit, DROPPED)
            lane.pending = deque(under_way)
        return [LogEvent("info", "daemon", "stopping: finishing what is under way"), *self._advance_shutdown(now_s)]

    def _advance_shutdown(self, now_s: float) -> list[Action]:
        assert self.shutdown is not None
        if self.ledger.open and self.shutdown.too_late(now_s):
            self._give_up_the_rest(now_s)
        actions = self.shutdown.advance(now_s, drained=lambda: not self.ledger.open, written=self._written)
        if self.sink is not None and self.sink.outbox.kept and any(isinstance(action, Exit) for action in actions):
            kept = self.sink.outbox.kept
            unwritten = f"{kept} result{'' if kept == 1 else 's'} could not be written before the end"
            return [LogEvent("error", "sink", unwritten), *actions]
        return actions

    def _give_up_the_rest(self, now_s: float) -> None:
        """Nobody will finish it. Finished frames of an ordered stream are not held back by those that will not be."""
        for camera in self.cameras.by_name.values():
            self.cameras.go_without(camera, now_s)
        self.dispatcher.abandon()
        for unit in list(self.ledger.open):
            self.cameras.give_up(self.cameras.by_name[unit.stream], unit, "not finished: the daemon was stopped", now_s)

    def _written(self) -> bool:
        return self.sink is None or not self.sink.outbox.kept

    def children(self) -> list[Child]:
        """Every child that is configured."""
        return self._producers() + self._consumers()

    def _producers(self) -> list[Child]:
        """Sources and sticks."""
        cameras = [camera.child for camera in self.cameras.by_name.values()]
        return cameras + [stick.child for stick in self.sticks.by_id.values()]

    def _consumers(self) -> list[Child]:
        """Sink and page."""
        return [room.child for room in (self.sink, self.gateway) if room is not None]

    def _listening_workers(self) -> list[Endpoint]:
        return [stick.child.endpoint for stick in self.sticks.by_id.values() if stick.child.listening]
