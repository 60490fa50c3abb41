"""An engine whose sticks and cameras are brought up by hand, and its status picture: for tests of exact values."""

from __future__ import annotations

from ncs_cluster import messages as m
from ncs_cluster import status as s
from ncs_cluster.core import report
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import Endpoint, Spawned
from ncs_cluster.core.regulator import Regulator
from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.specs import Settings
from ncs_cluster.status import LatencyStatus
from ncs_cluster.testing.world import installation
from ncs_cluster.types import CameraName, FrameRef

NOW_S, NOW_AT = 1002.1, 1.7e9
CAMERA = Endpoint("camera", "cam0")
NOTHING = LatencyStatus(None, None)


def drawn(engine: Engine, now_s: float = NOW_S, usage: dict[int, tuple[float, float]] | None = None) -> s.Status:
    """Its status; every child that runs has just sent a heartbeat."""
    for child in engine.children():
        child.message_received(now_s)
    return report.status(engine, now_s, NOW_AT, version="1.2.3", pid=7, machine=None, usage=usage or {})


def started(settings: Settings) -> Engine:
    engine = Engine(settings, 1000.0)
    engine.start(1000.0)
    return engine


def sinks_up(engine: Engine) -> None:
    for sink in engine.sinks.by_name.values():
        engine.handle(sink.child.endpoint, m.Hello(m.PROTOCOL, 22, "3.11"), 1000.0)
        engine.handle(sink.child.endpoint, m.SinkOpened(0, b""), 1000.0)


def stick_up(engine: Engine, name: str = "sim-1", temperature_c: float = 40.0, now_s: float = 1001.0) -> None:
    """Its worker runs and has told a temperature."""
    endpoint, pid = Endpoint("worker", name), 10 + int(name[-1])
    engine.handle(endpoint, Spawned(pid), 1000.0)
    engine.handle(endpoint, m.Hello(m.PROTOCOL, pid, "3.11"), 1000.0)
    engine.handle(endpoint, m.StickOpened("virtual", True, 4, "fw"), 1000.0)
    engine.handle(endpoint, m.Telemetry(temperature_c, 1), now_s)


def camera_up(engine: Engine, depth_scale_m: float | None = None) -> None:
    engine.handle(CAMERA, m.Hello(m.PROTOCOL, 21, "3.11"), 1000.0)
    engine.handle(CAMERA, m.SourceOpened(640, 480, 30.0, depth_scale_m, False, False, ""), 1000.0)


def regulator(engine: Engine) -> Regulator:
    """Of the only pool."""
    return engine.workers.regulators["default"]


def at_work(settings: Settings | None = None) -> Engine:
    """One stick, one camera and the sink that run; nothing to complain of."""
    engine = started(settings or installation(1))
    sinks_up(engine)
    stick_up(engine)
    camera_up(engine)
    return engine


def a_unit(graph: int = 0) -> Unit:
    return Unit("cam0", Frame(FrameRef(CameraName("cam0"), 1, 0, 0, 640, 480), None, 1001.0, NOW_AT, None), graph)
