"""When a result is overdue: soon for a stick whose usual time is known, late for one that throttles, not for a host's own pause."""

from __future__ import annotations

import pytest

from ncs_cluster.xlink.events import Lost, Result, Thermal
from ncs_cluster.xlink.session import Options
from tests.xlink.cable import SMALL, Pair, numbered

pytestmark = pytest.mark.slow


def warm(latency_s: float = 0.03, options: Options = Options(), results: int = 40) -> Pair:  # noqa: B008
    """A stick whose usual time is known."""
    pair = Pair([SMALL], options, latency_s=latency_s, heat=False).ready()
    for number in range(results):
        pair.session.submit(number, 0, numbered(number, SMALL), pair.now_s)
    pair.run(results * latency_s + 1.0)
    assert sum(isinstance(event, Result) for _, event in pair.seen) == results
    pair.seen.clear()
    return pair


def lost_after(pair: Pair) -> tuple[float, Lost]:
    """How long a submitted inference is waited for, and the session's end."""
    began_s = pair.now_s
    pair.session.submit(7, 0, numbered(7, SMALL), pair.now_s)
    pair.run(60.0)
    ends = [(at_s - began_s, event) for at_s, event in pair.seen if isinstance(event, Lost)]
    assert len(ends) == 1, pair.seen
    return ends[0]


@pytest.mark.parametrize(
    ("latency_s", "results", "least_s", "longest_s"),
    [(0.03, 40, 1.0, 1.05), (0.3, 40, 1.2, 3.8), (0.03, 6, 2.0, 2.05)],
    ids=["quick", "slow", "little is known"],
)
def test_a_stick_that_hangs_is_told_after_four_usual_times_but_not_before_a_second(
    latency_s: float, results: int, least_s: float, longest_s: float
):
    pair = warm(latency_s, results=results)
    pair.stick.fault("hang")
    after_s, lost = lost_after(pair)
    assert lost.reason == "hang"
    assert lost.detail.startswith("no result of graph 0 for ")
    assert least_s <= after_s <= longest_s


@pytest.mark.parametrize("kind", ["silent", "credit"])
def test_a_stick_that_says_nothing_or_keeps_its_credit_is_told_soon(kind: str):
    pair = warm()
    pair.stick.fault(kind)
    for number in range(20, 26):
        pair.session.submit(number, 0, numbered(number, SMALL), pair.now_s)
    after_s, lost = lost_after(pair)
    assert lost.reason == "hang"
    assert after_s <= 1.6


def test_firmware_that_throttles_may_sleep_for_ten_seconds_between_two_inferences():
    """Also where it has begun to since its level was read last."""
    pair = warm()
    pair.run(0.99)
    pair.stick._warmth.level = 2
    for number in (20, 21):
        pair.session.submit(number, 0, numbered(number, SMALL), pair.now_s)
    events = pair.run(15.0)
    assert not any(isinstance(event, Lost) for event in events)
    assert [event.tag for event in events if isinstance(event, Result)] == [20, 21]
    assert any(isinstance(event, Thermal) and event.level == 2 for event in events)


def test_a_host_that_stood_still_reads_what_has_come_before_it_judges():
    pair = warm()
    for number in (20, 21):
        pair.session.submit(number, 0, numbered(number, SMALL), pair.now_s)
    for data in pair.session.out():
        pair.stick.receive(bytes(data), pair.now_s)
    pair.now_s += 0.9
    pair.stick.tick(pair.now_s)
    # the clock is looked at before the bytes
    pair.session.tick(pair.now_s)
    events = pair.run(1.0)
    assert not any(isinstance(event, Lost) for event in events)
    assert [event.tag for event in events if isinstance(event, Result)] == [20, 21]


def test_an_owner_whose_every_tick_is_late_gets_the_results_that_were_held_back():
    """In doubt the stick runs empty; its answer to a question shows that no further result is unread."""
    pair = warm(0.01, Options(prove_every=41), results=40)
    pair.session.submit(40, 0, numbered(40, SMALL), pair.now_s)
    for _ in range(500):
        pair.now_s += 0.01
        pair.stick.tick(pair.now_s)
        pair.carry()
        due_s = pair.session.due_s
        if due_s is not None and due_s <= pair.now_s - 0.055:
            pair.session.tick(pair.now_s)
        pair.seen += [(pair.now_s, event) for event in pair.session.events()]
    assert [event.tag for _, event in pair.seen if isinstance(event, Result)] == [40]
    assert not any(isinstance(event, Lost) for _, event in pair.seen)


def test_a_stick_that_becomes_slower_within_four_times_is_no_hanging_one():
    pair = warm(0.2)
    pair.stick.fault("slow", factor=3.5)
    for number in (20, 21):
        pair.session.submit(number, 0, numbered(number, SMALL), pair.now_s)
    events = pair.run(5.0)
    assert [event.tag for event in events if isinstance(event, Result)] == [20, 21]
