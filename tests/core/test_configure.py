"""The operator: new settings are applied as a difference, or refused whole; exact actions."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from msgspec.structs import replace

from ncs_cluster import messages as m
from ncs_cluster.control_messages import SETTINGS_REFUSED, Reloaded
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, LogEvent, Send, Spawn
from ncs_cluster.core.child import State
from ncs_cluster.core.configure import Operator, going_on, restart_needed
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import GATEWAY, Configured, Endpoint, OperatorEvent, StopRequested
from ncs_cluster.core.replies import answer
from ncs_cluster.specs import (
    AmbientSpec,
    CameraSpec,
    ClusterSpec,
    DiscoverySpec,
    FanSpec,
    GatewaySpec,
    PoolSpec,
    Settings,
    SinkSpec,
)
from ncs_cluster.types import CameraName, GraphName
from tests.core.onepool import GRAPH, pool_of, stick_id, worker
from tests.core.oneworkers import CAM0, CAMERA, WorkersSetup, settings_of

NO_DIFFERENCE = LogEvent("info", "daemon", "new settings: no difference", group="")
CLIENT = Endpoint("client", "7")
STRICTER = replace(GRAPH, threshold=0.9)


def applied(*changes: str) -> LogEvent:
    return LogEvent("info", "daemon", f"new settings are applied: {'; '.join(changes)}", group="")


def operate(setup: WorkersSetup, message: OperatorEvent, now_s: float = 5.0) -> list[Action]:
    return Operator(setup.engine).handle(message, now_s)


def configure(setup: WorkersSetup, now_s: float = 5.0, **changed: Any) -> list[Action]:
    """The present settings with these fields changed."""
    return operate(setup, Configured(replace(setup.engine.settings, **changed)), now_s)


def test_the_events_of_the_operator_are_a_closed_union_and_any_other_is_an_error_of_the_caller() -> None:
    assert set(get_args(OperatorEvent)) == {StopRequested, Configured}
    with pytest.raises(AssertionError):
        operate(WorkersSetup(1), m.Stop())  # type: ignore[arg-type]


def test_a_stop_that_is_asked_for_begins_the_end_and_a_second_one_ends_at_once() -> None:
    setup = WorkersSetup(1)
    setup.open(1)
    operate(setup, StopRequested())
    assert setup.engine.stopping is True
    assert operate(setup, StopRequested())[:1] == [LogEvent("warning", "daemon", "second stop request: exiting now")]


def test_new_settings_that_come_while_the_daemon_stops_are_not_applied() -> None:
    setup = WorkersSetup(1)
    operate(setup, StopRequested())
    before = setup.engine.settings
    assert configure(setup, pools=[pool_of(1, 2)]) == []
    assert (setup.engine.settings, list(setup.sticks.by_id)) == (before, ["sim-1"])


def test_the_same_settings_are_no_difference() -> None:
    setup = WorkersSetup(2)
    setup.open(1, 2)
    assert configure(setup) == [NO_DIFFERENCE]
    assert [setup[number].child.state for number in (1, 2)] == [State.RUNNING, State.RUNNING]


# -- applied as a difference


def test_new_thresholds_are_sent_to_every_worker_that_listens_and_nothing_starts_again() -> None:
    setup = WorkersSetup(3)
    setup.open(1, 2)
    assert configure(setup, graphs=[STRICTER]) == [
        Send(worker(1), m.ChangeGraphs([STRICTER])),
        Send(worker(2), m.ChangeGraphs([STRICTER])),
        applied("graph demo: threshold 0.6 -> 0.9"),
    ]
    assert setup.engine.settings.graphs == [STRICTER]
    assert configure(setup, graphs=[STRICTER]) == [NO_DIFFERENCE]


def test_new_thresholds_are_applied_also_where_no_worker_listens_yet() -> None:
    setup = WorkersSetup(1)
    assert configure(setup, graphs=[STRICTER]) == [applied("graph demo: threshold 0.6 -> 0.9")]
    assert setup.receive(1, m.Hello(m.PROTOCOL, 77, "3.11"), 6.0)[:1] == [
        Send(worker(1), m.OpenStick(setup[1].spec, [STRICTER], 1.0))
    ]


def test_another_policy_interval_and_temperature_hold_without_a_stick_that_starts_again() -> None:
    setup = WorkersSetup(4)
    setup.open(1, 2, 3, 4)
    assert configure(setup, pools=[pool_of(1, 2, 3, 4, clusters=ClusterSpec(2, "ring", 20.0, 55.0))]) == [
        LogEvent("info", "clusters", "new settings: cluster_size, policy, switch_interval_s, switch_temp_c"),
        applied("pool default: cluster_size 0 -> 2, policy all -> ring, switch_interval_s 10 -> 20, switch_temp_c 65 -> 55"),
    ]
    assert (setup.regulator.active, setup.regulator.policy_deadline_s) == (["sim-1", "sim-2"], 25.0)
    assert [setup[number].zone.switch_temp_c for number in (1, 2, 3, 4)] == [55.0] * 4
    assert [setup[number].child.state for number in (1, 2, 3, 4)] == [State.RUNNING] * 4


def test_counted_sticks_are_added_and_removed() -> None:
    setup = WorkersSetup(2)
    setup.open(1, 2)
    assert configure(setup, pools=[pool_of(2, 3)]) == [
        LogEvent("info", "sim-1", "is removed"),
        Send(worker(1), m.Stop()),
        LogEvent("info", "sim-3", "is added"),
        Spawn(worker(3), "default"),
        applied("stick sim-1 removed", "stick sim-3 added"),
    ]
    assert setup.receive(1, e.Exited("exit code 0", 0), 5.2) == []
    setup.engine.wake(5.25)
    assert list(setup.sticks.by_id) == ["sim-2", "sim-3"]


def test_a_stick_with_other_options_starts_again_politely_which_is_no_failure() -> None:
    setup = WorkersSetup(2)
    setup.open(1, 2)
    pool = pool_of(1, 2)
    pool.sticks[0] = replace(pool.sticks[0], options={"latency_ms": 50})
    assert configure(setup, pools=[pool]) == [
        LogEvent("info", "sim-1", "has new settings: restarting"),
        Send(worker(1), m.Stop()),
        applied("stick sim-1: latency_ms none -> 50"),
    ]
    assert setup.receive(1, e.Exited("exit code 0", 0), 5.2) == [Spawn(worker(1), "default")]
    assert (setup[1].child.failures, setup[1].child.restarts) == (0, 0)


def test_sinks_then_sticks_then_cameras_then_the_page_are_changed() -> None:
    setup = WorkersSetup(1)
    other_camera = replace(setup.settings.cameras[0], name=CameraName("cam1"))
    other_sink = SinkSpec("jsonl", {"path": "other.jsonl"}, "other.jsonl", "other")
    assert configure(
        setup, sinks=[*setup.settings.sinks, other_sink], pools=[pool_of(1, 2)], cameras=[*setup.settings.cameras, other_camera]
    ) == [
        LogEvent("info", "sink other", "is added: other.jsonl"),
        Spawn(Endpoint("sink", "other"), "default"),
        LogEvent("info", "sim-2", "is added"),
        Spawn(worker(2), "default"),
        LogEvent("info", "cam1", "is added"),
        Spawn(Endpoint("camera", "cam1"), "default"),
        applied("camera cam1 added", "stick sim-2 added", "results to other.jsonl"),
    ]
    assert configure(setup, sinks=[], pools=[pool_of(2)], cameras=[other_camera]) == [
        LogEvent("info", "sink", "is removed"),
        LogEvent("info", "sink other", "is removed"),
        Send(Endpoint("sink", "other"), m.Stop()),
        LogEvent("info", "sim-1", "is removed"),
        Send(worker(1), m.Stop()),
        LogEvent("info", "cam0", "is removed"),
        Send(CAMERA, m.Stop()),
        applied("camera cam0 removed", "stick sim-1 removed", "results no more to results.jsonl", "results no more to other.jsonl"),
    ]


def gated(gateway: GatewaySpec | None) -> Settings:
    return replace(settings_of(pool_of(1)), gateway=gateway)


def test_another_address_of_the_page_starts_it_again_and_the_same_one_does_not() -> None:
    engine = Engine(gated(GatewaySpec("127.0.0.1", 8080)), 0.0)
    assert engine.gateway is not None
    engine.start(0.0)
    engine.gateway.handle(m.Hello(m.PROTOCOL, 9, "3.11"), 1.0)
    assert Operator(engine).handle(Configured(gated(GatewaySpec("127.0.0.1", 8080))), 5.0) == [NO_DIFFERENCE]
    assert Operator(engine).handle(Configured(gated(GatewaySpec("127.0.0.1", 8081))), 5.0) == [
        LogEvent("info", "page", "has new settings: restarting"),
        Send(GATEWAY, m.Stop()),
        applied("page: port 8080 -> 8081"),
    ]
    assert engine.gateway.spec == GatewaySpec("127.0.0.1", 8081)


# -- who has asked


def test_the_clients_that_have_asked_get_what_has_changed_and_what_is_new_to_know() -> None:
    setup = WorkersSetup(1)
    new = replace(setup.settings, graphs=[STRICTER], notices=["--fps has no effect"])
    change = "graph demo: threshold 0.6 -> 0.9"
    assert operate(setup, Configured(new, ("7", "8"))) == [
        LogEvent("info", "daemon", "--fps has no effect", group=""),
        applied(change),
        answer(CLIENT, Reloaded([change], ["--fps has no effect"])),
        answer(Endpoint("client", "8"), Reloaded([change], ["--fps has no effect"])),
    ]
    assert operate(setup, Configured(new, ("7",))) == [NO_DIFFERENCE, answer(CLIENT, Reloaded([]))]


def test_the_clients_that_have_asked_get_the_reason_of_a_refusal() -> None:
    setup = WorkersSetup(1)
    why = "state_dir changed, which takes effect at the next start of the daemon"
    assert operate(setup, Configured(replace(setup.settings, state_dir="other"), ("7",))) == [
        LogEvent("warning", "daemon", f"new settings are not applied: {why}"),
        Send(CLIENT, m.Reply(error=why, code=SETTINGS_REFUSED)),
    ]
    operate(setup, StopRequested())
    assert operate(setup, Configured(setup.settings, ("7",))) == [Send(CLIENT, m.Reply(error="the daemon is stopping"))]


def test_what_an_earlier_run_has_written_counts_at_the_start_of_a_camera_alone() -> None:
    done = {"demo": 41}
    old = [CameraSpec(CAM0, "images", {"path": "a"}, "a", written=done)]
    again = replace(old[0], written={})
    other = CameraSpec(CAM0, "images", {"path": "b"}, "b", written={"demo": 7})
    new = CameraSpec(CameraName("cam1"), "images", {"path": "b"}, "b", written={"demo": 7})
    assert going_on(old, [again, new]) == [old[0], new]
    assert going_on(old, [other]) == [replace(other, written={})]


# -- refused whole

BASE = settings_of(PoolSpec(ClusterSpec(2, "ring"), pool_of(1, 2).sticks, DiscoverySpec("xlink")), pool_of(3, name="cpu"))
USB, CPU = BASE.pools


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        ({"runtime_dir": "other"}, ["runtime_dir"]),
        ({"state_dir": "other"}, ["state_dir"]),
        ({"runtime_dir": "other", "state_dir": "other"}, ["runtime_dir", "state_dir"]),
        ({"fan": FanSpec("pwmfan")}, ["fan"]),
        ({"ambient": AmbientSpec("air")}, ["ambient"]),
        ({"graphs": []}, []),
        ({"graphs": [replace(GRAPH, name=GraphName("other"))]}, []),
        ({"graphs": [replace(GRAPH, model="other.xml", threshold=0.1, labels={1: "cat"})]}, []),
        ({"gateway": GatewaySpec("127.0.0.1", 8080)}, ["gateway"]),
        ({"pools": [USB]}, ["pools"]),
        ({"pools": [CPU, USB]}, []),
        ({"pools": [USB, replace(CPU, name="other")]}, ["pools"]),
        ({"pools": [USB, CPU, pool_of(4, name="other")]}, ["pools"]),
        ({"pools": [replace(USB, discovery=None), CPU]}, ["pools"]),
        ({"pools": [replace(USB, discovery=DiscoverySpec("xlink", stagger_s=1.0)), CPU]}, ["pools"]),
        ({"pools": [USB, replace(CPU, discovery=DiscoverySpec("xlink"))]}, ["pools"]),
        ({"pools": [replace(USB, discovery=DiscoverySpec("xlink", names={"1.2": "left"})), CPU]}, []),
        ({"pools": [replace(USB, clusters=ClusterSpec(2, "ring", time_scale=2.0)), CPU]}, ["time_scale"]),
        ({"pools": [USB, replace(CPU, clusters=ClusterSpec(time_scale=2.0))]}, ["time_scale"]),
        ({"pools": [replace(USB, clusters=ClusterSpec(1, "all", 5.0, 50.0), sticks=[]), CPU]}, []),
        ({"cameras": [], "sinks": []}, []),
        ({"state_dir": "other", "graphs": [], "pools": []}, ["state_dir", "pools"]),
    ],
)
def test_these_keys_are_not_applied_while_the_daemon_runs(changed: dict[str, Any], keys: list[str]) -> None:
    assert restart_needed(BASE, replace(BASE, **changed)) == keys


def test_a_page_that_is_taken_away_is_not_applied_while_the_daemon_runs() -> None:
    one, other = GatewaySpec("127.0.0.1", 8080), GatewaySpec("0.0.0.0", 8081, token="t")
    assert restart_needed(gated(one), gated(None)) == ["gateway"]
    assert restart_needed(gated(one), gated(other)) == []


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        ({"state_dir": "other"}, "state_dir"),
        ({"graphs": [replace(GRAPH, model="other.xml")], "pools": []}, "pools"),
        ({"pools": [pool_of(1, clusters=ClusterSpec(time_scale=2.0))], "runtime_dir": "other"}, "runtime_dir, time_scale"),
    ],
)
def test_settings_that_need_a_start_of_the_daemon_are_refused_in_one_line_and_nothing_is_applied(
    changed: dict[str, Any], keys: str
) -> None:
    setup = WorkersSetup(2)
    setup.open(1, 2)
    before, regulated = setup.engine.settings, setup.regulator.pool
    text = f"new settings are not applied: {keys} changed, which takes effect at the next start of the daemon"
    everything: dict[str, Any] = {
        "cameras": [],
        "sinks": [],
        "graphs": [],
        "pools": [pool_of(2, 3, clusters=ClusterSpec(1, "ring"))],
    }
    assert configure(setup, **(everything | changed)) == [LogEvent("warning", "daemon", text)]
    assert (setup.engine.settings, setup.regulator.pool) == (before, regulated)
    assert (list(setup.sticks.by_id), setup.sticks.graphs) == (["sim-1", "sim-2"], [GRAPH])
    assert (list(setup.engine.cameras.by_name), list(setup.engine.sinks.by_name)) == (["cam0"], [""])
    assert setup.sticks.by_id[stick_id(1)].child.state is State.RUNNING
