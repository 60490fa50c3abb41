"""A host is drained only once every process that takes work of other hosts takes none, and none is in hand."""

from __future__ import annotations

from msgspec.structs import replace

from ncs_cluster import messages as m
from ncs_cluster.core.actions import LogEvent, MakePool
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import Endpoint, Exited
from ncs_cluster.specs import IntakeSpec, SinkSpec
from ncs_cluster.status import FleetStatus
from ncs_cluster.testing.world import installation
from ncs_cluster.types import CameraName, FrameRef, GraphName
from tests.core.oneengine import drawn, stick_up

FLEET, CHUNKS, OVERFLOW = Endpoint("sink", "fleet"), Endpoint("sink", "chunks"), Endpoint("intake", "overflow")
HELLO = m.Hello(m.PROTOCOL, 7, "3.11")
SERVER = "nats://server:4222"
SINKS = [
    SinkSpec("fleet", {"node": "attic"}, SERVER, "fleet"),
    SinkSpec("chunks", {}, SERVER, "chunks", records=False),
]


def started(*, whole: bool = True) -> Engine:
    """With everything that takes work of other hosts, or with the announcement alone."""
    intakes = [IntakeSpec("overflow", {}, SERVER)] * whole
    settings = replace(installation(1, results=False, cameras=()), sinks=SINKS if whole else SINKS[:1], intakes=intakes)
    engine = Engine(settings, 1000.0)
    engine.start(1000.0)
    stick_up(engine)
    for sink in (FLEET, CHUNKS)[: 1 + whole]:
        engine.handle(sink, HELLO, 1000.0)
        engine.handle(sink, m.SinkOpened(0), 1000.0)
    if whole:
        engine.handle(OVERFLOW, HELLO, 1000.0)
        engine.handle(OVERFLOW, m.IntakeReady(SERVER), 1000.0)
    return engine


def told(engine: Engine, *whom: Endpoint, drained: bool | None = True, in_hand: int = 0) -> None:
    for endpoint in whom:
        engine.handle(endpoint, m.WorkTold(drained, in_hand if endpoint == CHUNKS else 0), 1001.0)


def shown(engine: Engine) -> FleetStatus:
    fleet = drawn(engine, 1001.0).fleet
    assert fleet is not None
    return fleet


def test_a_daemon_without_a_server_has_nothing_to_tell_and_one_that_has_not_asked_yet_does_not_know() -> None:
    assert drawn(Engine(installation(1), 1000.0), 1001.0).fleet is None
    assert shown(started()) == FleetStatus("attic", SERVER, None, 0, 0)


def test_it_is_draining_until_all_its_processes_take_nothing_and_no_chunk_is_left() -> None:
    engine = started()
    told(engine, FLEET, CHUNKS, OVERFLOW, drained=False, in_hand=2)
    assert shown(engine) == FleetStatus("attic", SERVER, "no", 2, 0)
    told(engine, FLEET)
    assert shown(engine).drain == "draining"
    told(engine, CHUNKS, in_hand=1)
    told(engine, OVERFLOW)
    assert shown(engine) == FleetStatus("attic", SERVER, "draining", 1, 0)
    told(engine, CHUNKS)
    assert shown(engine).drain == "drained"
    # its next process has not told yet what it finds in its folder
    engine.handle(CHUNKS, Exited("killed by SIGKILL", -9), 1002.0)
    assert shown(engine).drain == "draining"


def test_a_frame_of_another_host_in_hand_keeps_it_from_being_drained() -> None:
    engine = started()
    actions = engine.handle(OVERFLOW, m.OpenIntake(), 1000.5)
    (pool,) = [each.layout for each in actions if isinstance(each, MakePool)]
    slot = engine.intakes.by_name["overflow"].slots
    assert slot is not None
    frame = FrameRef(CameraName("overflow"), pool.pool, min(slot._granted), 1, 64, 48)
    engine.handle(OVERFLOW, m.Ask(GraphName("demo"), frame), 1000.5)
    told(engine, FLEET, CHUNKS, OVERFLOW)
    assert (shown(engine).drain, shown(engine).frames) == ("draining", 1)
    engine.handle(OVERFLOW, m.Withdraw(1), 1001.0)
    assert (shown(engine).drain, shown(engine).frames) == ("drained", 0)


def test_a_host_that_takes_no_work_is_drained_at_once_and_its_story_is_told_in_events() -> None:
    engine = started(whole=False)
    texts = []
    for number, drained in enumerate((False, True, True, False)):
        told(engine, FLEET, drained=drained)
        actions = engine.wake(1000.5 + 0.3 * number)
        texts += [each.text for each in actions if isinstance(each, LogEvent) and each.origin == "daemon"]
    assert texts == ["is drained: no chunk of a job and no frame of another host is in hand", "takes work of the fleet again"]
