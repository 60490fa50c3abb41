"""The status document against its contract: every field, its type, and what it says when something is wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ncs_cluster.core import reasons, report
from ncs_cluster.core.events import BUS, Endpoint, StickGone
from ncs_cluster.messages import SinkBlocked
from ncs_cluster.status import LatencyStatus, StickStatus
from ncs_cluster.testing.world import World, installation
from ncs_cluster.types import StickId

CONTRACT: dict[str, dict[str, tuple[type, ...]]] = {
    "daemon": {
        "version": (str,),
        "pid": (int,),
        "uptime_s": (float,),
        "state": (str,),
        "reasons": (list,),
        "policy": (str,),
        "cluster_size": (int,),
        "switch_temp_c": (float,),
        "switch_interval_s": (float,),
    },
    "clusters": {"active": (list,), "next_switch_s": (float, type(None)), "switches": (int,), "last_switch": (dict, type(None))},
    "sticks": {
        "id": (str,),
        "port": (str,),
        "backend": (str,),
        "state": (str,),
        "temperature_c": (float, type(None)),
        "temperature_age_s": (float, type(None)),
        "headroom_s": (float, type(None)),
        "fps": (float,),
        "latency_ms": (dict,),
        "in_flight": (int,),
        "inferences": (int,),
        "restarts": (int,),
        "last_error": (str, type(None)),
        "recovered_s": (float, type(None)),
    },
    "cameras": {
        "name": (str,),
        "source": (str,),
        "state": (str,),
        "size": (list, type(None)),
        "capture_fps": (float,),
        "preview_fps": (float,),
        "detection_fps": (float,),
        "frames": (int,),
        "dropped": (int,),
        "late": (int,),
    },
}
STICK_STATES = {"starting", "active", "standby", "draining", "resting", "parked", "backoff", "quarantined", "absent"}


def said(world: World) -> dict[str, Any]:
    """As a program reads it."""
    status = report.status(world.engine, world.now_s, 1.7e9 + world.now_s, version="1.2.3", pid=7, machine=None, usage={})
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(status))
    for room, fields in CONTRACT.items():
        for each in document[room] if isinstance(document[room], list) else [document[room]]:
            for name, types in fields.items():
                assert isinstance(each[name], types), f"{room}.{name} is {each[name]!r}"
    assert document["daemon"]["state"] in ("ok", "degraded", "down")
    assert {stick["state"] for stick in document["sticks"]} <= STICK_STATES
    return document


def states(document: dict[str, Any]) -> dict[str, str]:
    return {stick["id"]: stick["state"] for stick in document["sticks"]}


def test_every_field_from_the_first_moment_on() -> None:
    world = World(installation(4, cluster_size=2, gateway=True))
    said(world)
    world.start()
    for _ in range(60):
        world.run(0.05)
        said(world)
    world.run(30.0)
    document = said(world)
    assert document["daemon"]["state"] == "ok"
    assert document["daemon"]["ready"] is True
    assert document["daemon"]["reasons"] == []
    assert set(document["clusters"]["last_switch"]) == {"at", "reason"}
    assert set(document["sticks"][0]["latency_ms"]) == {"p50", "p99"}
    assert document["cameras"][0]["size"] == [640, 480]
    assert 0 <= document["clusters"]["next_switch_s"] <= 10
    assert set(states(document).values()) <= {"active", "standby", "draining"}


def test_a_stick_that_has_another_name_now_is_not_missed_under_the_old_one() -> None:
    world = World(installation(4))
    world.start().run(2.0)
    world.deliver(BUS, StickGone(StickId("sim-2"), renamed=True))
    world.run(5.0)
    document = said(world)
    assert "sim-2" not in states(document)
    assert (document["daemon"]["state"], document["daemon"]["reasons"]) == ("ok", [])
    world.plug("sim-2")
    world.run(5.0)
    assert states(said(world))["sim-2"] == "active"
    world.unplug("sim-2")
    assert states(said(world))["sim-2"] == "absent"


def test_sticks_are_listed_in_ring_order_with_ten_after_two() -> None:
    world = World(installation(11, cluster_size=2))
    world.start().run(2.0)
    assert [stick["id"] for stick in said(world)["sticks"]] == [f"sim-{number}" for number in range(1, 12)]


def test_the_states_of_a_stick() -> None:
    world = World(installation(5, cluster_size=1, interval_s=0.0))
    world.start()
    assert set(states(said(world)).values()) == {"starting"}
    world.run(2.0)
    assert states(said(world)) == {"sim-1": "active", **{f"sim-{number}": "standby" for number in range(2, 6)}}
    world.sticks["sim-2"].temperature_c = 80.0
    world.unspawnable.add(Endpoint("worker", "sim-3"))
    world.crash(Endpoint("worker", "sim-3"))
    world.unplug("sim-4")
    world.run(2.0)
    document = said(world)
    assert states(document) == {"sim-1": "active", "sim-2": "resting", "sim-3": "backoff", "sim-4": "absent", "sim-5": "standby"}
    assert document["daemon"]["state"] == "degraded"
    assert any("sim-3" in reason for reason in document["daemon"]["reasons"])
    assert any("sim-4" in reason for reason in document["daemon"]["reasons"])


def test_a_stick_that_is_reset_in_place_is_starting_and_counted() -> None:
    world = World(installation(2))
    world.sticks["sim-1"].can_reset = True
    world.start().run(2.0)
    worker = world.worker("sim-1")
    assert worker is not None
    worker.lose_stick()
    world.run(0.1)
    first = said(world)["sticks"][0]
    assert (first["state"], first["resets"], first["restarts"]) == ("starting", 1, 0)
    assert first["last_error"] == "no result in time: stick hangs"
    world.run(2.0)
    assert said(world)["sticks"][0]["state"] == "active"
    assert said(world)["sticks"][0]["firmware"] == "virtual firmware"


def test_shedding_is_down_and_not_ready_with_its_reason() -> None:
    world = World(installation(2))
    for name in ("sim-1", "sim-2"):
        world.sticks[name].temperature_c = 80.0
    world.start().run(3.0)
    document = said(world)
    assert document["daemon"]["state"] == "down"
    assert document["daemon"]["ready"] is False
    assert reasons.ready(world.engine, world.now_s) == "every stick is too hot"
    assert document["clusters"]["shedding"] is True


def test_no_sticks_is_down_and_not_ready() -> None:
    world = World(installation(0))
    world.start().run(3.0)
    assert said(world)["daemon"]["state"] == "down"
    assert reasons.ready(world.engine, world.now_s) == "no sticks"


def test_a_slow_camera_is_idle_by_choice_and_always_ready() -> None:
    world = World(installation(2))
    world.cameras["cam0"].period_s = 12.0
    world.start().run(1.0)
    for _ in range(600):
        world.run(0.05)
        assert reasons.ready(world.engine, world.now_s) is None


def test_work_without_a_result_for_five_seconds_is_not_ready() -> None:
    world = World(installation(1))
    world.start().run(5.0)
    assert reasons.ready(world.engine, world.now_s) is None
    world.sticks["sim-1"].latency_s = 60.0
    seen = set()
    for _ in range(100):
        world.run(0.1)
        seen.add(reasons.ready(world.engine, world.now_s))
    assert seen - {None}


def test_a_smaller_cluster_than_asked_for_is_said() -> None:
    world = World(installation(4, cluster_size=2))
    world.start().run(2.0)
    world.unplug("sim-4")
    world.run(2.0)
    document = said(world)
    assert document["daemon"]["cluster_size"] == 1
    assert document["daemon"]["state"] == "degraded"
    assert any("cluster size is 1 instead of 2" in reason for reason in document["daemon"]["reasons"])


@pytest.mark.parametrize("full", [True, False])
def test_results_that_cannot_be_written_are_a_reason(full: bool) -> None:
    world = World(installation(1))
    world.start().run(2.0)
    if full:
        world.deliver(Endpoint("sink"), SinkBlocked("disk full"))
    assert (said(world)["daemon"]["state"] == "degraded") is full
    assert said(world)["counters"] == {"frames_lost": 0, "frames_doubled": 0, "out_of_order": 0, "throttled_s": 0.0}


def test_a_stick_status_defaults_to_no_firmware_and_no_resets() -> None:
    nothing = LatencyStatus(None, None)
    stick = StickStatus(
        "sim-1", "port", "simulated", None, "starting", None, None, None, None, 0.0, nothing, 0, 0, 0, None, None, 0.0
    )
    assert (stick.firmware, stick.resets) == (None, 0)
