"""All cameras: their processes, their grants, and the way of each frame from capture to its published result."""

from __future__ import annotations

from ncs_cluster.core.actions import Action, LogEvent, MakePictures, Send
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.child import Limits
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.outbox import Outbox
from ncs_cluster.core.pools import GRANTS, PICTURE_SLOTS, Pools, fits
from ncs_cluster.core.publish import LiveOrder, Reorder, record
from ncs_cluster.core.work import GIVEN_UP, LATE, RESULT, Frame, Ledger, Unit
from ncs_cluster.messages import (
    FrameCaptured,
    Grant,
    Measure,
    OpenSource,
    Rates,
    Skipped,
    SourceOpened,
)
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import Detection, Outcome


class Cameras:
    """The streams of the house."""

    def __init__(self, graphs: list[str], dispatcher: Dispatcher, ledger: Ledger, outbox: Outbox | None, limits: Limits) -> None:
        self.by_name: dict[str, Camera] = {}
        self.graphs = graphs or ["none"]
        """Without a graph (simulated sticks that only take time) each frame is one unit all the same."""
        self.pools = Pools(len(self.graphs), dispatcher)
        self.stopping = False
        self._dispatcher = dispatcher
        self._ledger = ledger
        self._outbox = outbox
        self._limits = limits

    def add(self, spec: CameraSpec, now_s: float) -> list[Action]:
        camera = Camera(spec, self._limits)
        self.by_name[spec.name] = camera
        return camera.child.start(now_s)

    # -- what a camera says

    def hello(self, camera: Camera, now_s: float) -> list[Action]:
        camera.child.hello(now_s)
        camera.told = None
        # to say "no signal" where the pictures of the one before it still stand
        pictures = [self.pools.pictures(camera, camera.child.endpoint)] if camera.slots is not None else []
        return [Send(camera.child.endpoint, OpenSource(camera.spec, camera.next_frame)), *pictures]

    def opened(self, camera: Camera, info: SourceOpened, workers: list[Endpoint], now_s: float) -> list[Action]:
        """The source gives frames: its pool is made, or the old one goes on where the size is the same."""
        fresh = not camera.child.running
        camera.child.ready(now_s)
        first, back = camera.info is None, not camera.signal
        camera.info, camera.signal, camera.detail = info, True, None
        if first:
            self._dispatcher.add_stream(camera.spec.name, len(self.graphs), camera.spec.weight, ordered=camera.ordered)
        if camera.slots is None or not fits(camera.slots.layout, info):
            if camera.slots is not None:
                camera.slots.revoke_grants()
            made = self.pools.make(camera, workers)
            made.append(MakePictures(camera.spec.name, PICTURE_SLOTS, info.width, info.height))
            made.append(self.pools.pictures(camera, camera.child.endpoint))
        elif fresh:
            made = self.pools.map(camera, [camera.child.endpoint])
        else:
            made = []
        notes: list[Action] = []
        if fresh or back:
            what = info.description or camera.spec.shown
            notes.append(LogEvent("info", camera.spec.name, f"gives pictures: {what}, {info.width}x{info.height}"))
        return notes + made + self.grant(camera)

    def captured(self, camera: Camera, message: FrameCaptured, now_s: float) -> list[Action]:
        ref = message.frame
        slots = next((own for own in [camera.slots, *camera.retired] if own is not None and own.layout.pool == ref.pool), None)
        lies = ref.camera != camera.spec.name or ref.frame < camera.next_frame
        holders = 0 if message.error or self.stopping or lies else len(self.graphs)
        if slots is None or not slots.written(ref.slot, holders):
            text = f"says it wrote slot {ref.slot} of pool {ref.pool}, which was not granted: ignored"
            return [LogEvent("error", camera.spec.name, text)]
        if lies:
            text = f"says it captured frame {ref.frame} of {ref.camera}: ignored, frame {camera.next_frame} comes next"
            return [LogEvent("error", camera.spec.name, text), *self.grant(camera)]
        camera.next_frame = ref.frame + 1
        camera.frames += 1
        if self.stopping:
            return []
        said: list[Action] = []
        if message.error:
            camera.unreadable += 1
            said = [LogEvent("warning", camera.spec.name, f"cannot be read: {message.error}")] if camera.reads else []
        camera.reads = not message.error
        pixels = None if message.error else slots
        frame = Frame(ref, pixels, message.captured_s, message.captured_at, message.item)
        for graph in range(len(self.graphs)):
            unit = Unit(camera.spec.name, frame, graph)
            if camera.ordered:
                self._reorder(camera, graph).expect(ref.frame)
            if message.error:
                self._ledger.begin(unit)
                self.give_up(camera, unit, message.error, now_s)
            else:
                self._dispatcher.offer(unit)
        return [*said, *self.grant(camera)]

    def skipped(self, camera: Camera, message: Skipped) -> None:
        camera.next_frame = max(camera.next_frame, message.frame + 1)
        camera.frames += 1
        self._ledger.skip(camera.spec.name, len(self.graphs))

    def ended(self, camera: Camera) -> list[Action]:
        camera.ended = True
        text = f"has ended after {camera.frames} frame{'' if camera.frames == 1 else 's'}"
        if camera.unreadable:
            return [LogEvent("warning", camera.spec.name, f"{text}, {camera.unreadable} of which could not be read")]
        return [LogEvent("info", camera.spec.name, text)]

    def lost(self, camera: Camera, detail: str) -> list[Action]:
        was, camera.signal = camera.signal or camera.detail != detail, False
        camera.detail = detail
        return [LogEvent("warning", camera.spec.name, f"no signal: {detail}")] if was else []

    def exited(self, camera: Camera, now_s: float) -> None:
        """What it was about to write is free again."""
        camera.signal = False
        for slots in [camera.slots, *camera.retired]:
            if slots is not None:
                slots.revoke_grants()
        self.go_without(camera, now_s)

    # -- the way of a result

    def inferred(self, unit: Unit, outcome: Outcome, now_s: float) -> list[Action]:
        """A stick has answered: late ones end here, the others go to the camera for their distances."""
        camera = self.by_name[unit.stream]
        if outcome.error is not None:
            self.give_up(camera, unit, outcome.error, now_s)
            return []
        if not camera.ordered and not camera.orders.setdefault(unit.graph, LiveOrder()).newer(unit):
            self._ledger.end(unit, LATE)
            return []
        if not camera.child.listening or camera.info is None:
            self.go_without(camera, now_s)
            self.publish(camera, unit, outcome, now_s)
            return []
        if not camera.measuring:
            if not camera.drawn and (camera.info.depth_scale_m is None or not outcome.detections):
                # nothing to measure, and nobody to draw it for: the camera need not hear of it
                self.publish(camera, unit, outcome, now_s)
                return []
            camera.measuring_since_s = now_s
        camera.measuring[unit.ticket] = (unit, outcome)
        return [Send(camera.child.endpoint, Measure(unit.ticket, unit.frame.ref, self.graphs[unit.graph], outcome))]

    def measured(self, camera: Camera, ticket: int, detections: list[Detection], now_s: float) -> None:
        if ticket not in camera.measuring:
            return
        # answers come in the order of the questions: what was passed over will not be answered any more
        while (first := next(iter(camera.measuring))) != ticket:
            self.publish(camera, *camera.measuring.pop(first), now_s)
        unit, outcome = camera.measuring.pop(ticket)
        camera.measuring_since_s = now_s
        for found in detections:
            if found.distance_m is not None and found.true_distance_m:
                camera.range_errors.append(abs(found.distance_m - found.true_distance_m) / found.true_distance_m)
        del camera.range_errors[:-200]
        self.publish(camera, unit, Outcome(detections, outcome.classes, outcome.error), now_s)

    def go_without(self, camera: Camera, now_s: float) -> None:
        """What waited for its distances goes on without them."""
        waiting, camera.measuring = camera.measuring, {}
        for unit, outcome in waiting.values():
            self.publish(camera, unit, outcome, now_s)

    def overdue(self, now_s: float) -> list[Camera]:
        """Cameras that go on capturing and do not answer any more."""
        late_s = now_s - self._limits.silent_s
        return [camera for camera in self.by_name.values() if camera.measuring and camera.measuring_since_s < late_s]

    def extend_deadlines(self, now_s: float) -> None:
        """The supervisor itself was stopped for a while: nobody is late."""
        for camera in self.by_name.values():
            camera.measuring_since_s = now_s

    def publish(self, camera: Camera, unit: Unit, outcome: Outcome, now_s: float) -> None:
        if not self._ledger.end(unit, RESULT):
            return
        camera.detection.count(now_s)
        camera.latency.add(now_s - unit.frame.captured_s)
        self._in_turn(camera, unit, outcome, now_s)

    def give_up(self, camera: Camera, unit: Unit, error: str, now_s: float) -> None:
        """It ends without a result. In an ordered stream its record says why; a live one just goes on."""
        if self._ledger.end(unit, GIVEN_UP) and camera.ordered:
            self._in_turn(camera, unit, Outcome(error=error), now_s)

    def _in_turn(self, camera: Camera, unit: Unit, outcome: Outcome, now_s: float) -> None:
        ready = self._reorder(camera, unit.graph).finished(unit, outcome) if camera.ordered else [(unit, outcome)]
        for each, said in ready:
            if each.number <= camera.published.get(each.graph, -1):
                self._ledger.out_of_order += 1
            camera.published[each.graph] = each.number
            if self._outbox is not None:
                latency_s = None if said.error is not None else now_s - each.frame.captured_s
                self._outbox.put(record(each, self.graphs[each.graph], said, latency_s), live=not camera.ordered)

    def _reorder(self, camera: Camera, graph: int) -> Reorder:
        return camera.reorders.setdefault(graph, Reorder())

    def tell_rates(self, camera: Camera, now_s: float) -> list[Action]:
        """For the overlay, when it has changed."""
        rates = Rates(round(camera.detection.per_s(now_s), 1), camera.viewers > 0)
        if not camera.child.listening or camera.told == rates:
            return []
        camera.told = rates
        return [Send(camera.child.endpoint, rates)]

    # -- slots

    def grant(self, camera: Camera) -> list[Action]:
        """Let the camera write ahead, as far as slots are free."""
        actions: list[Action] = []
        if self.stopping or camera.slots is None or not camera.child.running:
            return actions
        if camera.ordered and self._outbox is not None and self._outbox.full:
            return actions
        while camera.slots.granted < GRANTS and (slot := camera.slots.grant()) is not None:
            actions.append(Send(camera.child.endpoint, Grant(camera.slots.layout.pool, slot)))
        return actions

    def housekeeping(self, workers: list[Endpoint]) -> list[Action]:
        """Retired pools that nobody needs go; a pool that has become too small for the sticks there are now is replaced."""
        actions: list[Action] = []
        for camera in self.by_name.values():
            actions += self.pools.drop_idle(camera, workers)
            if self.pools.too_small(camera):
                actions += self.pools.make(camera, workers) + self.grant(camera)
        return actions

    @property
    def finished(self) -> bool:
        """All streams have come to their end."""
        return bool(self.by_name) and all(camera.ended for camera in self.by_name.values())
