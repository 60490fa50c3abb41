"""What the worker of a stick says, by exact actions: answers, losses, deaths; and a stick that answers too late."""

from __future__ import annotations

from typing import get_args

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Kill, LogEvent, Send, Spawn
from ncs_cluster.core.child import State
from ncs_cluster.core.work import Count
from ncs_cluster.core.worker import WorkerMessage
from ncs_cluster.types import Outcome
from tests.core.onepool import GRAPH, stick_id, worker
from tests.core.oneworkers import CAMERA, POOL, WorkersSetup


def test_the_messages_of_a_worker_are_a_closed_union_and_any_other_is_an_error_of_the_caller() -> None:
    assert set(get_args(WorkerMessage)) == {*get_args(m.FromWorker), *get_args(e.ProcessEvent)}
    setup = WorkersSetup()
    setup.open(1)
    with pytest.raises(AssertionError):
        setup.receive(1, m.SinkBlocked("disk full"), 2.0)


# -- a worker begins


def test_a_hello_is_answered_with_what_to_open_and_then_with_every_pool() -> None:
    setup = WorkersSetup()
    assert setup.receive(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.0) == [
        Send(worker(1), m.OpenStick(setup[1].spec, [GRAPH], 1.0)),
        Send(worker(1), m.MapPool(POOL), pool=1),
    ]
    assert (setup[1].child.state, setup[1].child.pid) == (State.OPENING, 77)


def test_a_worker_of_another_version_is_killed() -> None:
    setup = WorkersSetup()
    why = f"uses protocol 1, not {m.PROTOCOL}: install the daemon's version for its interpreter"
    assert setup.receive(1, m.Hello(1, 77, "3.11"), 1.0) == [LogEvent("warning", "worker sim-1", f"killed: {why}"), Kill(worker(1))]


def test_a_worker_whose_turn_has_not_come_is_sent_nothing_until_it_comes() -> None:
    setup = WorkersSetup(stagger_s=0.5)
    setup.receive(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.0)
    assert setup.receive(2, m.Hello(m.PROTOCOL, 78, "3.11"), 1.1) == []
    assert setup.workers.open_due(1.4) == []
    assert setup.workers.open_due(1.5) == [
        Send(worker(2), m.OpenStick(setup[2].spec, [GRAPH], 1.0)),
        Send(worker(2), m.MapPool(POOL), pool=1),
    ]


def test_a_stick_that_is_open_gets_work() -> None:
    setup = WorkersSetup()
    setup.receive(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.0)
    assert setup.receive(1, m.StickOpened("a device", False, 2), 2.0) == [LogEvent("info", "sim-1", "is ready: a device")]
    assert setup.duties == {"sim-1": 1.0}


def test_a_stick_that_is_opened_unasked_ends_its_worker() -> None:
    setup = WorkersSetup()
    setup.open(1)
    assert setup.receive(1, m.StickOpened("a device", False, 2), 2.0) == [
        LogEvent("warning", "worker sim-1", "killed: sent StickOpened, not requested"),
        Kill(worker(1)),
    ]
    assert setup.duties == {"sim-1": 0.0}


def test_a_stick_that_is_opened_by_a_stopping_worker_is_not_used() -> None:
    setup = WorkersSetup()
    setup.receive(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.0)
    setup[1].child.stop(1.5)
    assert setup.receive(1, m.StickOpened("a device", False, 2), 2.0) == []
    assert (setup.duties, setup[1].child.state) == ({}, State.STOPPING)


def test_every_message_of_a_running_worker_extends_its_deadline() -> None:
    setup = WorkersSetup()
    setup.open(1)
    assert setup.receive(1, m.Heartbeat(), 4.0) == []
    assert setup[1].child.deadline_s == 9.0


def test_late_messages_of_a_worker_that_was_killed_are_ignored() -> None:
    setup = WorkersSetup()
    setup.open(1)
    setup[1].child.kill(2.0, "hangs")
    assert setup.receive(1, m.StickLost("it hangs"), 2.1) == []
    assert (setup[1].reset_epoch, list(setup.dispatcher.queues)) == (0, ["sim-1"])


def test_a_reading_is_acted_on_at_once() -> None:
    setup = WorkersSetup()
    setup.receive(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.0)
    setup.receive(1, m.StickOpened("a device", True, 2), 1.0)
    assert setup.receive(1, m.Telemetry(70.0), 2.0) == [
        LogEvent("info", "sim-1", "is too hot (70.0 °C): resting", "times a stick was too hot"),
        LogEvent("warning", "clusters", "every stick is too hot: no frame is processed"),
    ]


# -- answers


def test_an_answer_is_published_and_its_slot_is_granted_again() -> None:
    setup = WorkersSetup()
    setup.open(1)
    unit = setup.hand_over(0, 10.0)
    assert (unit.ticket, unit.stick, setup.camera.slots and setup.camera.slots.leased) == (1, "sim-1", 1)
    setup.camera.slots.revoke_grants()  # type: ignore[union-attr]
    assert setup.receive(1, m.Inferred(1, Outcome(), 0.1), 10.1) == [Send(CAMERA, m.Grant(1, 0)), Send(CAMERA, m.Grant(1, 1))]
    assert (setup[1].inferences, setup.workers.health.last_good_s, setup[1].child.last_error) == (1, 10.1, None)
    assert (setup.count, setup.outbox.kept) == (Count(begun=1, result=1), 1)
    assert setup.dispatcher.queues[stick_id(1)].service.mean_s == pytest.approx(0.1)


def test_an_answer_to_nothing_leads_to_nothing() -> None:
    setup = WorkersSetup()
    setup.open(1)
    setup.hand_over(0, 10.0)
    assert setup.receive(1, m.Inferred(99, Outcome(), 0.1), 10.1) == []
    assert (setup[1].inferences, setup.workers.health.last_good_s, setup.count) == (0, None, Count(begun=1))


def test_an_answer_with_an_error_gives_the_frame_up_and_is_the_last_error_of_its_stick() -> None:
    setup = WorkersSetup()
    setup.open(1)
    setup.hand_over(0, 10.0)
    setup.receive(1, m.Inferred(1, Outcome(error="x" * 401), 0.1), 10.1)
    assert (setup[1].inferences, setup[1].failed, setup[1].child.last_error) == (0, 1, "x" * 400)
    assert setup.count == Count(begun=1, given_up=1)
    setup.hand_over(1, 15.0)
    setup.receive(1, m.Inferred(2, Outcome(error="no blob"), 0.1), 15.2)
    assert setup.workers.health.failing(15.2) == "every inference fails: no blob"


# -- losses and deaths


def test_a_stick_that_is_lost_is_opened_again_by_its_worker_while_its_frame_goes_to_another() -> None:
    setup = WorkersSetup()
    setup.open(1, 2)
    unit = setup.hand_over(0, 10.0)
    assert setup.receive(1, m.StickLost("stick sim-1: it hangs"), 11.0) == [
        LogEvent("warning", "worker sim-1", "it hangs: resetting and reopening the stick"),
        Send(worker(1), m.Reopen()),
    ]
    assert (setup[1].reset_epoch, setup[1].resets, setup[1].child.failures, setup[1].child.state) == (1, 1, 1, State.OPENING)
    assert (unit.tried, unit.stick, setup.duties, setup.regulator.active) == (["sim-1"], None, {"sim-2": 1.0}, ["sim-2"])
    assert [each.stick for each in setup.dispatcher.assign(11.0)] == ["sim-2"]


def test_a_lost_stick_that_has_to_wait_is_reopened_when_its_turn_comes() -> None:
    setup = WorkersSetup(stagger_s=0.5)
    setup.open(1)
    setup.sticks.boots.request(stick_id(9), 10.0)
    assert setup.receive(1, m.StickLost("it hangs"), 10.1) == [
        LogEvent("warning", "worker sim-1", "it hangs: resetting and reopening the stick")
    ]
    assert setup.workers.open_due(10.4) == []
    assert setup.workers.open_due(10.5) == [Send(worker(1), m.Reopen())]


@pytest.mark.parametrize(("exclusive_boot", "deadline_s"), [(False, None), (True, 25.0)])
def test_a_lost_stick_whose_boot_is_to_be_learned_from_boots_alone(exclusive_boot: bool, deadline_s: float | None) -> None:
    setup = WorkersSetup(1, exclusive_boot=exclusive_boot)
    setup.open(1)
    setup.receive(1, m.StickLost("it hangs"), 10.0)
    assert setup.sticks.boots.request(stick_id(9), 10.0) is not exclusive_boot
    assert setup.sticks.boots.deadline_s == deadline_s


@pytest.mark.parametrize("opening", [False, True])
def test_a_stick_that_is_lost_before_it_was_open_ends_its_worker(opening: bool) -> None:
    setup = WorkersSetup()
    if opening:
        setup.receive(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.0)
    assert setup.receive(1, m.StickLost("it hangs"), 2.0) == [
        LogEvent("warning", "worker sim-1", "killed: sent StickLost before StickOpened"),
        Kill(worker(1)),
    ]
    assert (setup[1].reset_epoch, setup[1].resets) == (0, 0)


def test_a_stick_that_is_lost_again_and_again_ends_its_worker() -> None:
    setup = WorkersSetup()
    setup.open(1)
    for now_s in (10.0, 11.0, 12.0):
        setup.receive(1, m.StickLost("it hangs"), now_s)
        setup.receive(1, m.StickOpened("a device", False, 2), now_s + 0.5)
    assert setup.receive(1, m.StickLost("it hangs"), 13.0) == [
        LogEvent("warning", "worker sim-1", "killed: it hangs, 4 times in a row"),
        Kill(worker(1)),
    ]
    assert (setup[1].reset_epoch, setup[1].resets) == (4, 3)


def test_a_stick_that_is_lost_while_its_worker_stops_is_not_opened_again() -> None:
    setup = WorkersSetup()
    setup.open(1)
    setup[1].child.stop(5.0)
    assert setup.receive(1, m.StickLost("it hangs"), 5.1) == []
    assert (setup[1].reset_epoch, setup[1].resets, setup.duties) == (1, 0, {})


def test_a_loss_with_a_frame_that_another_stick_died_with_does_not_count_against_the_stick() -> None:
    setup = WorkersSetup()
    setup.open(1, 2)
    setup.hand_over(0, 10.0)
    setup.receive(1, m.StickLost("it hangs"), 11.0)
    setup.dispatcher.assign(11.0)
    setup.receive(2, m.StickLost("it hangs"), 12.0)
    assert (setup[1].child.failures, setup[2].child.failures) == (1, 0)


def test_a_frame_that_three_sticks_died_with_is_given_up_with_their_names() -> None:
    setup = WorkersSetup(3)
    setup.open(1, 2, 3)
    unit = setup.hand_over(0, 10.0)
    for number in (1, 2, 3):
        setup.receive(number, m.StickLost("it hangs"), 10.0 + number)
        setup.dispatcher.assign(10.0 + number)
    assert (unit.ended, setup.count) == ("given_up", Count(begun=1, given_up=1))
    setup.outbox.opened(0, b"")
    ((_, record),) = setup.outbox.sendable()
    assert record.outcome == Outcome(error="given up: 3 stick failures with this frame in flight (sim-1, sim-2, sim-3)")


def test_a_worker_that_dies_is_started_again_and_its_frame_goes_to_another() -> None:
    setup = WorkersSetup()
    setup.open(1, 2)
    setup.hand_over(0, 10.0)
    assert setup.receive(1, e.Exited("killed by SIGSEGV", -11), 11.0) == [
        LogEvent("warning", "worker sim-1", "ended (killed by SIGSEGV), restarting"),
        Spawn(worker(1), "default"),
    ]
    assert (setup[1].child.failures, setup[1].child.last_error, setup.duties) == (1, "killed by SIGSEGV", {"sim-2": 1.0})
    assert [each.stick for each in setup.dispatcher.assign(11.0)] == ["sim-2"]
    assert setup.receive(2, e.Exited("killed by SIGSEGV", -11), 12.0)[:1] == [
        LogEvent("warning", "worker sim-2", "ended (killed by SIGSEGV), restarting")
    ]
    assert (setup[2].child.failures, setup.regulator.active) == (0, []), "the frame is to blame"


def test_a_worker_that_dies_waits_for_no_boot_any_more() -> None:
    setup = WorkersSetup(stagger_s=0.5)
    setup.sticks.boots.request(stick_id(9), 1.0)
    setup.receive(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.1)
    assert setup.sticks.boots.waiting == ["sim-1"]
    setup.receive(1, e.Exited("exit code 1", 1), 1.2)
    assert setup.sticks.boots.waiting == []


def test_the_death_of_a_worker_whose_stick_was_pulled_is_called_unplugged() -> None:
    setup = WorkersSetup()
    setup.open(1)
    setup.sticks.gone(stick_id(1), 5.0)
    assert setup.receive(1, e.Exited("killed by SIGKILL", -9), 5.1) == []
    assert (setup[1].child.last_error, setup.duties) == ("unplugged", {})
    setup.sticks.found(setup[1].spec, 6.0)
    setup.sticks.gone(stick_id(1), 6.1)
    setup[1].child.last_error = None
    setup.receive(1, e.Exited("killed by SIGKILL", -9), 6.2)
    assert setup[1].child.last_error == "unplugged"


def test_a_worker_that_finds_no_stick_any_more_is_tried_again_after_two_seconds() -> None:
    setup = WorkersSetup()
    setup.open(1)
    assert setup.receive(1, m.Failed("gone", "stick sim-1: it is not there"), 5.0) == []
    assert setup[1].reported_missing is True
    assert setup.receive(1, e.Exited("exit code 1", 1), 5.1) == [
        LogEvent("warning", "worker sim-1", "ended (exit code 1; it is not there), next try in 2 s")
    ]


def test_any_other_failure_of_a_worker_is_handled_as_that_of_every_child() -> None:
    setup = WorkersSetup()
    setup.open(1)
    assert setup.receive(1, m.Failed("graph", "refused", True), 5.0) == []
    assert setup[1].reported_missing is False
    assert setup.receive(1, e.Exited("exit code 1", 1), 5.1) == [
        LogEvent("warning", "worker sim-1", "ended (exit code 1; refused), next try in 60 s")
    ]


def test_a_graph_that_another_stick_runs_is_not_refused_for_long() -> None:
    setup = WorkersSetup()
    setup.open(2)
    setup.receive(1, m.Hello(m.PROTOCOL, 101, "3.11"), 1.0)
    assert setup.receive(1, m.Failed("graph", "graph demo was refused: status 9", True), 5.0) == []
    assert setup.receive(1, e.Exited("exit code 1", 1), 5.1) == [
        LogEvent("warning", "worker sim-1", "ended (exit code 1; graph demo was refused: status 9), next try in 1 s")
    ]
