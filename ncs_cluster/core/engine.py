"""The switchboard: an event comes in, the room it concerns decides, actions go out. No rule of its own beyond start and end.

`handle` is the only way to change anything; time is an argument. `deadline_s` says when `handle(OPERATOR, None)`-like `wake` is due
although nothing happens. Told the same events at the same times, it answers the same actions.
"""

from __future__ import annotations

from collections import deque

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core import trouble
from ncs_cluster.core.actions import Action, Exit, Note, Send
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.cameras import Cameras
from ncs_cluster.core.child import Child, Limits, State
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.ending import Ending, killed
from ncs_cluster.core.events import Who
from ncs_cluster.core.hearing import common, greet, heeded
from ncs_cluster.core.inferences import Inferences
from ncs_cluster.core.page import Page
from ncs_cluster.core.sink import Sink
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.core.work import DROPPED, Ledger
from ncs_cluster.core.workers import Workers
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
        self.page = Page(settings.gateway, settings, self.cameras, limits) if settings.gateway else None
        self.idle_s = now_s
        """When there was nothing to do last."""
        self.inferences = Inferences()
        self.workers = Workers(self.sticks, self.cameras, self.dispatcher, self.inferences)
        self.ending: Ending | None = None
        self._next_tick_s = now_s + TICK_S
        self._last_tick_s = now_s
        self._next_second_s = now_s + 1.0

    @property
    def deadline_s(self) -> float:
        """When `wake` is due at the latest."""
        due = [self._next_tick_s, self.dispatcher.deadline_s, self.sticks.next_s, self.sticks.look_s, self.sticks.boots.deadline_s]
        return min(when for when in due if when is not None)

    def start(self, now_s: float) -> list[Action]:
        """Everything that is configured begins."""
        actions: list[Action] = [Note("info", "daemon", text) for text in self.settings.notices]
        for child in self._showing():
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
                actions = self.workers.hear(stick, message, now_s) if stick else []
            case "camera":
                camera = self.cameras.by_name.get(who.name)
                actions = self._camera(camera, message, now_s) if camera else []
            case "sink" | "gateway":
                actions = self._shown(who, message, now_s)
            case "bus":
                actions = self._bus(message, now_s)
            case "client":
                actions = self._client(who, message, now_s)
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
        if not heeded(child, message):
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
                return self.page.drawn(camera, frame) if self.page else []
            case m.Skipped():
                self.cameras.skipped(camera, message)
                return []
            case m.SourceOpened():
                actions = self.cameras.opened(camera, message, self._listening_workers(), now_s)
                return actions + (self.page.reopened(camera) if self.page else [])
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
                return self.stop(now_s) if self.ending is None else []
            case m.Hello():
                return greet(child, message, now_s) or self.cameras.hello(camera, now_s)
            case m.Failed(permanent=True, detail=detail) if camera.info is None and self.ending is None:
                # it was never there: a wrong path or a file that is no video, and it will not become one
                return self._refuse_to_start(camera.spec.name, detail)
            case e.Exited(how=how):
                self.cameras.exited(camera, now_s)
                if camera.ended:
                    child.stop(now_s)
                return child.exited(how, now_s)
            case _:
                return common(child, message, now_s)

    def _shown(self, who: Who, message: object, now_s: float) -> list[Action]:
        """Sink and page."""
        room = self.sink if who.kind == "sink" else self.page
        if room is None or not heeded(room.child, message):
            return []
        room.child.heard(now_s)
        match message:
            case m.Hello():
                return greet(room.child, message, now_s) or room.handle(message, now_s)
            case m.Failed(permanent=True, detail=detail) if self.ending is None and not self._ever_opened(room):
                return self._refuse_to_start(who.kind, detail)
            case m.Failed(permanent=True, detail=detail) if (
                isinstance(room, Sink) and room.only_reader_gone and self.ending is None
            ):
                return [Note("info", "sink", f"{detail}: nothing is left to do"), *self.stop(now_s)]
            case _:
                return room.handle(message, now_s) + common(room.child, message, now_s)

    def _ever_opened(self, room: Sink | Page) -> bool:
        return room.ever_opened if isinstance(room, Sink) else room.address is not None

    def _bus(self, message: object, now_s: float) -> list[Action]:
        match message:
            case e.StickFound(stick=spec) if self.ending is None:
                new = [] if spec.id in self.sticks.by_id else [Note("info", spec.id, "is plugged in")]
                return [*new, *self.sticks.found(spec, now_s), *self.sticks.regulate(now_s)]
            case e.StickGone(id=stick, renamed=renamed):
                return self.sticks.gone(stick, now_s, renamed) + self.sticks.regulate(now_s)
            case _:
                return []

    def _client(self, who: Who, message: object, now_s: float) -> list[Action]:
        match message:
            case m.AskSwitch() if len(self.sticks.clusters(now_s)) < 2:
                return [trouble.refuse(who, "there is no other cluster to switch to")]
            case m.AskSwitch():
                switches = self.sticks.switches
                actions = self.sticks.regulate(now_s, asked=True)
                if self.sticks.switches > switches:
                    said = trouble.answer(who, {"text": f"switched to {', '.join(self.sticks.active)}"})
                elif self.sticks.switch_pending:
                    said = trouble.answer(who, {"text": "will switch as soon as the dwell is over"})
                else:
                    said = trouble.refuse(who, "every other cluster is too hot; the cool sticks work on")
                return [*actions, said]
            case m.AskTrouble(kind=kind, stick=stick):
                return trouble.make(who, kind, stick, self.sticks, simulated=self.settings.simulated)
            case _:
                return []

    # -- frames

    def _hand_over(self, now_s: float) -> list[Action]:
        """Whatever sticks can take now goes to them, and to the sink what it can take."""
        actions = self.workers.open_due(now_s)
        if any(due_s is not None and now_s >= due_s for due_s in (self.sticks.next_s, self.sticks.look_s)):
            actions += self.sticks.regulate(now_s)
        if self.sink is not None:
            actions += self.sink.pump()
            self.dispatcher.hold(ordered=self.sink.outbox.full)
        if not self.ledger.open:
            self.idle_s = now_s
        if self.ending is not None and self.ending.closing:
            # nothing is handed over any more, so nothing is waited for either
            self.dispatcher.deadline_s = None
            return actions
        return actions + [
            Send(Who("worker", unit.stick), m.Infer(unit.ticket, unit.graph, unit.frame.ref, self.sticks.by_id[unit.stick].losses))
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
                Note("warning", "daemon", "stood still for a while (stopped, or starved of CPU); nobody is called late for it")
            )
            self.dispatcher.forgive(now_s)
            self.cameras.forgive(now_s)
            for child in self.children():
                child.forgive(now_s)
        actions += self.workers.overdue(now_s)
        for camera in self.cameras.overdue(now_s):
            actions += camera.child.kill(now_s, "no answer in time: it hangs")
        self.sticks.bear_with(now_s)
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
        if self.ending is not None:
            actions += self._go_on_ending(now_s)
        elif self.cameras.finished and not self.ledger.open and self._written():
            actions += [Note("info", "daemon", "all sources have ended and every result is out"), *self.stop(now_s)]
        return actions

    # -- beginning and end

    def _refuse_to_start(self, who: str, detail: str) -> list[Action]:
        """What was configured can never work, and never has: say so and end, rather than try for ever."""
        return [Note("error", who, detail), *killed(self.children()), Exit(EX_CONFIG)]

    def stop(self, now_s: float) -> list[Action]:
        """Drain and end; asked a second time, end at once."""
        if self.ending is not None:
            return [Note("warning", "daemon", "asked again: ending at once"), *killed(self.children()), Exit(0)]
        self.ending = Ending(self._doing(), self._showing(), now_s)
        self.cameras.stopping = True
        for lane in self.dispatcher.lanes.values():
            # what comes back from a stick that died was under way; in an ordered stream finished frames wait for it
            under_way = [unit for unit in lane.pending if lane.ordered and unit.tried]
            for unit in lane.pending:
                if unit not in under_way:
                    self.ledger.end(unit, DROPPED)
            lane.pending = deque(under_way)
        return [Note("info", "daemon", "stopping: finishing what is under way"), *self._go_on_ending(now_s)]

    def _go_on_ending(self, now_s: float) -> list[Action]:
        assert self.ending is not None
        if self.ledger.open and self.ending.too_late(now_s):
            self._give_up_the_rest(now_s)
        actions = self.ending.go_on(now_s, drained=lambda: not self.ledger.open, written=self._written)
        if self.sink is not None and self.sink.outbox.kept and any(isinstance(action, Exit) for action in actions):
            kept = self.sink.outbox.kept
            unwritten = f"{kept} result{'' if kept == 1 else 's'} could not be written before the end"
            return [Note("error", "sink", unwritten), *actions]
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
        return self._doing() + self._showing()

    def _doing(self) -> list[Child]:
        """Sources and sticks."""
        cameras = [camera.child for camera in self.cameras.by_name.values()]
        return cameras + [stick.child for stick in self.sticks.by_id.values()]

    def _showing(self) -> list[Child]:
        """Sink and page."""
        return [room.child for room in (self.sink, self.page) if room is not None]

    def _listening_workers(self) -> list[Who]:
        return [stick.child.who for stick in self.sticks.by_id.values() if stick.child.listening]
