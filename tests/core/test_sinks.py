"""What the sink says leads to exact actions, and to the state of its process and outbox."""

from __future__ import annotations

import pytest
from ncs_cluster.core.sink import Sink

from ncs_cluster import messages as m
from ncs_cluster.core.actions import LogEvent, Send, Spawn
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.events import SINK, Exited
from ncs_cluster.specs import SinkSpec

SPEC = SinkSpec("results.jsonl")
HELLO = m.Hello(m.PROTOCOL, 7, "3.11")


def started() -> Sink:
    sink = Sink(SPEC, Limits(silent_s=7.0))
    assert sink.child.start(0.0) == [Spawn(SINK, "default")]
    return sink


def opened(written: int = 0, offset: int = 0) -> Sink:
    sink = started()
    sink.handle(HELLO, 1.0)
    sink.handle(m.SinkOpened(written, offset), 2.0)
    return sink


def test_a_new_sink_has_opened_and_blocked_nothing() -> None:
    sink = Sink(SPEC, Limits(silent_s=7.0))
    assert (sink.spec, sink.blocked, sink.ever_opened) == (SPEC, None, False)
    assert sink.child.limits == Limits(silent_s=7.0)
    assert sink.pump() == []


def test_a_sink_that_greets_is_told_what_to_open() -> None:
    sink = started()
    assert sink.handle(HELLO, 1.0) == [Send(SINK, m.OpenSink(SPEC, None))]
    assert sink.child.state is State.OPENING


def test_a_sink_that_has_opened_runs_and_its_records_are_sent_once() -> None:
    sink = started()
    sink.outbox.put(b"zero")
    sink.outbox.put(b"one")
    sink.handle(HELLO, 1.0)
    assert sink.pump() == []
    assert sink.handle(m.SinkOpened(0, 40), 2.0) == []
    assert (sink.child.state, sink.child.deadline_s) == (State.RUNNING, 9.0)
    assert (sink.ever_opened, sink.outbox.offset) == (True, 40)
    assert sink.pump() == [Send(SINK, m.Write(0, b"zero")), Send(SINK, m.Write(1, b"one"))]
    assert sink.pump() == []


def test_records_that_are_acknowledged_are_written_and_the_next_sink_goes_on_behind_them() -> None:
    sink = opened()
    for record in (b"zero", b"one", b"two"):
        sink.outbox.put(record)
    sink.pump()
    assert sink.handle(m.Acked(0, 5), 3.0) == []
    assert (sink.outbox.written, sink.outbox.kept, sink.outbox.offset) == (1, 2, 5)
    sink.handle(Exited("exit code 1", 1), 4.0)
    assert sink.handle(HELLO, 5.0) == [Send(SINK, m.OpenSink(SPEC, 5))]
    # the sink that died had written the record "one" but had not acknowledged it
    assert sink.handle(m.SinkOpened(1, 9), 6.0) == []
    assert (sink.outbox.written, sink.outbox.kept, sink.outbox.offset) == (2, 1, 9)
    assert sink.pump() == [Send(SINK, m.Write(2, b"two"))]


def test_a_sink_that_ends_is_started_again_and_its_outbox_is_closed() -> None:
    sink = opened()
    sink.outbox.put(b"zero")
    assert sink.handle(Exited("exit code 1", 1), 3.0) == [
        LogEvent("warning", "sink", "ended (exit code 1), starting it again"),
        Spawn(SINK, "default"),
    ]
    assert sink.outbox.open is False
    assert sink.pump() == []
    assert sink.outbox.kept == 1


def test_a_sink_that_cannot_write_says_why_and_that_it_writes_again() -> None:
    sink = opened()
    assert sink.handle(m.SinkBlocked("disk full"), 3.0) == [LogEvent("error", "sink", "cannot write: disk full")]
    assert sink.blocked == "disk full"
    assert sink.handle(m.SinkBlocked(None), 4.0) == [LogEvent("info", "sink", "writes again")]
    assert sink.blocked is None


def test_a_new_sink_that_has_opened_is_not_blocked_as_the_one_before_it() -> None:
    sink = opened()
    sink.handle(m.SinkBlocked("disk full"), 3.0)
    sink.handle(Exited("exit code 1", 1), 4.0)
    sink.handle(HELLO, 5.0)
    assert sink.blocked == "disk full"
    sink.handle(m.SinkOpened(0, 0), 6.0)
    assert sink.blocked is None


def test_what_every_child_may_say_is_not_for_the_sink() -> None:
    sink = opened()
    assert sink.handle(m.Heartbeat(), 3.0) == []
    assert sink.child.deadline_s == 9.0


@pytest.mark.parametrize(
    ("path", "offset", "gone"),
    [("-", None, False), ("-", 0, True), ("-", 40, True), ("results.jsonl", None, False), ("results.jsonl", 40, False)],
)
def test_only_standard_output_that_was_open_once_loses_its_reader_for_ever(path: str, offset: int | None, gone: bool) -> None:
    sink = Sink(SinkSpec(path), Limits())
    sink.outbox.offset = offset
    assert sink.only_reader_gone is gone
    assert sink.ever_opened is (offset is not None)
