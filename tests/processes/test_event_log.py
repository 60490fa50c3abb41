"""The events of the daemon, as lines of the log and as they are kept."""

from __future__ import annotations

import pytest

from ncs_cluster.processes.event_log import EventLog


def test_an_event_about_a_stick_has_the_name_of_its_port(caplog: pytest.LogCaptureFixture) -> None:
    events = EventLog({"ncs-1-1.2": "front-left"}.get)
    with caplog.at_level("INFO"):
        events.add("warning", "ncs-1-1.2", "is unplugged")
        events.add("info", "ncs-1-1.3", "is unplugged")
    assert caplog.messages == ["ncs-1-1.2 (front-left): is unplugged", "ncs-1-1.3: is unplugged"]
    assert [(event.who, event.name) for event in events.newer(0)] == [("ncs-1-1.2", "front-left"), ("ncs-1-1.3", None)]


def test_a_text_is_one_line_whatever_it_quotes(caplog: pytest.LogCaptureFixture) -> None:
    events = EventLog()
    with caplog.at_level("INFO"):
        events.add("info", "cam0", "ended: a\n12:00:00 daemon: all is well\x1b[2K")
    assert caplog.messages == ["cam0: ended: a\\n12:00:00 daemon: all is well\\x1b[2K"]
    assert events.newer(0)[0].text == "ended: a\\n12:00:00 daemon: all is well\\x1b[2K"


def test_older_events_are_given_reply_by_reply_and_each_once() -> None:
    log = EventLog()
    for number in range(1, 701):
        log.add("warning" if number % 2 else "info", "cam0", "is told", group="")
    newest = log.newer(0)
    assert [event.id for event in newest] == list(range(401, 701))
    assert [event.id for event in log.newer(0, before=401)] == list(range(101, 401))
    assert [event.id for event in log.newer(50, before=101)] == list(range(51, 101))
    assert log.newer(0, before=1) == []


def test_what_is_for_the_log_alone_is_no_event(caplog: pytest.LogCaptureFixture) -> None:
    events = EventLog()
    with caplog.at_level("DEBUG"):
        events.add("debug", "job 7", "begins", group="")
    assert [(record.levelname, record.message) for record in caplog.records] == [("DEBUG", "job 7: begins")]
    assert events.newer(0) == []
