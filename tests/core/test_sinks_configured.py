"""Several sinks side by side, and sinks that are added, removed and replaced."""

from __future__ import annotations

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action, Kill, LogEvent, Send, Spawn
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.events import SINK, Endpoint, Exited
from ncs_cluster.core.outbox import HIGH_WATER
from ncs_cluster.core.sinks import Sink, Sinks
from ncs_cluster.specs import SinkSpec
from tests.core.onecamera import HELLO, FakeDaemon
from tests.core.onesink import DIED, SPEC, record, started

ENDED = Exited("exit code 0", 0)


# -- several sinks


MAIN, OTHER = SPEC, SinkSpec("jsonl", {"path": "other.jsonl"}, "other.jsonl", "other")
OTHER_END = Endpoint("sink", "other")


def running(sink: Sink) -> Sink:
    sink.child.start(0.0)
    sink.handle(HELLO, 0.0)
    sink.handle(m.SinkOpened(0, b"0"), 0.0)
    return sink


def two(daemon: FakeDaemon | None = None) -> Sinks:
    sinks = Sinks([MAIN, OTHER], daemon or FakeDaemon(), Limits(silent_s=7.0))
    for sink in sinks.by_name.values():
        running(sink)
    return sinks


def stop(endpoint: Endpoint) -> Action:
    return Send(endpoint, m.Stop())


def kept(sinks: Sinks) -> dict[str, int]:
    return {name: sink.outbox.kept for name, sink in sinks.by_name.items()}


def test_all_sinks_start_under_their_names() -> None:
    sinks = Sinks([MAIN, OTHER], FakeDaemon(), Limits(silent_s=7.0))
    assert sinks.start(0.0) == [Spawn(SINK, "default"), Spawn(OTHER_END, "default")]
    assert {name: sink.spec for name, sink in sinks.by_name.items()} == {"": MAIN, "other": OTHER}
    assert sinks.by_name["other"].child.limits == Limits(silent_s=7.0)
    assert Sinks([], FakeDaemon(), Limits()).start(0.0) == []


@pytest.mark.parametrize(
    ("names", "put"),
    [
        (None, {"": 1, "other": 1}),
        (["other"], {"": 0, "other": 1}),
        (["", "unknown"], {"": 1, "other": 0}),
        ([], {"": 0, "other": 0}),
    ],
)
def test_a_record_goes_to_the_sinks_that_are_named_or_to_all(names: list[str] | None, put: dict[str, int]) -> None:
    sinks = two()
    sinks.put(record(0), names, live=True)
    assert kept(sinks) == put
    assert sinks.kept == sum(put.values())


@pytest.mark.parametrize("live", [False, True])
def test_a_record_says_whether_it_may_be_lost(live: bool) -> None:
    sinks = two()
    sinks.put(record(0), None, live=live)
    assert [each.live for sink in sinks.by_name.values() for each in sink.outbox._kept] == [live, live]


def test_each_sink_is_sent_its_own_records_with_its_own_numbers() -> None:
    sinks = two()
    sinks.put(record(0), ["other"], live=True)
    sinks.put(record(1), None, live=True)
    assert sinks.pump() == [
        Send(SINK, m.Write(0, record(1))),
        Send(OTHER_END, m.Write(0, record(0))),
        Send(OTHER_END, m.Write(1, record(1))),
    ]
    assert sinks.pump() == []
    sinks.by_name["other"].handle(m.Acked(1, b"80"), 1.0)
    assert kept(sinks) == {"": 1, "other": 0}


def test_a_sink_that_is_blocked_holds_up_no_other() -> None:
    sinks = two()
    for frame in range(HIGH_WATER):
        assert sinks.full(None) is False
        sinks.put(record(frame), ["other"], live=True)
    assert (sinks.full(None), sinks.full(["other"]), sinks.full([""]), sinks.full([])) == (True, True, False, False)


def test_settings_without_a_difference_change_no_sink() -> None:
    sinks = two()
    before = dict(sinks.by_name)
    assert sinks.configure([MAIN, OTHER], 1.0) == []
    assert sinks.by_name == before


def test_a_place_that_can_never_be_written_does_not_end_a_daemon_that_ran_before_it_was_configured() -> None:
    daemon = FakeDaemon()
    sinks = Sinks([MAIN], daemon, Limits())
    sinks.configure([MAIN, OTHER], 1.0)
    added = sinks.by_name["other"]
    added.handle(HELLO, 2.0)
    assert added.handle(m.Failed("open", "is a directory", permanent=True), 3.0) == []
    text = "ended (exit code 1; is a directory), next try in 60 s"
    assert added.handle(DIED, 4.0) == [LogEvent("warning", "sink other", text)]
    assert daemon.asked == []


def test_a_sink_that_is_new_in_the_settings_begins() -> None:
    sinks = Sinks([MAIN], FakeDaemon(), Limits(silent_s=7.0))
    main = running(sinks.by_name[""])
    assert sinks.configure([MAIN, OTHER], 1.0) == [
        LogEvent("info", "sink other", "is added: other.jsonl"),
        Spawn(OTHER_END, "default"),
    ]
    added = sinks.by_name["other"]
    assert (sinks.by_name[""], added.spec, added.child.limits) == (main, OTHER, Limits(silent_s=7.0))
    sinks.put(record(0), None, live=True)
    assert kept(sinks) == {"": 1, "other": 1}


def test_a_sink_that_is_removed_writes_what_it_has_and_then_goes() -> None:
    sinks = two()
    gone = sinks.by_name["other"]
    sinks.put(record(0), None, live=True)
    assert sinks.configure([MAIN], 1.0) == [LogEvent("info", "sink other", "is removed")]
    assert sinks.configure([MAIN], 1.0) == [], "it is removed already"
    assert gone.closing is True
    sinks.put(record(1), None, live=True)
    sinks.put(record(2), ["other"], live=True)
    assert kept(sinks) == {"": 2, "other": 1}, "it gets nothing more"
    assert Send(OTHER_END, m.Write(0, record(0))) in sinks.pump()
    assert sinks.retire(2.0) == []
    gone.handle(m.Acked(0, b"40"), 3.0)
    assert sinks.retire(4.0) == [stop(OTHER_END)]
    assert sinks.retire(5.0) == []
    assert list(sinks.by_name) == ["", "other"], "its process still ends"
    assert gone.handle(ENDED, 6.0) == []
    assert sinks.retire(7.0) == []
    assert list(sinks.by_name) == [""]


def test_a_removed_sink_that_dies_is_started_again_until_it_has_written_what_it_has() -> None:
    sinks = two()
    gone = sinks.by_name["other"]
    sinks.put(record(0), None, live=True)
    sinks.pump()
    sinks.configure([MAIN], 1.0)
    assert gone.handle(DIED, 2.0)[-1] == Spawn(OTHER_END, "default")
    gone.handle(HELLO, 3.0)
    gone.handle(m.SinkOpened(0, b"0"), 3.0)
    assert sinks.pump() == [Send(OTHER_END, m.Write(0, record(0)))]
    gone.handle(m.Acked(0, b"40"), 4.0)
    assert sinks.retire(5.0) == [stop(OTHER_END)]


def test_a_removed_sink_with_nothing_to_write_goes_at_once() -> None:
    sinks = two()
    assert sinks.configure([OTHER], 1.0) == [LogEvent("info", "sink", "is removed"), stop(SINK)]
    sinks.by_name[""].handle(ENDED, 2.0)
    sinks.retire(3.0)
    assert list(sinks.by_name) == ["other"]


def test_a_removed_sink_that_is_full_holds_up_no_stream() -> None:
    sinks = two()
    for frame in range(HIGH_WATER):
        sinks.put(record(frame), ["other"], live=True)
    sinks.configure([MAIN], 1.0)
    assert (sinks.full(None), sinks.full(["other"]), sinks.kept) == (False, False, HIGH_WATER)


def replaced(sinks: Sinks) -> SinkSpec:
    spec = SinkSpec("jsonl", {"path": "new.jsonl"}, "new.jsonl", "other")
    sinks.put(record(0), None, live=True)
    sinks.pump()
    assert sinks.configure([MAIN, spec], 1.0) == [LogEvent("info", "sink other", "is removed")]
    return spec


def test_a_sink_that_is_replaced_under_its_name_goes_before_the_new_one_begins() -> None:
    sinks = two()
    spec = replaced(sinks)
    old = sinks.by_name["other"]
    old.handle(m.Acked(0, b"40"), 2.0)
    assert sinks.retire(2.0) == [stop(OTHER_END)]
    old.handle(ENDED, 3.0)
    assert sinks.retire(4.0) == [LogEvent("info", "sink other", "is added: new.jsonl"), Spawn(OTHER_END, "default")]
    new = sinks.by_name["other"]
    assert (new.spec, new.closing, new.outbox.token) == (spec, False, None)
    assert sinks.retire(5.0) == []
    assert new.handle(HELLO, 6.0) == [Send(OTHER_END, m.OpenSink(spec, 0, None))]


def test_a_replaced_sink_that_does_not_write_any_more_makes_room_for_the_new_one() -> None:
    sinks = two()
    old = sinks.by_name["other"]
    replaced(sinks)
    sinks.put(record(1), ["other"], live=False)
    old.handle(m.SinkBlocked("disk full"), 1.5)
    assert sinks.retire(11.0) == [], "it has 10 s"
    text = "1 result could not be written before it was removed"
    assert sinks.retire(11.1) == [
        LogEvent("error", "sink other", text),
        LogEvent("warning", "sink other", "killed: disk full"),
        Kill(OTHER_END),
    ]
    assert (sinks.retire(11.2), old.outbox.lost, old.outbox.kept) == ([], 1, 0)
    assert old.handle(DIED, 11.3) == []
    assert sinks.retire(11.4) == [LogEvent("info", "sink other", "is added: new.jsonl"), Spawn(OTHER_END, "default")]
    assert kept(sinks) == {"": 1, "other": 1}, "the record that came since is not lost"


def test_a_removed_sink_that_writes_slowly_is_waited_for() -> None:
    sinks = two()
    slow = sinks.by_name["other"]
    for frame in range(3):
        sinks.put(record(frame), ["other"], live=True)
    sinks.pump()
    sinks.configure([MAIN], 1.0)
    for number, now_s in enumerate((10.0, 19.0)):
        slow.handle(m.Acked(number, b"40"), now_s)
        assert sinks.retire(now_s) == []
    assert sinks.retire(29.0) == []
    slow.handle(m.Acked(2, b"120"), 29.1)
    assert sinks.retire(29.2) == [stop(OTHER_END)]


def test_a_removed_sink_that_was_never_opened_is_given_up_too() -> None:
    sinks = Sinks([MAIN], FakeDaemon(), Limits())
    sinks.put(record(0), None, live=True)
    sinks.configure([], 1.0)
    assert sinks.retire(11.1) == [LogEvent("error", "sink", "1 result could not be written before it was removed")]
    assert sinks.by_name == {}


def test_records_that_come_while_a_sink_is_replaced_go_to_the_new_one() -> None:
    sinks = two()
    spec = replaced(sinks)
    old = sinks.by_name["other"]
    sinks.put(record(1), ["other"], live=False)
    again = SinkSpec("jsonl", {"path": "newer.jsonl"}, "newer.jsonl", "other")
    assert sinks.configure([MAIN, again], 1.5) == [], "replaced again before it has begun"
    assert again != spec
    sinks.put(record(2), None, live=False)
    assert (kept(sinks), sinks.kept) == ({"": 2, "other": 1}, 5)
    old.handle(m.Acked(0, b"40"), 2.0)
    sinks.retire(2.0)
    old.handle(ENDED, 3.0)
    assert sinks.retire(4.0) == [LogEvent("info", "sink other", "is added: newer.jsonl"), Spawn(OTHER_END, "default")]
    new = sinks.by_name["other"]
    assert new.handle(HELLO, 5.0) == [Send(OTHER_END, m.OpenSink(again, 0, None))]
    new.handle(m.SinkOpened(0, b"0"), 6.0)
    assert new.pump() == [Send(OTHER_END, m.Write(0, record(1))), Send(OTHER_END, m.Write(1, record(2)))]
    assert sinks.kept == 4


def test_records_of_a_sink_that_is_removed_before_it_has_begun_are_counted_as_lost() -> None:
    sinks = two()
    replaced(sinks)
    sinks.put(record(1), ["other"], live=False)
    text = "1 result could not be written before it was removed"
    assert sinks.configure([MAIN], 1.5) == [LogEvent("error", "sink other", text)]
    assert sinks.kept == 2, "one of each sink that runs"


def test_sinks_stay_in_the_order_of_the_settings_when_one_is_replaced() -> None:
    sinks = two()
    sinks.configure([SinkSpec("jsonl", {"path": "new.jsonl"}, "new.jsonl"), OTHER], 1.0)
    sinks.by_name[""].handle(ENDED, 2.0)
    sinks.retire(3.0)
    assert [sink.spec.shown for sink in sinks.by_name.values()] == ["new.jsonl", "other.jsonl"]


def test_a_sink_whose_process_cannot_be_kept_running_says_why_nothing_is_written() -> None:
    sink = started()
    assert sink.detail(0.0) is None
    sink.handle(HELLO, 1.0)
    sink.handle(m.Failed("open", "busy"), 2.0)
    sink.handle(DIED, 3.0)
    assert (sink.blocked, sink.detail(3.0)) == (None, "busy")
    sink.child.tick(4.0)
    assert (sink.child.state, sink.detail(4.0)) == (State.STARTING, "busy")
    sink.handle(HELLO, 5.0)
    sink.handle(m.SinkOpened(0, b""), 5.0)
    assert sink.detail(5.0) is None


def test_a_sink_that_has_not_begun_yet_holds_up_ordered_streams_when_it_is_full() -> None:
    sinks = two()
    replaced(sinks)
    for frame in range(HIGH_WATER):
        assert sinks.full(["other"]) is False
        sinks.put(record(frame), ["other"], live=False)
    assert (sinks.full(["other"]), sinks.full([""])) == (True, False)


def test_no_sink_begins_while_the_daemon_stops() -> None:
    """Nobody would stop it again."""
    daemon = FakeDaemon()
    sinks = two(daemon)
    replaced(sinks)
    old = sinks.by_name["other"]
    daemon.stopping = True
    old.handle(m.Acked(0, b"40"), 2.0)
    sinks.retire(2.0)
    old.handle(ENDED, 3.0)
    assert sinks.retire(4.0) == []
    assert list(sinks.by_name) == [""]
