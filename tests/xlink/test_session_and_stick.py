"""Both pure ends put together: the host's session and the emulated stick, bytes carried by hand, a clock that is a number."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.testing.myriad.stick import Stick
from ncs_cluster.xlink.blob import Blob
from ncs_cluster.xlink.session import Closed, Event, Lost, Options, Ready, Result, Session, Thermal
from tests.xlink.blobs import FP32, NC, Entry, make

FACES = Blob.parse(make([Entry("data", (1, 3, 60, 80))], [Entry("faces", (1, 1, 20, 7), FP32)]))
SMALL = Blob.parse(make([Entry("image", (1, 3, 8, 8))], [Entry("class", (1, 16), FP32, NC)], shaves=4, slices=6))

Mangle = Callable[[bytes], bytes]


class Pair:
    """A session and a stick on one virtual cable."""

    def __init__(self, graphs: list[Blob], options: Options = Options(), **stick: Any) -> None:  # noqa: B008
        self.now_s = 100.0
        self.session, self.stick = Session(graphs, options), Stick(**stick)
        self.seen: list[tuple[float, Event]] = []
        self.cable: deque[bytes] = deque()
        self.to_stick: Mangle = lambda data: data
        self.to_host: Mangle = lambda data: data
        self.session.start(self.now_s)

    def carry(self) -> None:
        """All that can be said now; a read of the host takes exactly what it asked for, whatever transfers that is."""
        for _ in range(20_000):
            for data in self.session.out():
                self.stick.receive(self.to_stick(bytes(data)), self.now_s)
            self.cable.extend(filter(None, map(self.to_host, self.stick.take())))
            if not self.cable or self.session.ended:
                break
            self.session.received(bytearray(self.cable.popleft()), self.now_s)
            self.seen += [(self.now_s, event) for event in self.session.events()]
        else:
            raise AssertionError("they talk for ever")

    def run(self, for_s: float) -> list[Event]:
        """What the session tells in that time."""
        end_s, already = self.now_s + for_s, len(self.seen)
        while True:
            self.carry()
            if self.stick.left and not self.session.ended:
                self.session.fail("gone", "unplugged")
            self.seen += [(self.now_s, event) for event in self.session.events()]
            dues = [due_s for due_s in (self.session.due_s, None if self.stick.left else self.stick.due_s) if due_s is not None]
            due_s = min(dues, default=end_s)
            if due_s > end_s or self.session.ended or not dues:
                self.now_s = end_s
                return [event for _, event in self.seen[already:]]
            self.now_s = max(self.now_s, due_s)
            self.stick.tick(self.now_s)
            self.carry()
            if self.session.due_s is not None and self.session.due_s <= self.now_s:
                self.session.tick(self.now_s)

    def ready(self) -> Pair:
        events = self.run(1.5)
        assert any(isinstance(event, Ready) for event in events), events
        assert not self.stick.violations
        return self


def numbered(number: int, blob: Blob) -> bytes:
    return (number.to_bytes(4, "little") * (blob.inputs_size // 4 + 1))[: blob.inputs_size]


def number_of(result: Result) -> int:
    return int.from_bytes(bytes(result.data[:4]), "little")


def test_a_whole_session_on_one_page_opens_infers_reads_heat_and_closes():
    pair = Pair([FACES], latency_s=0.03, watchdog=True).ready()
    for number in range(40):
        pair.session.submit(number, 0, numbered(number, FACES), pair.now_s)
    events = pair.run(1.3)
    results = [event for event in events if isinstance(event, Result)]
    assert [number_of(result) for result in results] == [result.tag for result in results] == list(range(40))
    assert sum(isinstance(event, Thermal) for event in events) >= 1
    pair.session.close(pair.now_s)
    assert pair.run(0.5)[-1] == Closed()
    assert pair.stick.left
    assert pair.stick.violations == []


def test_the_stick_is_kept_busy_while_several_are_in_flight():
    pair = Pair([FACES], latency_s=0.03).ready()
    began_s, sent = pair.now_s, 0
    results: list[float] = []
    while len(results) < 50:
        while pair.session.in_flight < 4:
            pair.session.submit(sent, 0, numbered(sent, FACES), pair.now_s)
            sent += 1
        before = len(pair.seen)
        pair.run(0.005)
        results += [at_s for at_s, event in pair.seen[before:] if isinstance(event, Result)]
    assert (results[-1] - began_s) == pytest.approx(50 * 0.03, abs=0.06)


def test_two_graphs_share_a_stick_and_their_results_are_told_apart():
    pair = Pair([FACES, SMALL], latency_s=0.01).ready()
    for number in range(30):
        blob = (FACES, SMALL)[number % 2]
        pair.session.submit(number, number % 2, numbered(number, blob), pair.now_s)
    results = [event for event in pair.run(0.5) if isinstance(event, Result)]
    assert len(results) == 30
    assert all(number_of(result) == result.tag and result.tag % 2 == result.graph for result in results)
    assert {len(result.data) for result in results if result.graph == 0} == {FACES.outputs_size}
    pair.session.close(pair.now_s)
    assert pair.run(0.5)[-1] == Closed()
    assert pair.stick.violations == []


def test_the_watchdog_of_the_firmware_is_fed_as_long_as_the_session_lives():
    pair = Pair([SMALL], watchdog=True, watchdog_s=3.0).ready()
    assert not [event for event in pair.run(60.0) if isinstance(event, Lost)]
    assert not pair.stick.left
    readings = [at_s for at_s, event in pair.seen if isinstance(event, Thermal)]
    gaps = list(map(operator.sub, readings[1:], readings))
    assert max(gaps) == pytest.approx(1.0)


def test_a_stick_whose_inferences_stop_is_given_up_and_its_temperature_is_read_until_then():
    pair = Pair([FACES], Options(infer_timeout_s=5.0)).ready()
    pair.stick.fault("hang")
    pair.session.submit(1, 0, numbered(1, FACES), pair.now_s)
    events = pair.run(10.0)
    assert sum(isinstance(event, Thermal) for event in events) == 5
    assert events[-1] == Lost("hang", "no result of graph 0 for 5 s")


def test_a_stick_that_falls_silent_is_given_up():
    pair = Pair([FACES], Options(reply_timeout_s=4.0)).ready()
    pair.stick.fault("silent")
    (lost,) = [event for event in pair.run(10.0) if isinstance(event, Lost)]
    assert lost.reason == "hang"
    assert pair.seen[-1][0] <= 100 + 1.5 + 1.0 + 4.0


def test_a_graph_that_does_not_fit_says_so():
    pair = Pair([FACES])
    pair.run(0.9)
    pair.stick.fault("status", code=10)
    assert pair.run(1.0)[-1] == Lost("graph", "graph 0 was refused: out of memory")


@settings(max_examples=60, deadline=None)
@given(
    towards=st.sampled_from(["host", "stick"]),
    at=st.integers(0, 150),
    way=st.sampled_from(["change", "drop", "double", "cut", "insert", "swap"]),
    place=st.integers(0, 5000),
    value=st.integers(1, 255),
    again=st.integers(0, 40),
)
def test_whatever_happens_to_the_bytes_between_them_both_ends_live_or_end(
    towards: str, at: int, way: str, place: int, value: int, again: int
):
    pair = Pair([SMALL], Options(settle_s=0.01, reply_timeout_s=3.0, infer_timeout_s=3.0, allocate_timeout_s=3.0), latency_s=0.02)
    count = 0

    def mangle(data: bytes) -> bytes:
        nonlocal count
        count += 1
        if count != at and (not again or count < at or (count - at) % again):
            return data
        changed = bytearray(data)
        if way == "change" and changed:
            changed[place % len(changed)] ^= value
        elif way == "drop":
            changed.clear()
        elif way == "double":
            changed *= 2
        elif way == "cut":
            del changed[place % (len(changed) + 1) :]
        elif way == "insert":
            changed[place % (len(changed) + 1) : 0] = bytes([value])
        elif way == "swap":
            changed.reverse()
        return bytes(changed)

    if towards == "host":
        pair.to_host = mangle
    else:
        pair.to_stick = mangle
    sent = 0
    for _ in range(12):
        pair.run(0.25)
        while pair.session.phase == "ready" and pair.session.in_flight < 4 and sent < 30:
            pair.session.submit(sent, 0, numbered(sent, SMALL), pair.now_s)
            sent += 1
    pair.session.close(pair.now_s)
    pair.run(5.0)
    ends = [event for _, event in pair.seen if isinstance(event, (Lost, Closed))]
    assert len(ends) == 1
    tags = [event.tag for _, event in pair.seen if isinstance(event, Result)]
    assert tags == list(range(len(tags)))
