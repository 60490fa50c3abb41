"""A stop, and the end of every source, lead to exact actions of the engine."""

from __future__ import annotations

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Exit, Kill, LogEvent, Send, Spawn
from ncs_cluster.core.events import GATEWAY, OPERATOR, SINK
from ncs_cluster.core.work import Count
from ncs_cluster.types import Outcome, StickId
from tests.core.onedaemon import (
    CAM0,
    CAMERA,
    FOUND,
    ONE,
    STOPPING,
    TWO,
    Daemon,
    infer,
    running,
)


def finished() -> Daemon:
    daemon = running(ordered=True)
    daemon.capture(0)
    daemon.receive(CAMERA, m.SourceEnded(1))
    return daemon


def test_the_daemon_stops_by_itself_when_every_source_has_ended_and_every_result_is_written() -> None:
    daemon = finished()
    assert daemon.run(101.25) == [], "a frame is under way"
    daemon.receive(ONE, m.Inferred(1, Outcome(), 0.1))
    assert daemon.run(101.5) == [], "a record is not written yet"
    daemon.receive(SINK, m.Acked(0, b""))
    over = LogEvent("info", "daemon", "all sources have ended and all results are written")
    assert daemon.run(101.75) == [over, STOPPING, Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]
    assert daemon.run(102.0) == []


def test_a_daemon_without_results_stops_by_itself_too() -> None:
    daemon = running(results=False)
    daemon.receive(CAMERA, m.SourceEnded(0))
    over = LogEvent("info", "daemon", "all sources have ended and all results are written")
    assert daemon.run(101.25) == [over, STOPPING, Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]


def test_a_daemon_with_a_page_hints_at_what_would_keep_it() -> None:
    daemon = running(results=False, gateway=True)
    daemon.receive(CAMERA, m.SourceEnded(0))
    text = "all sources have ended and all results are written; --loop repeats them and keeps the page"
    assert daemon.run(101.25)[0] == LogEvent("info", "daemon", text)


def test_the_operators_stop_stops() -> None:
    daemon = running()
    assert daemon.receive(OPERATOR, e.StopRequested()) == [STOPPING, Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]


def test_a_second_stop_kills_everything_at_once() -> None:
    daemon = running(gateway=True)
    daemon.receive(OPERATOR, e.StopRequested())
    again = LogEvent("warning", "daemon", "second stop request: exiting now")
    kills = [Kill(CAMERA), Kill(ONE), Kill(SINK), Kill(GATEWAY)]
    assert daemon.receive(OPERATOR, e.StopRequested()) == [again, *kills, Exit(0)]


def test_a_stop_waits_for_what_is_under_way_and_drops_what_waits() -> None:
    daemon = running()
    daemon.capture(0)
    daemon.capture(1)
    assert daemon.receive(OPERATOR, e.StopRequested()) == [STOPPING]
    assert (daemon.count, daemon.engine.cameras.stopping) == (Count(begun=2, dropped=1), True)
    assert daemon.engine.dispatcher.waiting() == 0
    assert daemon.run(101.25) == []
    assert daemon.capture(2) == [], "no new frames"
    write, *stops = daemon.receive(ONE, m.Inferred(1, Outcome(), 0.1))
    assert isinstance(write, Send)
    assert write.to == SINK
    assert stops == [Send(CAMERA, m.Stop()), Send(ONE, m.Stop())], "at once, not at the next tick"
    daemon.receive(CAMERA, e.Exited("exit code 0", 0))
    assert daemon.receive(ONE, e.Exited("exit code 0", 0)) == []
    assert daemon.run(101.75) == [], "a record is not written yet"
    assert daemon.receive(SINK, m.Acked(0, b"")) == [Send(SINK, m.Stop())]
    assert daemon.receive(SINK, e.Exited("exit code 0", 0)) == [LogEvent("info", "daemon", "stopped"), Exit(0)]
    assert daemon.run(107.0) == [], "once"


@pytest.mark.parametrize("ordered", [True, False])
def test_a_frame_that_a_stick_died_with_was_under_way_in_an_ordered_stream_alone(ordered: bool) -> None:
    daemon = running(ordered=ordered, sticks=1)
    daemon.capture(0)
    daemon.receive(ONE, e.Exited("killed by SIGSEGV", -11))
    assert daemon.engine.dispatcher.waiting() == 1
    daemon.receive(OPERATOR, e.StopRequested())
    left = Count(begun=1) if ordered else Count(begun=1, dropped=1)
    assert (daemon.count, daemon.engine.dispatcher.waiting()) == (left, 1 if ordered else 0)


def test_a_frame_that_comes_back_while_the_daemon_drains_is_handed_over_again() -> None:
    daemon = running(ordered=True, sticks=2)
    daemon.capture(0)
    daemon.receive(OPERATOR, e.StopRequested())
    assert daemon.receive(ONE, e.Exited("killed by SIGSEGV", -11)) == [
        LogEvent("warning", "worker sim-1", "ended (killed by SIGSEGV), restarting"),
        Spawn(ONE, "default"),
        infer(2, 0, TWO),
    ]


def test_frames_that_were_never_handed_over_are_dropped_at_a_stop_in_an_ordered_stream_too() -> None:
    daemon = running(ordered=True)
    for frame in range(3):
        daemon.capture(frame)
    daemon.receive(OPERATOR, e.StopRequested())
    assert (daemon.count, daemon.engine.dispatcher.waiting()) == (Count(begun=3, dropped=1), 0)


def test_while_sticks_are_closed_nothing_is_handed_over_or_waited_for() -> None:
    daemon = running(ordered=True)
    daemon.capture(0)
    daemon.receive(OPERATOR, e.StopRequested())
    daemon.run(103.0)
    assert daemon.run(103.25) == [Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]
    daemon.engine.dispatcher.detach(StickId("sim-1"))
    queue = daemon.engine.dispatcher.attach(StickId("sim-2"), 2)
    queue.duty, daemon.engine.dispatcher.choice.deadline_s = 1.0, 103.3
    assert daemon.engine.wake(103.3) == []
    assert (daemon.engine.dispatcher.deadline_s, queue.in_flight) == (None, {})


def test_what_is_not_finished_in_time_is_given_up_and_written_with_its_reason() -> None:
    daemon = running(ordered=True)
    daemon.capture(0)
    daemon.receive(OPERATOR, e.StopRequested())
    assert daemon.run(103.5) == [Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]
    assert (daemon.count, daemon.engine.dispatcher.at_work("default")) == (Count(begun=1), 1)
    (write,) = daemon.run(103.75)
    assert isinstance(write, Send)
    assert write.message.record.outcome.error == "not finished: the daemon was stopped"
    assert (daemon.count, daemon.engine.dispatcher.at_work("default")) == (Count(begun=1, given_up=1), 0)


def test_a_result_that_waits_for_its_distances_is_written_without_them_when_the_time_is_over() -> None:
    daemon = running(gateway=True)
    daemon.receive(GATEWAY, m.Watch(CAM0, 1))
    daemon.capture(0)
    daemon.receive(ONE, m.Inferred(1, Outcome([FOUND]), 0.1))
    daemon.receive(OPERATOR, e.StopRequested())
    daemon.run(103.5)
    assert daemon.count == Count(begun=1)
    daemon.run(103.75)
    assert daemon.count == Count(begun=1, result=1)


def test_records_that_could_not_be_written_are_counted_at_the_end() -> None:
    daemon = running()
    daemon.capture(0)
    daemon.receive(ONE, m.Inferred(1, Outcome(), 0.1))
    daemon.receive(OPERATOR, e.StopRequested())
    for endpoint in (CAMERA, ONE):
        daemon.receive(endpoint, e.Exited("exit code 0", 0))
    daemon.run(104.25)
    assert daemon.receive(SINK, e.Exited("exit code 0", 0)) == [
        LogEvent("error", "sink", "1 result not written before exit"),
        LogEvent("info", "daemon", "stopped"),
        Exit(0),
    ]


def test_a_sink_that_waits_for_its_next_start_is_started_at_a_stop_and_writes_what_it_has() -> None:
    """There is no later for what it holds."""
    daemon = finished()
    sink = daemon.engine.sinks.by_name[""].child
    sink.failures = 3
    daemon.receive(SINK, e.Exited("killed by SIGKILL", -9))
    daemon.receive(ONE, m.Inferred(1, Outcome(), 0.1))
    assert daemon.run(102.0) == [], "the sink waits for 5 s"
    stopped = daemon.receive(OPERATOR, e.StopRequested())
    assert stopped[:2] == [STOPPING, Spawn(SINK, "default")]
    daemon.receive(SINK, e.Exited("exit code 1", 1))
    assert Spawn(SINK, "default") in daemon.run(102.25), "and again when it fails"
    (write,) = [action.message for action in daemon.open(SINK) if isinstance(action.message, m.Write)]  # type: ignore[union-attr]
    assert write.record.frame == 0
    daemon.receive(SINK, m.Acked(0, b"100"))
    daemon.receive(CAMERA, e.Exited("exit code 0", 0))
    assert daemon.receive(ONE, e.Exited("exit code 0", 0)) == [Send(SINK, m.Stop())]
    assert daemon.receive(SINK, e.Exited("exit code 0", 0)) == [LogEvent("info", "daemon", "stopped"), Exit(0)]


def test_a_sink_without_records_is_not_started_for_a_stop() -> None:
    daemon = running()
    daemon.receive(SINK, m.Failed("open", "busy"))
    daemon.engine.sinks.by_name[""].child.failures = 3
    daemon.receive(SINK, e.Exited("exit code 1", 1))
    assert Spawn(SINK, "default") not in daemon.receive(OPERATOR, e.StopRequested())
