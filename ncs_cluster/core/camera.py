"""One camera: the producer of a stream. It owns its process, its frame pools and grants, and the results that wait for distances.

A result goes from the stick to the camera process, which adds distances from the depth plane of the same frame, then to the sinks.
The order of results is decided by `streams`, the size of pools by `frame_pools`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union, assert_never

from msgspec import structs

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, LogEvent, MakePictures, Send
from ncs_cluster.core.child import Child
from ncs_cluster.core.child_messages import accepts, check_protocol, handle_common
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.frame_pools import PICTURE_SLOTS, fits
from ncs_cluster.core.rates import Latency
from ncs_cluster.core.slots import Slots
from ncs_cluster.core.stream import Stream
from ncs_cluster.core.unreadable import CRASHES, Unreadable
from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import Detection, FrameRef, Outcome

if TYPE_CHECKING:
    from ncs_cluster.core.cameras import Cameras

CameraMessage = Union[m.FromCamera, e.ProcessEvent]


class Camera:
    """The process, source and slots of one camera. See stream.Producer."""

    def __init__(self, spec: CameraSpec, cameras: Cameras) -> None:
        self.spec = spec
        self.child = Child(Endpoint("camera", spec.name), spec.runtime, cameras.limits)
        self.stream: Stream | None = None
        """None until the first SourceOpened, which tells whether the source is ordered."""
        self.info: m.SourceOpened | None = None
        self.detail: str | None = None
        """Why there is no signal, for the operator."""
        self.signal = False
        self.ended = False
        self.added = False
        """Configured while the daemon ran, which goes on where the source can never be opened."""
        self.refused = False
        """Its source has never been opened, and another attempt would fail too."""
        self.removed = False
        """No longer configured; deleted once its process and its pools are gone."""
        self.slots: Slots | None = None
        self.retired: list[Slots] = []
        # an earlier run has written the results of those before
        self.next_frame = min(spec.written.values()) + 1 if spec.written else 0
        self.source_from = 0
        """Number of the first frame of its present source."""
        self.starts_over = False
        """Its next process has another source, which begins at its start."""
        self.first = 0
        """Number of its source's first frame: an earlier run has written the results of those before."""
        self.progress: m.SourceProgress | None = None
        """Of a source that counts."""
        self.frames = 0
        self.unreadable = Unreadable()
        self.captured_at = 0.0
        """Unix seconds, when the last frame was captured."""
        self.measuring: dict[int, tuple[Unit, Outcome]] = {}
        self.measuring_since_s = 0.0
        """Since when the oldest result in `measuring` waits for its distances."""
        self.viewers = 0
        self.streamed = True
        """One of the viewers looks at every picture. Without viewers it means nothing."""
        self.sent_rate: m.DetectionRate | None = None
        self.drawing = Latency()
        self.capture_fps = 0.0
        self.preview_fps = 0.0
        self.range_errors: list[float] = []
        self._cameras = cameras

    @property
    def drawn(self) -> bool:
        """Its pictures are shown, on a page or in a window."""
        return self.viewers > 0 or self.spec.window

    @property
    def ordered(self) -> bool:
        return self.spec.ordered or (self.info is not None and self.info.ordered)

    @property
    def ever_opened(self) -> bool:
        return self.info is not None

    @property
    def _may_come_back(self) -> bool:
        """What was open once may be again; but a job, which a later run goes on with, ends where its ledger fails."""
        return self.ever_opened and not self.spec.resumable

    # -- messages of its process

    def handle(self, message: CameraMessage, now_s: float) -> list[Action]:
        child = self.child
        if not accepts(child, message):
            return []
        child.message_received(now_s)
        match message:
            case m.FrameCaptured():
                return self._captured(message, now_s)
            case m.Measured(ticket=ticket, detections=detections):
                self._measured(ticket, detections, now_s)
                return self.grant()
            case m.Drawn(frame=frame, captured_s=captured_s, drawn_s=drawn_s):
                if captured_s:
                    self.drawing.add(drawn_s - captured_s)
                return self._cameras.drawn(self, frame)
            case m.Skipped(frame=frame):
                self.next_frame = max(self.next_frame, frame + 1)
                self.frames += 1
                if self.stream is not None:
                    self._cameras.streams.skip(self.stream)
                return []
            case m.SourceOpened() | m.SourceEnded() | m.SourceLost() if not child.listening:
                # the camera is stopping: its source's state says nothing about the next process's source
                return []
            case m.SourceOpened():
                return self._opened(message, now_s)
            case m.SourceLost(detail=detail):
                return self._lost(detail)
            case m.SourceEnded():
                return [self._end()]
            case m.CameraRates(capture_fps=capture_fps, preview_fps=preview_fps):
                self.capture_fps, self.preview_fps = capture_fps, preview_fps
                # opening a source has no deadline here: the camera process itself detects a library that hangs
                child.extend_opening(now_s)
                return []
            case m.SourceProgress():
                self.progress = message
                return []
            case m.QuitRequested():
                return [] if self._cameras.daemon.stopping else self._cameras.daemon.stop(now_s)
            case m.Hello():
                return check_protocol(child, message, now_s) or self._hello(now_s)
            case m.Failed(permanent=True, detail=detail) if not (self._may_come_back or self._cameras.daemon.stopping):
                # a wrong path, a file that is not a video, a job's damaged ledger: another attempt would fail too
                return self._refused(detail)
            case e.Exited(how=how, code=code, invalid=invalid):
                crashes = self._crashed(how, now_s) if code in CRASHES or invalid else []
                self._exited(now_s)
                return [*crashes, *child.exited(how, now_s)]
            case m.Heartbeat() | m.Phase() | m.Failed() | e.Spawned() | e.SpawnFailed():
                return handle_common(child, message, now_s)
            case _:
                assert_never(message)

    def _hello(self, now_s: float) -> list[Action]:
        self.child.hello(now_s)
        self.sent_rate = None
        # the restarted camera draws "no signal" over the last picture of the process before it
        pictures = [self._cameras.pools.pictures(self, self.child.endpoint)] if self.slots is not None else []
        if self.starts_over:
            self.source_from, self.starts_over = self.next_frame, False
        done = self.next_frame - self.source_from
        return [Send(self.child.endpoint, m.OpenSource(self.spec, self.next_frame, done)), *pictures]

    def _opened(self, info: m.SourceOpened, now_s: float) -> list[Action]:
        """The source delivers frames: a pool is created, or the present one is kept where its size fits."""
        fresh = not self.child.running
        self.child.ready(now_s)
        back = not self.signal
        self.info, self.signal, self.detail, self.refused = info, True, None, False
        if info.first > self.next_frame:
            self.first = self.next_frame = info.first
        if self.stream is None and not self.removed:
            self.stream = self._cameras.open_stream(self)
        pools, workers = self._cameras.pools, self._cameras.workers()
        made: list[Action] = []
        if self.slots is None or not fits(self.slots.layout, info):
            if self.slots is not None:
                self.slots.revoke_grants()
            made += pools.make(self, workers)
            made.append(MakePictures(self.spec.name, PICTURE_SLOTS, info.width, info.height))
            made.append(pools.pictures(self, self.child.endpoint))
        elif fresh:
            made += pools.map(self, [self.child.endpoint])
        events: list[Action] = []
        if fresh or back:
            what = info.description or self.spec.shown
            events.append(LogEvent(self.spec.routine, self.spec.name, f"opened: {what}, {info.width}x{info.height}"))
            if self.spec.background == "remove" and info.depth_scale_m is None:
                events.append(LogEvent("warning", self.spec.name, "gives no depth: the background is not removed"))
        return [*events, *made, *self.grant(), *self._cameras.reopened(self)]

    def _refused(self, detail: str) -> list[Action]:
        """The source can never be opened. The daemon ends when no other can either, and else works on with those."""
        self.refused, self.detail = True, detail
        if not self.added and all(camera.refused for camera in self._cameras.by_name.values()):
            return self._cameras.daemon.refuse(self.spec.name, detail)
        self.child.record_failure(detail, permanent=True)
        return [LogEvent("error", self.spec.name, f"no signal: {detail}")]

    def _captured(self, message: m.FrameCaptured, now_s: float) -> list[Action]:
        ref = message.frame
        slots = self._slots_of(ref.pool)
        wrong = ref.camera != self.spec.name or ref.frame < self.next_frame
        stream = None if self._cameras.stopping or self.removed else self.stream
        holders = 0 if message.error or wrong or stream is None else len(stream.due(ref.frame))
        if slots is None or not slots.written(ref.slot, holders):
            text = f"wrote slot {ref.slot} of pool {ref.pool}, which was not granted: ignored"
            return [LogEvent("error", self.spec.name, text)]
        if wrong:
            text = f"captured frame {ref.frame} of {ref.camera}, expected frame {self.next_frame}: ignored"
            return [LogEvent("error", self.spec.name, text), *self.grant()]
        self.next_frame, self.captured_at = ref.frame + 1, message.captured_at
        self.frames += 1
        if stream is None:
            return []
        events: list[Action] = []
        if message.error:
            events = [LogEvent("warning", self.spec.name, text) for text in self.unreadable.add(message.error, now_s)]
        frame = Frame(
            ref,
            None if message.error else slots,
            message.captured_s,
            message.captured_at,
            message.item,
            message.size,
            message.item_frame,
            message.item_fps,
        )
        self._cameras.streams.offer(stream, frame, error=message.error or None, now_s=now_s)
        return [*events, *self.grant()]

    def _slots_of(self, pool: int) -> Slots | None:
        if self.slots is not None and self.slots.layout.pool == pool:
            return self.slots
        return next((own for own in self.retired if own.layout.pool == pool), None)

    def _end(self) -> LogEvent:
        self.ended = True
        text = f"ended after {self.frames} frame{'' if self.frames == 1 else 's'}"
        if self.unreadable.count:
            return LogEvent("warning", self.spec.name, f"{text}, {self.unreadable.count} of them unreadable")
        return LogEvent(self.spec.routine, self.spec.name, text)

    def _lost(self, detail: str) -> list[Action]:
        edge, self.signal = self.signal or self.detail != detail, False
        self.detail = detail
        return [LogEvent("warning", self.spec.name, f"no signal: {detail}")] if edge else []

    def _crashed(self, how: str, now_s: float) -> list[Action]:
        """A library has crashed the process, or its message was invalid: where every frame counts, the frame it was reading is
        given up in the end."""
        if self.stream is None or not self.stream.ordered or self.ended or not self.signal:
            return []
        why = self.unreadable.crashed(self.next_frame, how)
        if why is None:
            return []
        lost = FrameRef(self.spec.name, 0, 0, self.next_frame, 0, 0)
        self.next_frame += 1
        self.frames += 1
        self.unreadable.count += 1
        self._cameras.streams.offer(self.stream, Frame(lost, None, now_s, self.captured_at, None), error=why, now_s=now_s)
        return [LogEvent("warning", self.spec.name, f"frame {lost.frame} is given up: {why}")]

    def _exited(self, now_s: float) -> None:
        """The process exited: its grants are revoked, and results that wait for distances are published without them."""
        self.signal = False
        for slots in [self.slots, *self.retired]:
            if slots is not None:
                slots.revoke_grants()
        self.publish_unmeasured(now_s)
        if self.ended:
            self.child.stop(now_s)

    # -- results

    def enrich(self, unit: Unit, outcome: Outcome, now_s: float) -> list[Action] | None:
        """Send the result to the camera process, which adds distances and draws it; None: published as it is."""
        if not self.child.listening or self.info is None:
            self.publish_unmeasured(now_s)
            return None
        if not self.measuring:
            if not self.drawn and (self.info.depth_scale_m is None or not outcome.detections):
                return None
            self.measuring_since_s = now_s
        slots, slot = unit.frame.slots, unit.frame.ref.slot
        sent = sum(other.frame is unit.frame for other, _ in self.measuring.values())
        last = slots is None or slots.leases(slot) - sent <= 1
        self.measuring[unit.ticket] = (unit, outcome)
        graph = self._cameras.streams.graphs[unit.graph]
        return [Send(self.child.endpoint, m.Measure(unit.ticket, unit.frame.ref, graph, outcome, last))]

    def _measured(self, ticket: int, detections: list[Detection], now_s: float) -> None:
        if ticket not in self.measuring:
            return
        # Measured messages arrive in the order of Measure: an older ticket that is still open will get none
        while (first := next(iter(self.measuring))) != ticket:
            self._cameras.streams.publish(*self.measuring.pop(first), now_s)
        unit, outcome = self.measuring.pop(ticket)
        self.measuring_since_s = now_s
        for found in detections:
            if found.distance_m is not None and found.true_distance_m:
                self.range_errors.append(abs(found.distance_m - found.true_distance_m) / found.true_distance_m)
        del self.range_errors[:-200]
        self._cameras.streams.publish(unit, structs.replace(outcome, detections=detections), now_s)

    def publish_unmeasured(self, now_s: float) -> None:
        """Publish the results that wait for distances without them."""
        for unit, outcome in self.abandon(now_s):
            self._cameras.streams.publish(unit, outcome, now_s)

    def abandon(self, now_s: float) -> list[tuple[Unit, Outcome]]:
        waiting, self.measuring = self.measuring, {}
        return list(waiting.values())

    def send_detection_rate(self, now_s: float) -> list[Action]:
        """Send the detection rate, which the overlay shows, when it has changed."""
        per_s = self.stream.detection_fps(now_s) if self.stream is not None else 0.0
        rates = m.DetectionRate(round(per_s, 1), self.viewers > 0, self.streamed)
        if not self.child.listening or self.sent_rate == rates:
            return []
        self.sent_rate = rates
        return [Send(self.child.endpoint, rates)]

    # -- slots

    def grant(self) -> list[Action]:
        """Grant free slots, up to `ahead`, which the camera process may write."""
        actions: list[Action] = []
        if self._cameras.stopping or self.removed or self.slots is None or not self.child.running:
            return actions
        stream = self.stream
        # lanes go on in a full window: the frame that the others wait for may be in one of them
        if stream is not None and stream.ordered and (stream.window_full or self._cameras.streams.full(stream)):
            return actions
        while self.slots.granted < self.spec.ahead and (slot := self.slots.grant()) is not None:
            actions.append(Send(self.child.endpoint, m.Grant(self.slots.layout.pool, slot)))
        return actions
