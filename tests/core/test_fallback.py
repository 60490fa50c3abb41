"""The fallback by exact events: when the CPU takes over, when it hands back, and what is said of it."""

from __future__ import annotations

from ncs_cluster import messages as m
from ncs_cluster.control_messages import ChangeStick
from ncs_cluster.core import actions as a
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import BUS, Endpoint, Exited, Spawned, StickGone
from ncs_cluster.core.fallback import FIRST_S, HANDS_BACK, TAKES_OVER, UNSERVED_S
from ncs_cluster.core.reasons import ready, reasons
from ncs_cluster.specs import Settings
from ncs_cluster.testing.world import installation
from ncs_cluster.types import StickId
from tests.core.oneengine import drawn
from tests.core.onefallback import CPU, installed

NOW_S = 1000.0


def heard(engine: Engine, name: str, *messages: object, now_s: float = NOW_S) -> list[a.Action]:
    return [action for message in messages for action in engine.handle(Endpoint("worker", name), message, now_s)]


def opened(engine: Engine, name: str, *, sensor: bool = True, now_s: float = NOW_S) -> list[a.Action]:
    hello, open_ = m.Hello(m.PROTOCOL, 10, "3.11"), m.StickOpened("virtual", sensor, 4, None)
    return heard(engine, name, Spawned(10), hello, open_, *([m.Telemetry(40.0, 0)] if sensor else []), now_s=now_s)


def told(actions: list[a.Action]) -> list[tuple[str, str, str | None]]:
    return [(each.level, each.text, each.group) for each in actions if isinstance(each, a.LogEvent) and each.origin == "clusters"]


def duties(engine: Engine) -> dict[str, float]:
    return {str(stick): queue.duty for stick, queue in engine.dispatcher.queues.items()}


def started(settings: Settings) -> Engine:
    engine = Engine(settings, NOW_S)
    engine.start(NOW_S)
    return engine


def test_its_worker_is_started_with_the_sticks_and_opens_while_they_boot() -> None:
    engine = Engine(installed(3, stagger_s=0.3), NOW_S)
    actions = engine.start(NOW_S)
    assert a.Spawn(CPU, "default") in actions
    for name in ("sim-1", "sim-2"):
        heard(engine, name, Spawned(1), m.Hello(m.PROTOCOL, 1, "3.11"))
    begun = heard(engine, "cpu-1", Spawned(10), m.Hello(m.PROTOCOL, 10, "3.11"))
    assert [action.message for action in begun if isinstance(action, a.Send)] == [
        m.OpenStick(engine.settings.all_pools[-1].sticks[0], engine.settings.graphs, 1.0)
    ]


def test_it_works_until_the_first_stick_is_open() -> None:
    engine = started(installed(1))
    text = "no stick can work: sim-1 is starting; the CPU serves"
    assert told(opened(engine, "cpu-1", sensor=False)) == [("warning", text, TAKES_OVER)]
    assert duties(engine) == {"cpu-1": 1.0}
    actions = opened(engine, "sim-1", now_s=NOW_S + 3.0)
    assert told(actions) == [("info", "sim-1 works again: the CPU has served for 3 s", HANDS_BACK)]
    assert duties(engine) == {"cpu-1": 0.0, "sim-1": 1.0}


def at_work(sticks: int = 2, **more: object) -> Engine:
    """Its sticks are open, and the CPU stands by."""
    engine = started(installed(sticks, **more))  # type: ignore[arg-type]
    for number in range(1, sticks + 1):
        opened(engine, f"sim-{number}")
    opened(engine, "cpu-1", sensor=False)
    assert engine.fallback is not None
    assert (engine.fallback.needed, engine.fallback.takeovers) == (False, 0)
    return engine


def test_it_takes_over_in_the_moment_in_which_the_last_stick_is_too_hot() -> None:
    engine = at_work()
    assert told(heard(engine, "sim-1", m.Telemetry(71.0, 0), now_s=NOW_S + 1)) == []
    assert duties(engine) == {"cpu-1": 0.0, "sim-1": 0.0, "sim-2": 1.0}
    assert told(heard(engine, "sim-2", m.Telemetry(66.4, 0), now_s=NOW_S + 1.5)) == [
        ("warning", "no stick can work: sim-1 rests at 71 °C, sim-2 rests at 66 °C; the CPU serves", TAKES_OVER),
    ]
    assert duties(engine) == {"cpu-1": 1.0, "sim-1": 0.0, "sim-2": 0.0}
    assert told(heard(engine, "sim-1", m.Telemetry(61.0, 0), now_s=NOW_S + 9)) == [
        ("info", "sim-1 works again: the CPU has served for 8 s", HANDS_BACK),
    ]
    assert duties(engine) == {"cpu-1": 0.0, "sim-1": 1.0, "sim-2": 0.0}


def test_it_takes_over_in_the_moment_in_which_the_last_worker_has_died() -> None:
    engine = at_work(1)
    died = heard(engine, "sim-1", Exited("killed by SIGKILL", -9), now_s=NOW_S + 2)
    assert told(died) == [("warning", "no stick can work: sim-1 is starting; the CPU serves", TAKES_OVER)]
    assert duties(engine) == {"cpu-1": 1.0}


def test_it_takes_over_in_the_moment_in_which_the_last_stick_is_unplugged() -> None:
    engine = at_work(1)
    gone = engine.handle(BUS, StickGone(StickId("sim-1")), NOW_S + 2)
    assert told(gone) == [("warning", "no stick can work: sim-1 is absent; the CPU serves", TAKES_OVER)]


def test_at_most_three_sticks_are_named() -> None:
    engine = started(installed(5))
    opened(engine, "cpu-1", sensor=False)
    assert engine.fallback is not None
    text = "no stick can work: sim-1 is starting, sim-2 is starting, sim-3 is starting, and 2 more; the CPU serves at 0.0/s"
    assert engine.fallback.reason(NOW_S) == text


def test_without_a_stick_at_the_start_it_serves_and_the_daemon_is_degraded() -> None:
    engine = started(installed(0))
    opened(engine, "cpu-1", sensor=False)
    (first, *_), down = reasons(engine, NOW_S + 1)
    assert (first, down) == ("no stick can work: none is plugged in; the CPU serves at 0.0/s", False)
    assert ready(engine, NOW_S + 1) is None
    status = drawn(engine, NOW_S + 4.0)
    assert status.daemon.state == "degraded"
    assert status.fallback is not None
    assert (status.fallback.ready, status.fallback.serving, status.fallback.takeovers) == (True, True, 1)
    assert (status.fallback.pool, status.fallback.served_s) == ("fallback", 4.0)
    assert status.clusters.active == ["cpu-1"]
    assert status.clusters.ring == [[]]


def test_while_it_stands_by_nothing_is_wrong_and_no_other_part_counts_it() -> None:
    engine = at_work(2)
    status = drawn(engine, NOW_S + 1.0)
    assert status.fallback is not None
    assert (status.fallback.ready, status.fallback.serving, status.fallback.reason) == (True, False, None)
    assert [reason for reason in status.daemon.reasons if "cam0" not in reason and "results" not in reason] == []
    assert {stick.id: stick.state for stick in status.sticks} == {"cpu-1": "standby", "sim-1": "active", "sim-2": "active"}
    assert status.clusters.active == ["sim-1", "sim-2"]
    assert status.clusters.ring == [["sim-1", "sim-2"]]
    assert engine.sticks.present == 2
    assert status.daemon.simulated, "faults may be injected as without it"


def test_that_nothing_serves_is_told_once_when_frames_have_waited_for_two_seconds() -> None:
    engine = at_work(1)
    heard(engine, "cpu-1", Exited("exit code 7", 7), now_s=NOW_S + 1)
    heard(engine, "sim-1", m.Telemetry(70.0, 0), now_s=NOW_S + 1)
    begun = NOW_S + 1
    for step in range(1, 16):
        now_s = begun + step * 0.25
        actions = told(engine.wake(now_s))
        if now_s < begun + UNSERVED_S:
            assert actions == []
        elif now_s == begun + UNSERVED_S:
            text = "no stick can work: sim-1 rests at 70 °C; the CPU starts: no frame is processed"
            assert actions == [("error", text, None)]
        else:
            assert actions == []
    assert reasons(engine, begun + 4)[1], "it is down"
    again = told(heard(engine, "sim-1", m.Telemetry(50.0, 0), now_s=begun + 4))
    assert again[-1] == ("info", "sim-1 works again: frames are processed again", None)


def test_a_daemon_that_starts_has_longer_before_that_is_told() -> None:
    engine = started(installed(1))
    said = [
        (step * 0.25, text) for step in range(1, 100) for _, text, _ in told(engine.wake(NOW_S + step * 0.25)) if "no frame" in text
    ]
    assert said == [(FIRST_S, "no stick can work: sim-1 is starting; the CPU starts: no frame is processed")]


def test_sticks_that_an_operator_has_parked_cannot_work_either() -> None:
    engine = at_work(1)
    client = Endpoint("client", "1")
    parked = engine.handle(client, ChangeStick("sim-1", "park", "cable is loose"), NOW_S + 1)
    assert told(parked) == [("warning", "no stick can work: sim-1 is parked; the CPU serves", TAKES_OVER)]
    engine.handle(client, ChangeStick("cpu-1", "park", None), NOW_S + 2)
    assert engine.fallback is not None
    assert engine.fallback.reason(NOW_S + 2) == "no stick can work: sim-1 is parked; the CPU is parked"
    back = engine.handle(client, ChangeStick("sim-1", "work", None), NOW_S + 3)
    assert told(back) == []
    assert duties(engine) == {"cpu-1": 0.0, "sim-1": 1.0}


def test_it_takes_over_while_an_operator_restarts_the_only_stick() -> None:
    engine = at_work(1)
    actions = engine.handle(Endpoint("client", "1"), ChangeStick("sim-1", "restart", None), NOW_S + 1)
    ((_, text, _),) = told(actions)
    assert text == "no stick can work: sim-1 stops; the CPU serves"


def test_no_fault_is_injected_into_it() -> None:
    engine = at_work(1)
    client = Endpoint("client", "1")
    warmer = engine.handle(client, m.AskFault("heat", None), NOW_S + 1)
    assert [action.to.name for action in warmer if isinstance(action, a.Send) and isinstance(action.message, m.InjectFault)] == [
        "sim-1"
    ]
    heard(engine, "sim-1", m.Telemetry(70.0, 0), now_s=NOW_S + 2)
    hung = engine.handle(client, m.AskFault("hang", None), NOW_S + 2)
    assert [action.to.name for action in hung if isinstance(action, a.Send) and isinstance(action.message, m.InjectFault)] == [
        "sim-1"
    ]


def test_new_settings_of_the_fallback_wait_for_the_next_start() -> None:
    from ncs_cluster.core.configure import restart_needed

    assert restart_needed(installed(1), installed(1, standby=False)) == ["fallback"]


def test_without_a_fallback_there_is_no_pool_and_no_status_of_one() -> None:
    engine = Engine(installation(1, fallback=None), NOW_S)
    assert engine.fallback is None
    assert list(engine.workers.regulators) == ["default"]
    assert drawn(engine).fallback is None
