"""What the status picture calls a stick, a camera and the whole pool, and why: every state by its exact reasons."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import structs

from ncs_cluster import messages as m
from ncs_cluster.core import reasons, report
from ncs_cluster.core.actions import LogEvent
from ncs_cluster.core.child import QUARANTINE, State
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import BUS, OPERATOR, Configured, DeviceIgnored, Endpoint, Exited, StopRequested
from ncs_cluster.core.regulator import why_none_works
from ncs_cluster.specs import DiscoverySpec
from ncs_cluster.testing.world import installation
from ncs_cluster.types import StickId
from tests.core.oneengine import NOW_AT, NOW_S, a_unit, at_work, camera_up, drawn, sinks_up, started, stick_up

# -- states


@pytest.mark.parametrize(
    ("state", "failures", "shown"),
    [
        (State.DOWN, 0, "backoff"),
        (State.STARTING, 0, "starting"),
        (State.OPENING, 0, "starting"),
        (State.RUNNING, 0, "active"),
        (State.STOPPING, 0, "draining"),
        (State.KILLED, 0, "backoff"),
        (State.FENCED, 0, "backoff"),
        (State.BACKOFF, 0, "backoff"),
        (State.BACKOFF, QUARANTINE, "quarantined"),
        (State.STARTING, QUARANTINE, "quarantined"),
        (State.RUNNING, QUARANTINE, "active"),
    ],
)
def test_the_state_of_a_stick_follows_its_process(state: State, failures: int, shown: str) -> None:
    engine = at_work()
    stick = engine.sticks.by_id[StickId("sim-1")]
    stick.child.state, stick.child.failures = state, failures
    assert drawn(engine).sticks[0].state == shown
    stick.present = False
    assert drawn(engine).sticks[0].state == "absent"


def test_a_stick_whose_turn_it_is_not_is_draining_then_resting_or_on_standby() -> None:
    engine = started(installation(4, cluster_size=1, interval_s=0.0))
    for number, temperature_c in enumerate((40.0, 40.0, 80.0, 80.0)):
        stick_up(engine, f"sim-{number + 1}", temperature_c)
    engine.dispatcher.queues[StickId("sim-4")].in_flight[1] = a_unit()
    assert [stick.state for stick in drawn(engine).sticks] == ["active", "standby", "resting", "draining"]
    del engine.dispatcher.queues[StickId("sim-2")]
    assert drawn(engine).sticks[1].state == "standby"


@pytest.mark.parametrize(
    ("state", "signal", "ended", "detail", "shown"),
    [
        (State.RUNNING, True, False, None, "running"),
        (State.RUNNING, False, False, None, "no-signal"),
        (State.OPENING, False, False, None, "starting"),
        (State.OPENING, False, False, "cable", "no-signal"),
        (State.BACKOFF, False, False, "cable", "backoff"),
        (State.BACKOFF, True, False, None, "backoff"),
        (State.BACKOFF, True, True, None, "ended"),
    ],
)
def test_the_state_of_a_camera(state: State, signal: bool, ended: bool, detail: str | None, shown: str) -> None:
    engine = at_work()
    camera = engine.cameras.by_name["cam0"]
    camera.child.state, camera.signal, camera.ended, camera.detail = state, signal, ended, detail
    seen = drawn(engine).cameras[0]
    assert (seen.state, seen.detail) == (shown, detail)


# -- reasons


def verdict(engine: Engine, now_s: float = NOW_S) -> tuple[str, list[str]]:
    """Of an engine whose sinks run."""
    if not all(sink.child.running for sink in engine.sinks.by_name.values()):
        sinks_up(engine)
    daemon = drawn(engine, now_s).daemon
    return daemon.state, daemon.reasons


def test_a_pool_at_work_is_ok() -> None:
    engine = at_work()
    assert verdict(engine) == ("ok", [])
    assert drawn(engine).daemon.ready is True


@pytest.mark.parametrize(
    ("state", "failures", "error", "reasons"),
    [
        (State.BACKOFF, 1, None, ["sim-2 is backoff"]),
        (State.BACKOFF, 1, "it hung", ["sim-2 is backoff: it hung"]),
        (State.BACKOFF, QUARANTINE, "it hung", ["sim-2 is quarantined: it hung"]),
        (State.STARTING, 1, "it hung", ["sim-2 is being reopened: it hung"]),
        (State.OPENING, 1, "it hung", ["sim-2 is being reopened: it hung"]),
        (State.STARTING, 0, None, ["sim-2 is starting"]),
        (State.STOPPING, 1, "it hung", []),
    ],
)
def test_a_stick_that_does_not_work_is_a_reason(state: State, failures: int, error: str | None, reasons: list[str]) -> None:
    engine = started(installation(2))
    stick_up(engine)
    camera_up(engine)
    child = engine.sticks.by_id[StickId("sim-2")].child
    child.state, child.failures, child.last_error = state, failures, error
    assert verdict(engine) == ("degraded" if reasons else "ok", reasons)


def test_a_stick_that_is_away_is_a_reason_unless_it_has_another_name_now() -> None:
    engine = started(installation(2))
    stick_up(engine)
    camera_up(engine)
    stick = engine.sticks.by_id[StickId("sim-2")]
    stick.present = False
    assert verdict(engine) == ("degraded", ["sim-2 is absent"])
    stick.renamed = True
    assert verdict(engine) == ("ok", [])
    assert [seen.id for seen in drawn(engine).sticks] == ["sim-1"]


@pytest.mark.parametrize(
    ("there", "state", "reasons"),
    [
        (6, "ok", []),
        (5, "degraded", ["cluster size is 2 instead of 3: 5 sticks present"]),
        (1, "degraded", ["cluster size is 1 instead of 3: 1 stick present"]),
        (0, "down", ["no stick is ready yet"]),
    ],
)
def test_a_cluster_that_is_smaller_than_asked_for_is_a_reason(there: int, state: str, reasons: list[str]) -> None:
    engine = started(installation(6, cluster_size=3))
    camera_up(engine)
    for number, stick in enumerate(engine.sticks.by_id.values()):
        stick.present = number < there
        stick.renamed = not stick.present
    stick_up(engine)
    assert verdict(engine, 1002.0) == (state, reasons)


@pytest.mark.parametrize(
    ("detail", "error", "why"),
    [(None, None, "starting"), (None, "exit code 1", "exit code 1"), ("cable", "exit code 1", "cable")],
)
def test_a_camera_without_pictures_is_a_reason_until_its_end(detail: str | None, error: str | None, why: str) -> None:
    engine = at_work()
    camera = engine.cameras.by_name["cam0"]
    camera.signal, camera.detail, camera.child.last_error = False, detail, error
    assert verdict(engine) == ("degraded", [f"cam0 has no signal: {why}"])
    camera.ended = True
    assert verdict(engine) == ("ok", [])


def test_a_pool_that_is_too_hot_is_down() -> None:
    engine = started(installation(1))
    stick_up(engine, temperature_c=80.0)
    camera_up(engine)
    assert verdict(engine) == ("down", ["every stick is too hot: no frame is processed"])
    assert reasons.ready(engine, NOW_S) == "every stick is too hot"
    assert drawn(engine).daemon.ready is False


def test_a_pool_whose_inferences_all_fail_is_down() -> None:
    engine = at_work()
    for now_s in (1002.0, 1008.0):
        engine.workers.health.failed("no memory", now_s)
    assert verdict(engine, 1007.0) == ("ok", [])
    assert verdict(engine, 1008.0) == ("down", ["every inference fails: no memory"])
    assert reasons.ready(engine, 1008.0) == "every inference fails: no memory"


def test_a_pool_without_sticks_is_down_and_says_whether_they_are_looked_for() -> None:
    settings = installation(0)
    engine = started(settings)
    camera_up(engine)
    assert verdict(engine) == ("down", ["no sticks"])
    assert reasons.ready(engine, NOW_S) == "no sticks"
    pool = msgspec.structs.replace(settings.pools[0], discovery=DiscoverySpec("xlink"))
    looking = msgspec.structs.replace(settings, pools=[pool])
    engine = started(looking)
    camera_up(engine)
    assert verdict(engine) == ("down", ["no stick is plugged in"])
    told = engine.handle(BUS, DeviceIgnored("1-1.4", "has an OAK camera"), NOW_S)
    assert LogEvent("info", "usb", "port 1-1.4 has an OAK camera") in told
    assert verdict(engine) == ("down", ["no stick is plugged in; port 1-1.4 has an OAK camera"])
    engine.handle(BUS, DeviceIgnored("1-1.4", ""), NOW_S)
    assert verdict(engine) == ("down", ["no stick is plugged in"])


def test_the_name_of_a_port_is_in_the_status_the_reasons_and_the_events() -> None:
    engine = started(installation(1))
    stick = engine.sticks.by_id[StickId("sim-1")]
    stick.spec = msgspec.structs.replace(stick.spec, name="front-left")
    stick.child.state, stick.child.last_error = State.BACKOFF, "it hung"
    assert drawn(engine).sticks[0].name == "front-left"
    assert "sim-1 (front-left) is backoff: it hung" in verdict(engine)[1]
    names = [engine.sticks.name_of(origin) for origin in ("sim-1", "worker sim-1", "daemon", "worker sim-2")]
    assert names == ["front-left", "front-left", None, None]


def test_a_pool_whose_sticks_still_start_is_down_and_one_that_works_is_enough() -> None:
    engine = started(installation(2))
    camera_up(engine)
    assert verdict(engine, 1002.0) == ("down", ["no stick is ready yet"])
    assert verdict(engine, 1002.1) == ("down", ["sim-1 is starting", "sim-2 is starting"])
    engine.handle(Endpoint("worker", "sim-2"), m.Hello(m.PROTOCOL, 12, "3.11"), 1000.0)
    engine.handle(Endpoint("worker", "sim-2"), m.Phase("compiling"), 1002.0)
    assert verdict(engine, 1002.1) == ("down", ["sim-1 is starting", "sim-2 is starting: loading its graphs"])
    assert reasons.ready(engine, NOW_S) == "no usable stick"
    stick_up(engine)
    assert verdict(engine, 1002.0) == ("ok", [])
    assert reasons.ready(engine, NOW_S) is None


def test_results_that_cannot_be_written_are_a_reason() -> None:
    engine = at_work()
    engine.sinks.by_name[""].blocked = "disk full"
    assert verdict(engine) == ("degraded", ["results cannot be written: disk full"])
    engine.sinks.by_name[""].spec = structs.replace(engine.sinks.by_name[""].spec, records=False)
    assert verdict(engine) == ("degraded", ["notifications cannot be sent: disk full"])
    engine.sinks.by_name[""].spec = structs.replace(engine.sinks.by_name[""].spec, kind="chunks")
    assert verdict(engine) == ("degraded", ["no chunks of jobs are taken: disk full"])
    assert verdict(at_work(installation(1, results=False))) == ("ok", [])


BUSY = m.Failed("open", "results.jsonl cannot be written: another daemon writes to it", permanent=False)


def test_a_sink_that_fails_to_open_again_and_again_is_a_reason_all_the_time() -> None:
    """While it waits for its next start, starts, and opens: no result is written in any of these."""
    engine = at_work()
    child, states = engine.sinks.by_name[""].child, []
    child.restart(1000.0)

    def written() -> list[str]:
        states.append(child.state)
        return drawn(engine, 1001.0 + len(states)).daemon.reasons

    failed = ["results cannot be written: results.jsonl cannot be written: another daemon writes to it"]
    child.exited("exit code 0", 1000.0)
    for _ in range(3):
        child.hello(1001.0)
        engine.handle(child.endpoint, BUSY, 1001.0)
        engine.handle(child.endpoint, Exited("exit code 1", 1), 1001.0)
        assert written() == failed
        child.retry_now(1001.0)
        assert written() == failed
        child.hello(1001.0)
        assert written() == failed
    assert states == [State.BACKOFF, State.STARTING, State.OPENING] * 3
    child.ready(1001.0)
    assert written() == []


def test_a_sink_that_never_comes_up_is_a_reason_after_two_seconds() -> None:
    engine = started(installation(1))
    stick_up(engine)
    camera_up(engine)
    assert drawn(engine, 1002.0).daemon.reasons == []
    assert drawn(engine, 1002.1).daemon.reasons == ["results cannot be written: results.jsonl is starting"]
    assert drawn(engine, 1002.1).sinks[0].detail == "is starting"


@pytest.mark.parametrize(
    ("silent", "reason"),
    [
        (Endpoint("worker", "sim-1"), "sim-1: no heartbeat for 3 s"),
        (Endpoint("camera", "cam0"), "camera cam0: no heartbeat for 3 s"),
        (Endpoint("sink"), "results cannot be written: no heartbeat for 3 s"),
        (Endpoint("gateway"), "the page does not answer: no heartbeat for 3 s"),
    ],
)
def test_a_child_without_a_heartbeat_is_a_reason_before_it_is_killed(silent: Endpoint, reason: str) -> None:
    engine = at_work(installation(1, gateway=True))
    engine.handle(Endpoint("gateway"), m.Hello(m.PROTOCOL, 23, "3.11"), 1000.0)
    engine.handle(Endpoint("gateway"), m.GatewayOpened("127.0.0.1", 8080), 1000.0)
    for child in engine.children():
        child.message_received(1001.0 if child.endpoint == silent else 1004.0)
    status = report.status(engine, 1004.0, NOW_AT, version="1", pid=7, machine=None, usage={})
    assert status.daemon.reasons == [reason]
    assert {each.name: each.state for each in status.processes}[str(silent)] == "silent"


def test_a_page_that_restarts_is_a_reason_and_so_is_a_process_that_cannot_be_killed() -> None:
    engine = at_work(installation(1, gateway=True))
    gateway = engine.gateway
    assert gateway is not None
    gateway.child.ready(1000.0)
    gateway.child.state, gateway.child.last_error = State.STARTING, "killed by SIGSEGV"
    assert verdict(engine) == ("degraded", ["the page does not answer: killed by SIGSEGV"])
    gateway.child.state = State.OPENING
    gateway.child.ready(NOW_S)
    assert verdict(engine) == ("ok", [])
    stick = engine.sticks.by_id[StickId("sim-1")].child
    stick.kill(NOW_S, "no result in time: stick hangs")
    assert verdict(engine) == ("down", ["sim-1 is backoff: no result in time: stick hangs"])
    stick.tick(NOW_S + stick.limits.killed_s)
    assert verdict(engine) == ("down", ["sim-1 is backoff: process 11 survives SIGKILL (blocked in the kernel)"])


# -- ready


@pytest.mark.parametrize(
    ("open_units", "good_s", "idle_s", "ready"),
    [
        (0, None, 900.0, True),
        (1, None, 995.0, True),
        (1, None, 994.9, False),
        (1, 995.0, 900.0, True),
        (1, 994.9, 900.0, False),
        (1, 900.0, 995.0, True),
    ],
)
def test_a_pool_is_ready_while_it_is_idle_or_has_proved_itself_in_the_last_five_seconds(
    open_units: int, good_s: float | None, idle_s: float, ready: bool
) -> None:
    engine = at_work()
    for _ in range(open_units):
        engine.tally.begin(a_unit())
    engine.workers.health.last_good_s, engine.idle_s = good_s, idle_s
    assert reasons.ready(engine, 1000.0) == (None if ready else "no result in the last 5 s")


def test_a_daemon_that_stops_is_not_ready() -> None:
    engine = at_work()
    engine.handle(OPERATOR, StopRequested(), 1002.0)
    assert reasons.ready(engine, NOW_S) == "stopping"


def test_a_stick_that_is_no_longer_configured_is_not_reported_while_its_process_ends() -> None:
    engine = at_work(installation(2))
    stick_up(engine, "sim-2")
    settings = engine.settings
    pool = msgspec.structs.replace(settings.pools[0], sticks=settings.sticks[:1])
    engine.handle(OPERATOR, Configured(msgspec.structs.replace(settings, pools=[pool])), NOW_S)
    assert engine.sticks.by_id[StickId("sim-2")].child.state is State.STOPPING
    assert verdict(engine) == ("ok", [])
    assert [stick.id for stick in drawn(engine).sticks] == ["sim-1"]


@pytest.mark.parametrize(
    ("hot", "unread", "why"),
    [
        (3, 0, "every stick is too hot"),
        (0, 1, "no stick reports its temperature"),
        (2, 1, "2 sticks are too hot, 1 reports no temperature"),
        (1, 2, "1 stick is too hot, 2 report no temperature"),
    ],
)
def test_hot_sticks_and_those_without_a_temperature_are_told_apart(hot: int, unread: int, why: str) -> None:
    assert why_none_works(hot, unread) == why
