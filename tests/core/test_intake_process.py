"""Each message of a process that is an intake and nothing else leads to exact actions."""

from __future__ import annotations

from msgspec import structs

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action, LogEvent, MakePool, Release, Send, Spawn
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import Endpoint, Exited, Spawned
from ncs_cluster.core.intake import AHEAD, LEAST_AHEAD
from ncs_cluster.errors import EX_CONFIG
from ncs_cluster.specs import IntakeSpec
from ncs_cluster.status import IntakeStatus, LatencyStatus
from ncs_cluster.testing.world import installation
from ncs_cluster.types import CameraName, FrameRef, GraphName, IntakeClient, Outcome
from tests.core.oneengine import drawn, stick_up

FRIGATE = Endpoint("intake", "frigate")
WORKER = Endpoint("worker", "sim-1")
SPEC = IntakeSpec("frigate", {"deadline_ms": 180}, "tcp://127.0.0.1:5555")
HELLO = m.Hello(m.PROTOCOL, 7, "3.11")
LISTENS = m.IntakeReady("tcp://127.0.0.1:5555")


def started() -> Engine:
    engine = Engine(structs.replace(installation(1, results=False, cameras=()), intakes=[SPEC]), 1000.0)
    assert Spawn(FRIGATE, "default") in engine.start(1000.0)
    return engine


def opened() -> Engine:
    engine = started()
    stick_up(engine)
    engine.handle(FRIGATE, HELLO, 1000.0)
    engine.handle(FRIGATE, LISTENS, 1000.5)
    return engine


def shown(engine: Engine) -> IntakeStatus:
    (status,) = drawn(engine).intakes
    return status


def test_it_is_given_its_settings_and_says_where_it_listens_once() -> None:
    engine = started()
    assert engine.handle(FRIGATE, HELLO, 1000.0) == [Send(FRIGATE, m.ServeIntake(SPEC))]
    assert engine.handle(FRIGATE, LISTENS, 1001.0) == [LogEvent("info", "frigate", "listens at tcp://127.0.0.1:5555")]
    engine.handle(FRIGATE, Exited("killed by SIGKILL", -9), 1002.0)
    engine.wake(1010.0)
    engine.handle(FRIGATE, HELLO, 1011.0)
    assert engine.handle(FRIGATE, LISTENS, 1012.0) == []


def test_a_picture_of_its_clients_goes_to_a_stick_and_the_answer_comes_back() -> None:
    engine = opened()
    actions = engine.handle(FRIGATE, m.OpenIntake(), 1001.0)
    (pool,) = [each.layout for each in actions if isinstance(each, MakePool)]
    mapped = [each.to for each in actions if isinstance(each, Send) and isinstance(each.message, m.MapPool)]
    assert mapped == [WORKER, FRIGATE]
    grant = next(each.message for each in actions if isinstance(each, Send) and isinstance(each.message, m.Grant))
    frame = FrameRef(CameraName("frigate"), pool.pool, grant.slot, 5, 300, 300)
    actions = engine.handle(FRIGATE, m.Ask(GraphName("demo"), frame), 1001.0)
    (infer,) = [each.message for each in actions if isinstance(each, Send) and isinstance(each.message, m.Infer)]
    assert infer.frame == frame
    actions = engine.handle(WORKER, m.Inferred(infer.ticket, Outcome(), 0.03), 1001.05)
    assert actions[0] == Send(FRIGATE, m.Answered(5, Outcome(), "sim-1", 0.03))
    # the slot is granted anew behind its answer
    assert granted(actions[1:]) == [grant.slot]
    assert (shown(engine).answered, shown(engine).open) == (1, 0)


def granted(actions: list[Action]) -> list[int]:
    """The slots of the grants among these actions."""
    return [each.message.slot for each in actions if isinstance(each, Send) and isinstance(each.message, m.Grant)]


def test_slots_are_granted_with_answers_and_at_once_only_where_few_are_left() -> None:
    engine = opened()
    actions = engine.handle(FRIGATE, m.OpenIntake(), 1001.0)
    (pool,) = [each.layout for each in actions if isinstance(each, MakePool)]
    slots = granted(actions)
    assert len(slots) == AHEAD
    asked = []
    for number, slot in enumerate(slots[: AHEAD - LEAST_AHEAD + 1]):
        frame = FrameRef(CameraName("frigate"), pool.pool, slot, number, 300, 300)
        asked.append(len(granted(engine.handle(FRIGATE, m.Ask(GraphName("demo"), frame), 1001.0))))
    assert asked == [0] * (AHEAD - LEAST_AHEAD) + [AHEAD - LEAST_AHEAD + 1]


def test_its_clients_are_in_the_status_until_it_ends() -> None:
    engine = opened()
    client = IntakeClient("detector 1", 10, 9, 1, 0.5, "shook hands and never sent")
    engine.handle(FRIGATE, m.ClientsSeen([client]), 1001.0)
    nothing = LatencyStatus(None, None)
    running = IntakeStatus("frigate", "tcp://127.0.0.1:5555", "running", None, 0, 0.0, 0, 0, 0, nothing, [client], deadline_ms=180)
    assert shown(engine) == running
    engine.handle(FRIGATE, Exited("killed by SIGKILL", -9), 1002.0)
    assert shown(engine).clients == []
    assert "frigate is not served: killed by SIGKILL" in drawn(engine).daemon.reasons


def test_an_address_that_it_cannot_have_ends_a_daemon_that_starts_and_not_one_that_works() -> None:
    refused = m.Failed("open", "port 5555 is in use", permanent=True)
    engine = started()
    engine.handle(FRIGATE, HELLO, 1000.0)
    actions = engine.handle(FRIGATE, refused, 1000.1)
    assert actions[0] == LogEvent("error", "frigate", "port 5555 is in use")
    assert getattr(actions[-1], "code", None) == EX_CONFIG
    engine = opened()
    assert engine.handle(FRIGATE, refused, 1001.0) == []


def test_a_process_that_another_daemon_has_is_left_to_it_and_ends_a_daemon_that_starts() -> None:
    why = "/run/x is in use by the daemon of process 7: stop that one, or set another frigate.socket"
    engine = started()
    engine.handle(FRIGATE, HELLO, 1000.0)
    actions = engine.handle(FRIGATE, m.InUse(why), 1000.1)
    assert actions[:2] == [Release(FRIGATE), LogEvent("error", "frigate", why)]
    assert getattr(actions[-1], "code", None) == EX_CONFIG


def test_a_daemon_that_works_waits_for_a_process_that_another_daemon_has_come_to_have() -> None:
    why = "/run/x is in use by the daemon of process 7: stop that one, or set another frigate.socket"
    engine = opened()
    engine.handle(FRIGATE, Exited("killed by SIGKILL", -9), 1001.0)
    engine.handle(FRIGATE, Spawned(8), 1001.0)
    engine.handle(FRIGATE, HELLO, 1001.1)
    assert engine.handle(FRIGATE, m.InUse(why), 1001.2) == [Release(FRIGATE)]
    actions = engine.handle(FRIGATE, Exited("released", 0), 1001.2)
    assert LogEvent("warning", "intake frigate", f"ended (released; {why}), next try in 2 s") in actions
    assert f"frigate is not served: {why}" in drawn(engine).daemon.reasons
    assert Spawn(FRIGATE, "default") in [action for at_s in (1002.2, 1003.3) for action in engine.wake(at_s)]


def test_what_it_warns_of_is_an_event() -> None:
    assert opened().handle(FRIGATE, m.Warned("a client sends 4 channels"), 1001.0) == [
        LogEvent("warning", "frigate", "a client sends 4 channels")
    ]
