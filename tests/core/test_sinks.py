"""What a sink says leads to exact actions, and to the state of its process and outbox; sinks come and go side by side."""

from __future__ import annotations

import pytest
from msgspec import structs

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Kill, LogEvent, Send, Spawn
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.events import SINK, SpawnFailed
from ncs_cluster.core.sinks import Sink, Sinks
from tests.core.onecamera import HELLO, REFUSED, STOPPED, FakeDaemon
from tests.core.onesink import DIED, SPEC, record, started


def opened(daemon: FakeDaemon | None = None) -> Sink:
    sink = started(daemon)
    sink.handle(HELLO, 1.0)
    sink.handle(m.SinkOpened(0, b"0"), 2.0)
    return sink


# -- one sink


def test_a_new_sink_has_opened_and_blocked_nothing() -> None:
    sink = Sink(SPEC, FakeDaemon(), Limits(silent_s=7.0))
    assert (sink.spec, sink.blocked, sink.ever_opened, sink.closing) == (SPEC, None, False, False)
    assert sink.closing is False
    assert sink.child.limits == Limits(silent_s=7.0)
    assert sink.child.endpoint == SINK
    assert sink.pump() == []


def test_a_sink_that_greets_is_told_what_to_open() -> None:
    sink = started()
    assert sink.handle(HELLO, 1.0) == [Send(SINK, m.OpenSink(SPEC, 0, None))]
    assert (sink.child.state, sink.child.pid) == (State.OPENING, 7)
    assert sink.handle(HELLO, 1.0) == [], "it has greeted before"


def test_a_sink_of_another_version_is_killed() -> None:
    sink = started()
    text = f"killed: uses protocol {m.PROTOCOL + 1}, not {m.PROTOCOL}: install the daemon's version for its interpreter"
    assert sink.handle(m.Hello(m.PROTOCOL + 1, 7, "3.11"), 1.0) == [LogEvent("warning", "sink", text), Kill(SINK)]


def test_a_sink_that_has_opened_runs_and_its_records_are_sent_once() -> None:
    sink = started()
    sink.outbox.put(record(0))
    sink.outbox.put(record(1))
    sink.handle(HELLO, 1.0)
    assert sink.pump() == []
    assert sink.handle(m.SinkOpened(0, b"40"), 2.0) == []
    assert (sink.child.state, sink.child.deadline_s) == (State.RUNNING, 9.0)
    assert (sink.ever_opened, sink.outbox.token) == (True, b"40")
    assert sink.pump() == [Send(SINK, m.Write(0, record(0))), Send(SINK, m.Write(1, record(1)))]
    assert sink.pump() == []


def test_records_that_are_acknowledged_are_written_and_the_next_sink_resumes_behind_them() -> None:
    sink = opened()
    for frame in range(3):
        sink.outbox.put(record(frame))
    sink.pump()
    assert sink.handle(m.Acked(0, b"5"), 3.0) == []
    assert (sink.outbox.written, sink.outbox.kept, sink.outbox.token) == (1, 2, b"5")
    sink.handle(DIED, 4.0)
    assert sink.handle(HELLO, 5.0) == [Send(SINK, m.OpenSink(SPEC, 1, b"5"))]
    # the sink that died had written record 1 but had not acknowledged it
    assert sink.handle(m.SinkOpened(2, b"9"), 6.0) == []
    assert (sink.outbox.written, sink.outbox.kept, sink.outbox.token) == (2, 1, b"9")
    assert sink.pump() == [Send(SINK, m.Write(2, record(2)))]


def test_a_sink_that_ends_is_started_again_and_its_outbox_is_closed() -> None:
    sink = opened()
    sink.outbox.put(record(0))
    assert sink.handle(DIED, 3.0) == [
        LogEvent("warning", "sink", "ended (exit code 1), restarting"),
        Spawn(SINK, "default"),
    ]
    assert sink.outbox.open is False
    assert sink.pump() == []
    assert sink.outbox.kept == 1


def test_a_sink_that_cannot_write_says_why_and_that_it_writes_again() -> None:
    sink = opened()
    assert sink.handle(m.SinkBlocked("disk full"), 3.0) == [LogEvent("error", "sink", "cannot write: disk full")]
    assert sink.blocked == "disk full"
    assert sink.handle(m.SinkBlocked(None), 4.0) == [LogEvent("info", "sink", "writing again")]
    assert sink.blocked is None


def test_a_new_sink_that_has_opened_is_not_blocked_as_the_one_before_it() -> None:
    sink = opened()
    sink.handle(m.SinkBlocked("disk full"), 3.0)
    sink.handle(DIED, 4.0)
    sink.handle(HELLO, 5.0)
    assert sink.blocked == "disk full"
    sink.handle(m.SinkOpened(0, b"0"), 6.0)
    assert sink.blocked is None


def test_a_word_of_a_sink_says_that_it_lives() -> None:
    sink = opened()
    assert sink.handle(m.Heartbeat(), 3.0) == []
    assert sink.child.deadline_s == 10.0


def test_what_a_killed_sink_still_says_does_not_count() -> None:
    sink = opened()
    sink.child.kill(3.0, "it hangs")
    assert sink.handle(m.SinkBlocked("disk full"), 4.0) == []
    assert sink.blocked is None


def test_a_sink_that_cannot_be_started_is_tried_again_late() -> None:
    text = "ended (could not be started; no python), next try in 60 s"
    assert started().handle(SpawnFailed("no python"), 1.0) == [LogEvent("warning", "sink", text)]


@pytest.mark.parametrize(("ever", "stopping", "refused"), [(False, False, True), (True, False, False), (False, True, False)])
def test_a_place_that_can_never_be_written_and_never_was_ends_the_daemon(ever: bool, stopping: bool, refused: bool) -> None:
    daemon = FakeDaemon()
    sink = opened(daemon) if ever else started(daemon)
    daemon.stopping = stopping
    assert sink.handle(m.Failed("open", "is a directory", permanent=True), 3.0) == ([REFUSED] if refused else [])
    assert daemon.asked == ([("sink", "is a directory")] if refused else [])


@pytest.mark.parametrize("ever", [False, True])
def test_another_failure_of_a_sink_is_the_reason_of_its_end(ever: bool) -> None:
    daemon = FakeDaemon()
    sink = opened(daemon) if ever else started(daemon)
    assert sink.handle(m.Failed("open", "busy"), 3.0) == []
    assert daemon.asked == []
    again = "restarting" if ever else "next try in 1 s"
    assert sink.handle(DIED, 4.0)[0] == LogEvent("warning", "sink", f"ended (exit code 1; busy), {again}")


@pytest.mark.parametrize("stopping", [False, True])
def test_a_sink_whose_only_reader_has_gone_stops_the_daemon(stopping: bool) -> None:
    """As `ncs-clusterd --results - | head`."""
    daemon = FakeDaemon()
    sink = opened(daemon)
    daemon.stopping = stopping
    said = [LogEvent("info", "sink", "no reader any more: stopping"), STOPPED]
    assert sink.handle(m.Failed(m.NO_READER, "no reader any more", permanent=True), 3.0) == ([] if stopping else said)
    assert daemon.asked == ([] if stopping else [3.0])


# -- the sinks of a job


def of_a_job() -> Sink:
    sink = Sink(structs.replace(SPEC, ledger="/out/ledger.sqlite"), FakeDaemon(), Limits())
    sink.child.start(0.0)
    sink.handle(HELLO, 1.0)
    sink.handle(m.SinkOpened(0, b"0"), 2.0)
    return sink


def test_a_jobs_sink_is_asked_to_finish_and_so_is_the_next_process() -> None:
    sink = of_a_job()
    assert sink.finish() == [Send(SINK, m.FinishSink())]
    sink.handle(DIED, 3.0)
    assert (sink.finishing, sink.result) == (True, None)
    sink.handle(HELLO, 4.0)
    assert sink.handle(m.SinkOpened(0, b"0"), 5.0) == [Send(SINK, m.FinishSink())]
    assert sink.handle(m.SinkFinished(True, 7), 6.0) == []
    assert sink.result == m.SinkFinished(True, 7)


def test_a_sink_that_has_finished_what_it_was_not_asked_for_is_killed() -> None:
    sink = of_a_job()
    text = "killed: sent SinkFinished, not requested"
    assert sink.handle(m.SinkFinished(True, 0), 3.0) == [LogEvent("warning", "sink", text), Kill(SINK)]
    assert sink.result is None


def test_a_record_without_named_sinks_goes_to_all_that_are_no_jobs() -> None:
    specs = [SPEC, structs.replace(SPEC, name="2"), structs.replace(SPEC, name="1/csv", ledger="/out/ledger.sqlite")]
    sinks = Sinks(specs, FakeDaemon(), Limits())
    sinks.put(record(0), None, live=True)
    assert {name: sink.outbox.kept for name, sink in sinks.by_name.items()} == {"": 1, "2": 1, "1/csv": 0}
    sinks.put(record(0), ["1/csv"], live=False)
    assert {name: sink.outbox.kept for name, sink in sinks.by_name.items()} == {"": 1, "2": 1, "1/csv": 1}


def test_a_sink_that_only_tells_of_the_daemon_gets_no_record_and_holds_no_stream_up() -> None:
    teller = structs.replace(SPEC, name="notify", records=False)
    sinks = Sinks([SPEC, teller], FakeDaemon(), Limits())
    while not sinks.full(None):
        sinks.put(record(0), None, live=False)
    assert sinks.by_name["notify"].outbox.kept == 0
    alone = Sinks([teller], FakeDaemon(), Limits())
    for number in range(10_000):
        alone.put(record(number), None, live=False)
    assert (alone.kept, alone.full(None)) == (0, False)


def test_a_sink_that_only_tells_of_the_daemon_says_in_its_own_words_that_it_cannot() -> None:
    sink = Sink(structs.replace(SPEC, records=False), FakeDaemon(), Limits(silent_s=7.0))
    sink.child.start(0.0)
    sink.handle(HELLO, 1.0)
    assert sink.handle(m.SinkBlocked("it answers 500"), 3.0) == [LogEvent("error", "sink", "cannot work: it answers 500")]
    assert sink.handle(m.SinkBlocked(None), 4.0) == [LogEvent("info", "sink", "works again")]


def test_new_settings_leave_the_sinks_of_jobs_alone() -> None:
    of_job = structs.replace(SPEC, name="1/csv", ledger="/out/ledger.sqlite")
    sinks = Sinks([SPEC, of_job], FakeDaemon(), Limits())
    sinks.configure([], 5.0)
    assert {name: sink.closing for name, sink in sinks.by_name.items()} == {"1/csv": False}


@pytest.mark.parametrize("ledger", [None, "/out/ledger.sqlite"])
def test_what_a_removed_sink_could_not_write_is_lost_unless_its_job_does_it_again(ledger: str | None) -> None:
    sink = Sink(structs.replace(SPEC, ledger=ledger), FakeDaemon(), Limits())
    sink.outbox.put(record(0))
    lost = [LogEvent("error", "sink", "1 result could not be written before it was removed")]
    assert sink.discard() == ([] if ledger else lost)


@pytest.mark.parametrize("added", [False, True])
def test_a_place_that_can_never_be_written_ends_a_daemon_that_was_started_with_it(added: bool) -> None:
    daemon = FakeDaemon()
    sink = Sink(SPEC, daemon, Limits(), added=added)
    sink.child.start(0.0)
    sink.handle(HELLO, 1.0)
    assert sink.handle(m.Failed("open", "is a folder", permanent=True), 2.0) == ([] if added else [REFUSED])
    assert sink.refused == ("is a folder" if added else None)
