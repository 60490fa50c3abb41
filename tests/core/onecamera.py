"""A camera, its slots, its lanes and an outbox, without an engine around them: for tests of exact actions."""

from __future__ import annotations

from ncs_cluster.core.actions import Action, Send, Spawn
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.cameras import Cameras
from ncs_cluster.core.child import Limits
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.outbox import Outbox
from ncs_cluster.core.slots import Slots
from ncs_cluster.core.work import Count, Frame, Ledger, Unit
from ncs_cluster.messages import (
    FrameCaptured,
    Grant,
    MapPictures,
    SourceOpened,
)
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import CameraName, Detection, FrameRef, Outcome, StickId

NAME = CameraName("cam0")
CAMERA, WORKER = Endpoint("camera", "cam0"), Endpoint("worker", "sim-1")
BALL = Detection("ball", 1, 0.9, (0.0, 0.0, 1.0, 1.0))
FOUND = Outcome([BALL])


def info(width: int = 640, height: int = 480, *, depth_scale_m: float | None = None, description: str = "") -> SourceOpened:
    return SourceOpened(width, height, 30.0, depth_scale_m, False, False, description)


def ref(frame: int, slot: int = 0, pool: int = 1, camera: str = "cam0") -> FrameRef:
    return FrameRef(CameraName(camera), pool, slot, frame, 640, 480)


def captured(frame: int, slot: int = 0, pool: int = 1, *, camera: str = "cam0", error: str | None = None) -> FrameCaptured:
    return FrameCaptured(ref(frame, slot, pool, camera), 10.0, 1.7e9, f"{frame}.png", error)


def granted(*slots: int, pool: int = 1) -> list[Action]:
    return [Send(CAMERA, Grant(pool, slot)) for slot in slots]


def pictures(width: int = 640, height: int = 480) -> Action:
    return Send(CAMERA, MapPictures(NAME, 4, width, height), pictures=NAME)


class House:
    """One camera with what stands around it."""

    def __init__(
        self, graphs: tuple[str, ...] = ("demo",), *, ordered: bool = False, window: bool = False, sink: bool = True
    ) -> None:
        self.ledger = Ledger()
        self.dispatcher = Dispatcher(self.ledger)
        self.outbox = Outbox()
        self.outbox.opened(0)
        self.cameras = Cameras(list(graphs), self.dispatcher, self.ledger, self.outbox if sink else None, Limits())
        self.spec = CameraSpec(NAME, "synthetic", {}, "a scene", weight=2.0, ordered=ordered, window=window)
        assert self.cameras.add(self.spec, 0.0) == [Spawn(CAMERA, "default")]
        self.camera: Camera = self.cameras.by_name["cam0"]

    def open(self, source: SourceOpened | None = None) -> House:
        self.cameras.hello(self.camera, 0.0)
        self.cameras.opened(self.camera, source or info(), [], 0.0)
        return self

    @property
    def slots(self) -> Slots:
        assert self.camera.slots is not None
        return self.camera.slots

    @property
    def pending(self) -> list[tuple[int, int]]:
        """(graph, frame) of what waits for a stick."""
        return [(unit.graph, unit.number) for lane in self.dispatcher.lanes.values() for unit in lane.pending]

    @property
    def records(self) -> list[bytes]:
        """What was put into the outbox since the last look."""
        return [line for _, line in self.outbox.sendable()]

    def counted(self, **ends: int) -> bool:
        return self.ledger.count("cam0") == Count(**ends)

    def unit(self, frame: int, ticket: int = 0, graph: int = 0) -> Unit:
        """One that a stick has had in hand since 10.0."""
        made = Unit("cam0", Frame(ref(frame), None, 10.0, 1.7e9, None), graph)
        made.ticket, made.stick = ticket or frame + 100, StickId("sim-1")
        self.ledger.begin(made)
        return made
