"""The sink that notifies: what becomes of notifications that cannot be sent, and what it says of itself."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import pytest
from msgspec.structs import replace

from ncs_cluster.errors import NotRunning
from ncs_cluster.sinks._notify_edges import Notification, notification
from ncs_cluster.sinks._notify_ways import NotSent
from ncs_cluster.sinks.base import Observer
from ncs_cluster.sinks.notify import AGAIN_S, LONGEST_AGAIN_S, Notify, Options, Pending, parse
from ncs_cluster.testing.control import some_status

NO_ADDRESSES = [
    "",
    "ftp://a/",
    "file:///etc/passwd",
    "https://",
    "http://a:b/",
    "http://a b/",
    "http://a/\r\nX: y",
    "http://[",
    "http://ü/",
]


class FakeWay:
    """Fails while `why` is set; keeps what it was given."""

    name = "fake"

    def __init__(self) -> None:
        self.why: str | None = None
        self.given: list[Notification] = []

    def send(self, told: Notification) -> None:
        self.given.append(told)
        if self.why is not None:
            raise NotSent(self.why)


class FakeObserver:
    def __init__(self) -> None:
        self.document = some_status()
        self.error: NotRunning | None = None

    def status(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.document

    def shows(self, state: str, *reasons: str) -> None:
        self.document = replace(self.document, daemon=replace(self.document.daemon, state=state, reasons=list(reasons)))

    def wait(self, timeout_s: float) -> None: ...

    def wake(self) -> None: ...


def some(state: str) -> Notification:
    return notification(state, "ok", [], "pi", "1", 0.0)


def test_what_is_not_sent_is_tried_again_more_and_more_seldom_and_the_newest_alone() -> None:
    way = FakeWay()
    pending = Pending(way)
    way.why = "the webhook answers 500"
    pending.put(some("degraded"))
    tried, now_s = [], 1000.0
    while now_s < 3000.0:
        before = len(way.given)
        pending.attempt(now_s)
        if len(way.given) > before:
            tried.append(now_s - 1000.0)
        now_s += 1.0
    assert tried[:6] == [0.0, AGAIN_S, 3 * AGAIN_S, 7 * AGAIN_S, 15 * AGAIN_S, 31 * AGAIN_S]
    assert all(later - earlier == LONGEST_AGAIN_S for earlier, later in pairwise(tried[5:]))
    assert pending.failed == "the webhook answers 500"
    pending.put(some("down"))
    way.why = None
    pending.attempt(now_s)
    assert (way.given[-1].state, pending.next, pending.failed) == ("down", None, None)
    pending.attempt(now_s + 1000.0)
    assert len(way.given) == len(tried) + 1, "it is sent once"


def sink(*ways: FakeWay) -> tuple[Notify, FakeObserver]:
    observer = FakeObserver()
    made = Notify(Options(command=["/bin/true"], hold_off_s=60.0, host="pi"), cast("Observer", observer))
    made._pending = [Pending(way) for way in ways]
    return made, observer


def test_each_way_is_told_and_one_that_fails_does_not_keep_the_other_from_it() -> None:
    broken, working = FakeWay(), FakeWay()
    broken.why = "the command failed with exit code 1"
    made, observer = sink(broken, working)
    observer.shows("degraded", "sim-1 is absent: unplugged")
    for second in range(70):
        made._look(1000.0 + second)
    assert [(told.event, told.reasons) for told in working.given] == [("degraded", ["sim-1 is absent: unplugged"])]
    assert made.trouble() == "the command failed with exit code 1"


def test_a_failed_notification_causes_no_notification() -> None:
    way = FakeWay()
    made, observer = sink(way)
    observer.shows("degraded", "notifications cannot be sent: the webhook answers 500")
    for second in range(200):
        made._look(1000.0 + second)
    assert way.given == []
    observer.shows("degraded", "notifications cannot be sent: the webhook answers 500", "sim-1 is parked: too loud")
    for second in range(200, 270):
        made._look(1000.0 + second)
    assert [told.reasons for told in way.given] == [["sim-1 is parked: too loud"]]


def test_a_daemon_that_does_not_answer_tells_nothing() -> None:
    way = FakeWay()
    made, observer = sink(way)
    observer.error = NotRunning("ncs-clusterd does not answer")
    with pytest.raises(NotRunning):
        made._look(1000.0)
    assert (way.given, made.trouble()) == ([], None)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "command and webhook are missing; give one of them"),
        ({"command": [""]}, "command must be a program and its arguments"),
        ({"command": ["a", "b\0"]}, "command must be a program and its arguments"),
        *(({"webhook": address}, "webhook must be an address that begins with https:// or http://") for address in NO_ADDRESSES),
    ],
)
def test_options_that_make_no_sense_are_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        Options(**given)


def test_no_spec_of_results_means_notifications() -> None:
    with pytest.raises(ValueError, match=r"set in the table \[notify\]"):
        parse("x", lambda text: text)  # type: ignore[arg-type,return-value]
