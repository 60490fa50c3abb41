"""An engine that started at 100 s with its children, and a clock: for tests of exact events and actions."""

from __future__ import annotations

from collections.abc import Container

import msgspec

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action, Kill, LogEvent, Send
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.work import Count
from ncs_cluster.specs import Settings
from ncs_cluster.testing.world import installation
from ncs_cluster.types import CameraName, Detection, FrameRef, Outcome, PoolLayout, Record

CAM0 = CameraName("cam0")
CAMERA, CLIENT, ONE, TWO = (
    Endpoint("camera", "cam0"),
    Endpoint("client", "1"),
    Endpoint("worker", "sim-1"),
    Endpoint("worker", "sim-2"),
)
HELLO = m.Hello(m.PROTOCOL, 77, "3.11")
OPENED = m.SourceOpened(640, 480, 30.0, None, False, False, "a scene")
POOL = PoolLayout(1, 30, 640, 480)
RING = m.MapPictures(CAM0, 4, 640, 480)
HANGS = "no result in time: stick hangs"
FOUND = Detection("cat", 1, 0.9, (0.0, 0.0, 1.0, 1.0))
RECORD = Record("cam0", 0, 1.7e9, None, "sim-1", "demo", 0.1, Outcome())
STOPPING = LogEvent("info", "daemon", "stopping: finishing frames in flight")


class Daemon:
    """An engine that started at 100 s, and a clock."""

    def __init__(self, settings: Settings, *, ordered: bool = False) -> None:
        cameras = [msgspec.structs.replace(camera, ordered=ordered) for camera in settings.cameras]
        self.engine = Engine(msgspec.structs.replace(settings, cameras=cameras), 100.0)
        self.now_s = 100.0
        self.started = self.engine.start(100.0)

    def receive(self, endpoint: Endpoint, message: object) -> list[Action]:
        return self.engine.handle(endpoint, message, self.now_s)

    def open(self, *whom: Endpoint) -> list[Action]:
        """They say hello, then that they are ready."""
        actions: list[Action] = []
        ready = {
            "worker": m.StickOpened("a device", False, 2),
            "camera": OPENED,
            "sink": m.SinkOpened(0, b"0"),
            "gateway": m.GatewayOpened("127.0.0.1", 8080),
        }
        for endpoint in whom:
            actions += self.receive(endpoint, HELLO) + self.receive(endpoint, ready[endpoint.kind])
        return actions

    def run(self, until_s: float, silent: Container[Endpoint] = ()) -> list[Action]:
        """A tick each quarter of a second; who is not silent is heard each time."""
        actions: list[Action] = []
        while self.now_s < until_s:
            self.now_s += 0.25
            for child in self.engine.children():
                if child.running and child.endpoint not in silent:
                    actions += self.receive(child.endpoint, m.Heartbeat())
            actions += self.engine.wake(self.now_s)
        return actions

    def capture(self, frame: int) -> list[Action]:
        return self.receive(CAMERA, m.FrameCaptured(ref(frame), self.now_s, 1.7e9))

    @property
    def camera(self) -> Camera:
        return self.engine.cameras.by_name["cam0"]

    @property
    def count(self) -> Count:
        return self.engine.tally.count("cam0")


def ref(frame: int) -> FrameRef:
    """Frames are written into the slots in turn."""
    return FrameRef(CAM0, 1, frame, frame, 640, 480)


def grant(slot: int) -> Send:
    return Send(CAMERA, m.Grant(1, slot))


def infer(ticket: int, frame: int, endpoint: Endpoint = ONE, reset_epoch: int = 0) -> Send:
    return Send(endpoint, m.Infer(ticket, 0, ref(frame), reset_epoch))


def killed(endpoint: Endpoint, why: str) -> list[Action]:
    return [LogEvent("warning", str(endpoint), f"killed: {why}"), Kill(endpoint)]


def running(*, ordered: bool = False, gateway: bool = False, results: bool = True, sticks: int = 1) -> Daemon:
    """Everything is open and a second has passed."""
    daemon = Daemon(installation(sticks, gateway=gateway, results=results), ordered=ordered)
    daemon.open(*(child.endpoint for child in daemon.engine.children()))
    assert daemon.run(101.0) == [Send(CAMERA, m.DetectionRate(0.0, False))]
    return daemon
