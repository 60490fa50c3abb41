"""Sticks that answer too late and workers that hang: exact actions."""

from __future__ import annotations

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Kill, LogEvent, Send, Spawn
from ncs_cluster.core.work import Count
from ncs_cluster.types import Outcome
from tests.core.onepool import worker
from tests.core.oneworkers import WorkersSetup

HANGS = "no result in time: stick hangs"


def test_a_stick_that_answers_too_late_ends_its_worker() -> None:
    setup = WorkersSetup()
    setup.open(1)
    setup.hand_over(0, 10.0)
    assert setup.workers.tick(20.0) == []
    assert setup.workers.tick(20.001) == [LogEvent("warning", "worker sim-1", f"killed: {HANGS}"), Kill(worker(1))]


def test_a_stick_that_can_be_reset_in_place_has_three_seconds_to_begin_with_that() -> None:
    setup = WorkersSetup()
    setup.open(1, can_reset=True)
    setup.hand_over(0, 10.0)
    setup.receive(1, m.Heartbeat(), 20.9)
    assert setup.workers.tick(21.0) == [Send(worker(1), m.ResetStick(HANGS))]
    setup.receive(1, m.Heartbeat(), 23.9)
    assert setup.workers.tick(23.999) == []
    assert setup.workers.tick(24.0) == [LogEvent("warning", "worker sim-1", f"killed: {HANGS}"), Kill(worker(1))]


@pytest.mark.parametrize("asked", [False, True])
def test_a_worker_that_sends_no_heartbeat_is_not_given_the_time_to_reset_its_stick(asked: bool) -> None:
    setup = WorkersSetup()
    setup.open(1, can_reset=True)
    setup.hand_over(0, 10.0)
    if asked:
        setup.receive(1, m.Heartbeat(), 20.0)
        assert setup.workers.tick(21.0) == [Send(worker(1), m.ResetStick(HANGS))]
    killed = LogEvent("warning", "worker sim-1", "killed: no result in time and no heartbeat: worker hangs")
    assert setup.workers.tick(22.1) == [killed, Kill(worker(1))]


def test_every_stick_that_is_late_is_ended() -> None:
    setup = WorkersSetup()
    setup.open(1, 2)
    setup.hand_over(0, 10.0)
    setup.hand_over(1, 10.0)
    assert setup.workers.tick(20.5) == [
        LogEvent("warning", "worker sim-1", f"killed: {HANGS}"),
        Kill(worker(1)),
        LogEvent("warning", "worker sim-2", f"killed: {HANGS}"),
        Kill(worker(2)),
    ]


def test_a_worker_that_does_not_run_any_more_is_not_asked_to_reset_its_stick() -> None:
    setup = WorkersSetup()
    setup.open(1, can_reset=True)
    setup.hand_over(0, 10.0)
    setup[1].child.stop(15.0)
    assert setup.workers.tick(21.0) == [LogEvent("warning", "worker sim-1", f"killed: {HANGS}"), Kill(worker(1))]


def test_the_frame_of_a_worker_that_cannot_be_killed_goes_to_another_stick() -> None:
    setup = WorkersSetup()
    setup.open(1, 2)
    setup.hand_over(0, 10.0)
    setup[1].child.kill(11.0, "hangs")
    setup.workers.requeue_fenced(15.9)
    assert sorted(setup.dispatcher.queues) == ["sim-1", "sim-2"]
    setup[1].child.tick(16.0)
    setup.workers.requeue_fenced(16.0)
    assert sorted(setup.dispatcher.queues) == ["sim-2"]
    assert [each.stick for each in setup.dispatcher.assign(16.0)] == ["sim-2"]


def test_a_stick_that_is_asked_to_reset_itself_is_asked_again_after_its_next_opening() -> None:
    setup = WorkersSetup(1)
    setup.open(1, can_reset=True)
    setup.hand_over(0, 10.0)
    setup.receive(1, m.Heartbeat(), 20.9)
    assert setup.workers.tick(21.0) == [Send(worker(1), m.ResetStick(HANGS))]
    setup.receive(1, m.StickLost("it hangs"), 21.5)
    setup.receive(1, m.StickOpened("a device", False, 2, None, True), 22.0)
    setup.dispatcher.assign(22.0)
    setup.receive(1, m.Heartbeat(), 32.0)
    assert setup.workers.tick(32.5) == [Send(worker(1), m.ResetStick(HANGS))]


def test_the_answer_to_a_frame_of_a_closed_stream_is_dropped() -> None:
    setup = WorkersSetup()
    setup.open(1)
    unit = setup.hand_over(0, 10.0)
    setup.engine.streams.close("cam0", 10.05)
    assert setup.receive(1, m.Inferred(1, Outcome(), 0.1), 10.1) == []
    assert (unit.ended, setup.count, setup.outbox.kept, setup[1].inferences) == ("dropped", Count(begun=1, dropped=1), 0, 1)


def test_the_death_of_a_worker_that_starts_again_with_new_settings_is_no_failure() -> None:
    setup = WorkersSetup()
    setup.open(1, 2)
    setup.hand_over(0, 10.0)
    assert setup[1].child.restart(10.1) == [Send(worker(1), m.Stop())]
    assert setup.receive(1, e.Exited("exit code 0", 0), 10.5) == [Spawn(worker(1), "default")]
    assert (setup[1].child.failures, setup[1].child.restarts, setup.duties) == (0, 0, {"sim-2": 1.0})
    assert [each.stick for each in setup.dispatcher.assign(10.5)] == ["sim-2"]
