"""Clients of the control socket and the bus: exact actions and replies."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from ncs_cluster import messages as m
from ncs_cluster.control_messages import ChangeJob, ChangeStick
from ncs_cluster.core.actions import Action, Kill, LogEvent, Send, Spawn, Unplug
from ncs_cluster.core.client import Bus, Client, ClientMessage
from ncs_cluster.core.events import BusEvent, DeviceIgnored, Endpoint, JobGiven, StickFound, StickGone, StickListed
from ncs_cluster.specs import ClusterSpec
from tests.core.onepool import pool_of, spec, stick_id, worker
from tests.core.oneworkers import WorkersSetup

CLIENT = Endpoint("client", "1")


def workers_of(*sizes: int) -> WorkersSetup:
    """A pool of four sticks for each cluster size, all open at 1 s: sim-1 to sim-4, and sim-5 to sim-8."""
    pools = []
    for index, size in enumerate(sizes):
        first = 1 + 4 * index
        clusters = ClusterSpec(size, "ring" if size else "all", 10.0)
        pools.append(pool_of(*range(first, first + 4), clusters=clusters, name=f"p{index}"))
    setup = WorkersSetup(pools=pools)
    setup.open(*range(1, 4 * len(sizes) + 1))
    return setup


def ask(setup: WorkersSetup, message: ClientMessage, now_s: float) -> list[Action]:
    return Client(CLIENT, setup.engine).handle(message, now_s)


def bus(setup: WorkersSetup, message: BusEvent, now_s: float) -> list[Action]:
    return Bus(setup.engine).handle(message, now_s)


def replied(text: str) -> Send:
    return Send(CLIENT, m.Reply(body=msgspec.Raw(msgspec.msgpack.encode({"text": text}))))


def refused(why: str) -> Send:
    return Send(CLIENT, m.Reply(error=why))


def switch(sticks: str) -> LogEvent:
    return LogEvent("info", "clusters", f"switch to {sticks}: requested by the operator", "")


# -- a client asks for the next cluster


def test_a_switch_is_made_at_once_where_the_dwell_is_over() -> None:
    setup = workers_of(2)
    assert ask(setup, m.AskSwitch(), 3.0) == [switch("sim-3, sim-4"), replied("switched to sim-3, sim-4")]
    assert setup.duties == {"sim-1": 0.0, "sim-2": 0.0, "sim-3": 1.0, "sim-4": 1.0}


def test_a_switch_within_the_dwell_is_promised() -> None:
    setup = workers_of(2)
    assert ask(setup, m.AskSwitch(), 2.0) == [replied("will switch when the dwell time ends")]
    assert setup.workers.regulate_due(3.0) == [switch("sim-3, sim-4")]


def test_a_switch_is_refused_where_no_pool_has_another_cluster() -> None:
    for setup in (workers_of(0), WorkersSetup(1), WorkersSetup(pools=[pool_of(1, clusters=ClusterSpec(1, "ring"))])):
        assert ask(setup, m.AskSwitch(), 3.0) == [refused("no other cluster to switch to")]


def test_a_switch_is_refused_where_every_other_cluster_is_too_hot() -> None:
    setup = workers_of(2)
    for number in (3, 4):
        setup[number].zone.open(True)
        setup[number].zone.read(70.0, 3.0)
    setup.workers.regulators["p0"].regulate(3.0)
    assert ask(setup, m.AskSwitch(), 3.0) == [refused("every other cluster is too hot; the active sticks stay active")]
    assert setup.workers.regulators["p0"].active == ["sim-1", "sim-2"]


def test_every_pool_that_has_another_cluster_is_switched() -> None:
    setup = workers_of(2, 1)
    assert ask(setup, m.AskSwitch(), 3.0) == [
        switch("sim-3, sim-4"),
        switch("sim-6"),
        replied("switched to sim-3, sim-4, sim-6"),
    ]


def test_a_pool_without_another_cluster_is_left_alone() -> None:
    setup = workers_of(0, 2)
    setup.workers.regulators["p0"].active = []
    assert ask(setup, m.AskSwitch(), 3.0) == [switch("sim-7, sim-8"), replied("switched to sim-7, sim-8")]
    assert setup.workers.regulators["p0"].active == [], "it was not regulated"


def test_the_reply_names_the_sticks_of_pools_that_have_switched_alone() -> None:
    setup = workers_of(2, 2)
    setup.workers.regulators["p0"].regulate(2.5, switch_requested=True)
    setup.workers.regulators["p0"].regulate(3.0)
    assert ask(setup, m.AskSwitch(), 3.5) == [switch("sim-7, sim-8"), replied("switched to sim-7, sim-8")]


# -- a client asks for a fault


def test_a_fault_is_injected_and_the_client_is_answered() -> None:
    text = "sim-1 is unplugged for 5 s"
    assert ask(workers_of(2), m.AskFault("unplug", stick_id(1)), 3.0) == [
        LogEvent("warning", "fault", text),
        Unplug(stick_id(1)),
        replied(text),
    ]


def test_requests_that_change_something_are_a_closed_union_and_any_other_is_an_error_of_the_caller() -> None:
    assert set(get_args(ClientMessage)) == {m.AskSwitch, m.AskFault, ChangeJob, ChangeStick, JobGiven}
    with pytest.raises(AssertionError):
        ask(WorkersSetup(1), m.AskStatus(), 3.0)  # type: ignore[arg-type]


# -- the bus


def test_a_stick_that_is_new_is_plugged_in_and_started() -> None:
    setup = WorkersSetup(1)
    assert bus(setup, StickFound(spec(2)), 5.0) == [LogEvent("info", "sim-2", "is plugged in"), Spawn(worker(2), "default")]
    assert list(setup.sticks.by_id) == ["sim-1", "sim-2"]


def test_a_stick_that_is_there_already_is_not_plugged_in_again() -> None:
    assert bus(WorkersSetup(1), StickFound(spec(1)), 5.0) == []


def test_a_stick_of_a_pool_that_is_not_configured_is_ignored() -> None:
    setup = WorkersSetup(1)
    text = 'belongs to pool "usb", which is not configured: ignored'
    assert bus(setup, StickFound(spec(2, pool="usb")), 5.0) == [
        LogEvent("info", "sim-2", "is plugged in"),
        LogEvent("error", "sim-2", text),
    ]


def test_a_stick_that_is_pulled_gives_its_turn_away() -> None:
    setup = workers_of(2)
    assert bus(setup, StickGone(stick_id(1)), 5.0) == [
        LogEvent("warning", "sim-1", "is unplugged"),
        LogEvent("warning", "worker sim-1", "killed: its stick is unplugged"),
        Kill(worker(1)),
    ]
    assert setup.workers.regulators["p0"].active == ["sim-2"]
    assert setup.duties == {"sim-1": 0.0, "sim-2": 1.0, "sim-3": 0.0, "sim-4": 0.0}


def test_a_stick_that_gets_another_name_is_not_called_unplugged() -> None:
    setup = WorkersSetup(1)
    text = "was left booted by another process; after a reset its id is its boot port"
    assert bus(setup, StickGone(stick_id(1), True), 5.0) == [
        LogEvent("info", "sim-1", text),
        LogEvent("warning", "worker sim-1", "killed: its stick is unplugged"),
        Kill(worker(1)),
    ]
    assert setup[1].renamed is True


def test_a_stick_that_is_not_known_cannot_go() -> None:
    assert bus(WorkersSetup(1), StickGone(stick_id(9)), 5.0) == []


def test_no_stick_is_started_while_the_daemon_stops_but_one_may_go() -> None:
    setup = WorkersSetup(1)
    setup.open(1)
    setup.engine.stop(4.0)
    assert bus(setup, StickFound(spec(2)), 5.0) == []
    assert list(setup.sticks.by_id) == ["sim-1"]
    assert bus(setup, StickGone(stick_id(1)), 5.0) == [LogEvent("warning", "sim-1", "is unplugged")], "its worker stops already"


def test_the_events_of_the_bus_are_a_closed_union_and_any_other_is_an_error_of_the_caller() -> None:
    assert set(get_args(BusEvent)) == {StickFound, StickGone, StickListed, DeviceIgnored}
    with pytest.raises(AssertionError):
        bus(WorkersSetup(1), m.Stop(), 5.0)  # type: ignore[arg-type]
