"""Events are plain values, and the engine ignores none of them, nor a message that a child may say."""

from __future__ import annotations

import pickle
from typing import Any, get_args

import msgspec
import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, Exit, Kill, LogEvent, Spawn
from ncs_cluster.core.child import Child, State
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import BUS, GATEWAY, OPERATOR, SINK, Endpoint
from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.specs import StickSpec
from ncs_cluster.testing.world import installation
from ncs_cluster.types import CameraName, FrameRef, GraphName, IntakeClient, Outcome, OverflowCounts, Record, StickId
from tests.core.onejob import JOB

WORKER, CAMERA, CLIENT = Endpoint("worker", "sim-1"), Endpoint("camera", "cam0"), Endpoint("client", "1")
CHILDREN = [WORKER, CAMERA, SINK, GATEWAY]
SPEC = StickSpec(StickId("sim-1"), "port 1", "simulated")
EXAMPLES: list[Any] = [
    e.StickFound(SPEC),
    e.StickGone(StickId("sim-1")),
    e.StickListed(StickId("sim-1"), "rom"),
    e.DeviceIgnored("1-1.4", "has an OAK camera"),
    e.Spawned(77),
    e.SpawnFailed("no such file"),
    e.Exited("exit code 7", 7),
    e.StopRequested(),
    e.Configured(installation(1)),
    e.JobGiven(JOB),
]


def started(sticks: int = 1) -> Engine:
    engine = Engine(installation(sticks, gateway=True), 1000.0)
    engine.start(1000.0)
    return engine


def child_of(engine: Engine, endpoint: Endpoint) -> Child:
    return next(child for child in engine.children() if child.endpoint == endpoint)


# -- events


def test_every_event_of_the_module_has_an_example() -> None:
    defined = {each for each in vars(e).values() if isinstance(each, type) and each.__module__ == e.__name__} - {Endpoint}
    assert {type(example) for example in EXAMPLES} == defined


def test_a_stick_that_is_found_is_started() -> None:
    found = started(0).handle(BUS, e.StickFound(SPEC), 1001.0)
    assert found == [LogEvent("info", "sim-1", "is plugged in"), Spawn(WORKER, "default")]


@pytest.mark.parametrize(
    ("renamed", "note"),
    [
        (False, LogEvent("warning", "sim-1", "is unplugged")),
        (True, LogEvent("info", "sim-1", "was left booted by another process; after a reset its id is its boot port")),
    ],
)
def test_the_process_of_a_stick_that_is_gone_is_killed(renamed: bool, note: LogEvent) -> None:
    killed: list[Action] = [LogEvent("warning", "worker sim-1", "killed: its stick is unplugged"), Kill(WORKER)]
    assert started().handle(BUS, e.StickGone(StickId("sim-1"), renamed), 1001.0) == [note, *killed]


@pytest.mark.parametrize("endpoint", CHILDREN, ids=str)
def test_the_number_of_a_process_that_runs_is_known(endpoint: Endpoint) -> None:
    engine = started()
    assert engine.handle(endpoint, e.Spawned(77), 1001.0) == []
    assert [child.pid for child in engine.children()] == [77 if child.endpoint == endpoint else None for child in engine.children()]


@pytest.mark.parametrize("endpoint", CHILDREN, ids=str)
def test_a_process_that_could_not_be_started_is_tried_again_after_the_longest_time(endpoint: Endpoint) -> None:
    engine, text = started(), "ended (could not be started; no such file), next try in 60 s"
    assert engine.handle(endpoint, e.SpawnFailed("no such file"), 1001.0) == [LogEvent("warning", str(endpoint), text)]
    child = child_of(engine, endpoint)
    assert (child.state, child.deadline_s) == (State.BACKOFF, 1061.0)


@pytest.mark.parametrize("endpoint", CHILDREN, ids=str)
def test_a_process_that_has_ended_is_tried_again(endpoint: Endpoint) -> None:
    engine, text = started(), "ended (exit code 7), next try in 1 s"
    assert engine.handle(endpoint, e.Exited("exit code 7", 7), 1001.0) == [LogEvent("warning", str(endpoint), text)]
    child = child_of(engine, endpoint)
    assert (child.state, child.deadline_s) == (State.BACKOFF, 1002.0)


def test_a_daemon_that_is_asked_to_stop_ends_and_asked_again_ends_at_once() -> None:
    empty = Engine(installation(0, (), results=False), 1000.0)
    assert empty.handle(OPERATOR, e.StopRequested(), 1001.0) == [
        LogEvent("info", "daemon", "stopping: finishing frames in flight"),
        LogEvent("info", "daemon", "stopped"),
        Exit(0),
    ]
    engine = started()
    engine.handle(OPERATOR, e.StopRequested(), 1001.0)
    kills = [Kill(endpoint) for endpoint in (CAMERA, WORKER, SINK, GATEWAY)]
    again = LogEvent("warning", "daemon", "second stop request: exiting now")
    assert engine.handle(OPERATOR, e.StopRequested(), 1001.1) == [again, *kills, Exit(0)]


@pytest.mark.parametrize("endpoint", [Endpoint("worker", "sim-9"), Endpoint("camera", "cam9"), Endpoint("sink", "x")], ids=str)
def test_an_event_of_an_endpoint_that_is_not_configured_changes_nothing(endpoint: Endpoint) -> None:
    engine = started()
    engine.wake(1000.0)
    before = pickle.dumps(engine)
    assert engine.handle(endpoint, e.Exited("exit code 7", 7), 1000.0) == []
    assert pickle.dumps(engine) == before


@pytest.mark.parametrize(
    ("endpoint", "event"),
    [
        (WORKER, e.StopRequested()),
        (WORKER, e.StickGone(StickId("sim-1"))),
        (CLIENT, e.StopRequested()),
        (CLIENT, e.Exited("exit code 7", 7)),
        (BUS, e.StopRequested()),
        (OPERATOR, e.StickGone(StickId("sim-1"))),
    ],
    ids=str,
)
def test_an_event_that_only_others_may_report_is_a_fault_of_ours(endpoint: Endpoint, event: object) -> None:
    with pytest.raises(AssertionError, match="unreachable"):
        started().handle(endpoint, event, 1000.0)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_an_event_is_frozen_and_compared_by_content(event: Any) -> None:
    assert msgspec.structs.replace(event) == event
    assert event.__struct_config__.frozen
    for field in msgspec.structs.fields(event):
        with pytest.raises(AttributeError):
            setattr(event, field.name, None)
        assert msgspec.structs.replace(event, **{field.name: "other"}) != event


def test_a_stick_that_is_gone_is_not_renamed_unless_that_is_said() -> None:
    assert e.StickGone(StickId("sim-1")).renamed is False


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        (WORKER, "worker sim-1"),
        (BUS, "bus"),
        (OPERATOR, "operator"),
        (SINK, "sink"),
        (GATEWAY, "gateway"),
    ],
)
def test_an_end_of_a_wire_is_named_by_its_kind_and_name(endpoint: Endpoint, text: str) -> None:
    assert str(endpoint) == text
    assert endpoint == Endpoint(*text.split(" "))


# -- messages of children


def at_work() -> Engine:
    """Every child runs; one unit is on the stick, another one is being measured, one is asked for, one record is on its way."""
    engine = started()
    for endpoint, opened in (
        (WORKER, m.StickOpened("virtual", False, 4)),
        (CAMERA, m.SourceOpened(640, 480, 30.0, None, False, False, "")),
        (SINK, m.SinkOpened(0)),
        (GATEWAY, m.GatewayOpened("127.0.0.1", 8080)),
    ):
        engine.handle(endpoint, m.Hello(m.PROTOCOL, 7, "3.11"), 1000.0)
        engine.handle(endpoint, opened, 1000.0)
    engine.handle(CAMERA, m.FrameCaptured(frame(0), 1000.0, 1.7e9), 1000.0)
    measured = Unit("cam0", Frame(frame(0), None, 1000.0, 1.7e9, None), 0)
    engine.tally.begin(measured)
    engine.cameras.by_name["cam0"].measuring[5] = (measured, Outcome())
    engine.intakes.by_name["api"].asks[3] = Unit("asks of api", Frame(frame(3), None, 1000.0, 1.7e9, None), 0)
    engine.tally.begin(engine.intakes.by_name["api"].asks[3])
    engine.sinks.by_name[""].outbox.put(Record("cam0", 0, 1.7e9, None, "sim-1", "demo", 0.1, Outcome()))
    engine.handle(SINK, m.Heartbeat(), 1000.0)
    return engine


def frame(number: int) -> FrameRef:
    return FrameRef(CameraName("cam0"), 1, number, number, 640, 480)


SAID: dict[Endpoint, tuple[Any, list[Any]]] = {
    WORKER: (
        m.FromWorker,
        [
            m.Phase("compiling"),
            m.StickLost("it hangs"),
            m.Telemetry(40.0, 1),
            m.Overflowed(OverflowCounts(sent=1)),
            m.Inferred(1, Outcome(), 0.05),
            m.Failed("x", "why"),
        ],
    ),
    CAMERA: (
        m.FromCamera,
        [
            m.Phase("opening"),
            m.SourceOpened(320, 240, 30.0, None, False, False, ""),
            m.FrameCaptured(frame(1), 1000.0, 1.7e9),
            m.Skipped(1),
            m.Measured(5, []),
            m.SourceLost("cable"),
            m.SourceEnded(1),
            m.Drawn(0, 1000.0, 1000.1),
            m.CameraRates(30.0, 15.0),
            m.SourceProgress(100, 2),
            m.QuitRequested(),
            m.Failed("x", "why"),
        ],
    ),
    SINK: (
        m.FromSink,
        [m.Acked(0, b""), m.SinkBlocked("disk full"), m.SinkFinished(True, 0), m.WorkTold(True), m.Failed("x", "why")],
    ),
    GATEWAY: (
        m.FromGateway,
        [
            m.Watch(CameraName("cam0"), 1),
            m.Warned("40 wrong tokens"),
            m.TokenReplaced("0123456789abcdef", False),
            m.OpenIntake(),
            m.Ask(GraphName("demo"), frame(4)),
            m.Withdraw(3),
            m.ClientsSeen([IntakeClient("127.0.0.1", asked=1)]),
            m.Failed("x", "why"),
        ],
    ),
}
BEFORE: dict[type, State] = {
    m.Hello: State.STARTING,
    m.StickOpened: State.OPENING,
    m.SinkOpened: State.OPENING,
    m.GatewayOpened: State.OPENING,
}
BEGINNINGS = [
    *((endpoint, m.Hello(m.PROTOCOL, 8, "3.11")) for endpoint in CHILDREN),
    (WORKER, m.StickOpened("virtual", False, 4)),
    (SINK, m.SinkOpened(0)),
    (GATEWAY, m.GatewayOpened("127.0.0.1", 8080)),
]
"""Heeded in one state of the child only."""
SPARE = {m.Overflowed}
"""Heeded from the worker of a spare stick only: test_overflow.py."""


@pytest.mark.parametrize("endpoint", CHILDREN, ids=str)
def test_every_message_that_a_child_may_say_has_an_example(endpoint: Endpoint) -> None:
    union, messages = SAID[endpoint]
    seen = {type(message) for message in messages} | {type(message) for whose, message in BEGINNINGS if whose == endpoint}
    assert seen | {m.Heartbeat} == set(get_args(union))


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        *((endpoint, message) for endpoint, (_, messages) in SAID.items() for message in messages if type(message) not in SPARE),
        *BEGINNINGS,
    ],
    ids=lambda each: str(each) if isinstance(each, Endpoint) else type(each).__name__,
)
def test_no_message_of_a_child_is_ignored(endpoint: Endpoint, message: object) -> None:
    """A heartbeat leads to nothing and leaves the engine as it was; each of these does not."""
    engine = at_work()
    child_of(engine, endpoint).state = BEFORE.get(type(message), State.RUNNING)
    engine.handle(endpoint, m.Heartbeat(), 1000.0)
    before = pickle.dumps(engine)
    assert engine.handle(endpoint, m.Heartbeat(), 1000.0) == []
    assert pickle.dumps(engine) == before
    assert engine.handle(endpoint, message, 1000.0) != [] or pickle.dumps(engine) != before


@pytest.mark.parametrize("endpoint", CHILDREN, ids=str)
def test_a_heartbeat_of_a_child_that_runs_gives_it_more_time(endpoint: Endpoint) -> None:
    """5 s, 3 s for the page."""
    engine = at_work()
    assert engine.handle(endpoint, m.Heartbeat(), 1002.0) == []
    assert [child.deadline_s for child in engine.children() if child.endpoint == endpoint] == [
        1005.0 if endpoint.kind == "gateway" else 1007.0
    ]
