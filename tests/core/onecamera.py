"""A camera, its slots, its stream and a sink, without an engine around them: for tests of exact actions."""

from __future__ import annotations

from typing import cast

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action, LogEvent, Send, Spawn
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.cameras import Cameras
from ncs_cluster.core.child import Limits
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.gateway import Gateway
from ncs_cluster.core.intake import Intake
from ncs_cluster.core.outbox import Outbox
from ncs_cluster.core.sinks import Sinks
from ncs_cluster.core.slots import Slots
from ncs_cluster.core.stream import Stream
from ncs_cluster.core.streams import Streams
from ncs_cluster.core.work import Count, Frame, Tally, Unit
from ncs_cluster.specs import CameraSpec, GatewaySpec, SinkSpec
from ncs_cluster.testing.world import installation
from ncs_cluster.types import CameraName, Detection, FrameRef, Outcome, Record, StickId

NAME = CameraName("cam0")
CAMERA, WORKER = Endpoint("camera", "cam0"), Endpoint("worker", "sim-1")
BALL = Detection("ball", 1, 0.9, (0.0, 0.0, 1.0, 1.0))
FOUND = Outcome([BALL])
HELLO = m.Hello(m.PROTOCOL, 7, "3.11")


class FakeDaemon:
    """See core.daemon.Daemon."""

    def __init__(self) -> None:
        self.stopping = False
        self.asked: list[object] = []
        """Times at which it was asked to stop, and what it refused."""

    def stop(self, now_s: float) -> list[Action]:
        self.asked.append(now_s)
        return [STOPPED]

    def refuse(self, origin: str, detail: str) -> list[Action]:
        self.asked.append((origin, detail))
        return [REFUSED]


STOPPED, REFUSED = Spawn(Endpoint("client"), "stop"), Spawn(Endpoint("client"), "refuse")
"""Stand for the actions of the daemon, which are none of a camera or sink."""


def info(width: int = 640, height: int = 480, *, depth_scale_m: float | None = None, description: str = "") -> m.SourceOpened:
    return m.SourceOpened(width, height, 30.0, depth_scale_m, False, False, description)


def ref(frame: int, slot: int = 0, pool: int = 1, camera: str = "cam0") -> FrameRef:
    return FrameRef(CameraName(camera), pool, slot, frame, 640, 480)


def captured(frame: int, slot: int = 0, pool: int = 1, *, camera: str = "cam0", error: str | None = None) -> m.FrameCaptured:
    return m.FrameCaptured(ref(frame, slot, pool, camera), 10.0, 1.7e9, f"{frame}.png", error)


def granted(*slots: int, pool: int = 1) -> list[Action]:
    return [Send(CAMERA, m.Grant(pool, slot)) for slot in slots]


def pictures(width: int = 640, height: int = 480) -> Action:
    return Send(CAMERA, m.MapPictures(NAME, 4, width, height), pictures=NAME)


def measure(unit: Unit, outcome: Outcome = FOUND, graph: str = "demo") -> list[Action]:
    return [Send(CAMERA, m.Measure(unit.ticket, unit.frame.ref, graph, outcome))]


def record(unit: Unit, graph: str, outcome: Outcome, latency_s: float | None) -> Record:
    return Record(unit.stream, unit.number, unit.frame.captured_at, unit.frame.item, unit.stick, graph, latency_s, outcome)


def opened_outbox(outbox: Outbox) -> Outbox:
    outbox.opened(0, b"")
    return outbox


class CameraSetup:
    """One camera with streams, dispatcher, a sink and a gateway."""

    def __init__(
        self,
        graphs: tuple[str, ...] = ("demo",),
        *,
        ordered: bool = False,
        window: bool = False,
        sinks: tuple[str, ...] = ("",),
        workers: tuple[Endpoint, ...] = (),
    ) -> None:
        self.daemon = FakeDaemon()
        self.tally = Tally()
        self.dispatcher = Dispatcher(self.tally)
        self.sinks = Sinks([SinkSpec("jsonl", {}, name, name) for name in sinks], self.daemon, Limits())
        for sink in self.sinks.by_name.values():
            opened_outbox(sink.outbox)
        self.streams = Streams(graphs, self.dispatcher, self.tally, self.sinks)
        self.workers = list(workers)
        self.cameras = Cameras(self.streams, self.dispatcher, lambda: self.workers, self.daemon, Limits())
        self.spec = CameraSpec(NAME, "synthetic", {}, "a scene", weight=2.0, ordered=ordered, window=window)
        assert self.cameras.add(self.spec, 0.0) == [Spawn(CAMERA, "default")]
        self.camera: Camera = self.cameras.by_name["cam0"]

    def receive(self, message: object, now_s: float = 10.0) -> list[Action]:
        """What the camera says, or is heard of its process."""
        return self.camera.handle(message, now_s)  # type: ignore[arg-type]

    def open(self, source: m.SourceOpened | None = None) -> CameraSetup:
        self.receive(HELLO, 0.0)
        self.receive(source or info(), 0.0)
        return self

    def inferred(self, unit: Unit, outcome: Outcome, now_s: float, latency_s: float = 0.25) -> list[Action]:
        """A stick has answered."""
        return self.streams.inferred(unit, outcome, latency_s, now_s)

    @property
    def stream(self) -> Stream:
        assert self.camera.stream is not None
        return self.camera.stream

    @property
    def slots(self) -> Slots:
        assert self.camera.slots is not None
        return self.camera.slots

    @property
    def outbox(self) -> Outbox:
        return self.sinks.by_name[""].outbox

    @property
    def pending(self) -> list[tuple[int, int]]:
        """(graph, frame) of what waits for a stick."""
        return [(unit.graph, unit.number) for lane in self.dispatcher.lanes.values() for unit in lane.pending]

    @property
    def records(self) -> list[Record]:
        """What was put into the outbox since the last look."""
        return [each for _, each in self.outbox.sendable()]

    def counted(self, **ends: int) -> bool:
        return self.tally.count("cam0") == Count(**ends)

    def unit(self, frame: int, ticket: int = 0, graph: int = 0) -> Unit:
        """One that a stick has had in hand since 10.0; its turn has come in an ordered stream."""
        made = Unit("cam0", Frame(ref(frame), None, 10.0, 1.7e9, None), graph)
        made.ticket, made.stick = ticket or frame + 100, StickId("sim-1")
        self.tally.begin(made)
        if self.camera.stream is not None and self.camera.stream.ordered:
            self.camera.stream.reorders[graph].expect(frame)
        return made

    def on_stick(self, frame: int, graph: int = 0) -> Unit:
        """The same, and the stream knows of it: later results wait for it."""
        made = self.unit(frame, graph=graph)
        self.streams.sent(made)
        return made


class FakeIntake:
    """What a gateway sees of its intake."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def handle(self, message: object, now_s: float) -> list[Action]:
        self.heard.append(message)
        return [LogEvent("info", "intake", "heard")]

    def lost(self) -> None:
        self.heard.append("lost")


def with_page(setup: CameraSetup) -> CameraSetup:
    """A gateway that runs."""
    cameras = setup.cameras
    gateway = Gateway(
        GatewaySpec("127.0.0.1", 8080),
        installation(gateway=True),
        setup.daemon,
        Limits(),
        rings=cameras.rings,
        set_viewers=cameras.set_viewers,
        intake=cast("Intake", FakeIntake()),
    )
    gateway.child.start(0.0)
    gateway.child.hello(0.0)
    gateway.child.ready(0.0)
    cameras.gateway = gateway
    return setup
