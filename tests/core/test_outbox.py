"""Whatever the sink does and whenever it dies: who reads the file sees each record once and in order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ncs_cluster.core.outbox import CREDITS, HIGH_WATER, MOST_BYTES, MOST_KEPT, Outbox


class Life(RuleBasedStateMachine):
    """A file, a sink that may die at any point of its work, and the outbox."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox()
        self.put = 0
        self.file: list[int] = []
        self.inbox: list[tuple[int, int]] = []
        self.said: list[tuple[int, int]] = []

    @rule(count=st.integers(1, 100))
    def results_come(self, count: int) -> None:
        for _ in range(count):
            self.outbox.put(str(self.put).encode())
            self.put += 1

    @precondition(lambda self: not self.outbox.open)
    @rule()
    def a_sink_opens(self) -> None:
        told = self.outbox.offset
        self.outbox.opened(0 if told is None else len(self.file) - told)
        self.outbox.offset = len(self.file)

    @rule()
    def it_is_sent_what_it_may_have(self) -> None:
        batch = self.outbox.sendable()
        assert not batch or self.outbox.open
        self.inbox += [(number, int(record)) for number, record in batch]

    @rule(count=st.integers(1, 80))
    def it_writes(self, count: int) -> None:
        for number, record in self.inbox[:count]:
            self.file.append(record)
            self.said.append((number, len(self.file)))
        del self.inbox[:count]

    @rule(count=st.integers(1, 80))
    def it_acknowledges(self, count: int) -> None:
        for number, offset in self.said[:count]:
            self.outbox.acked(number, offset)
        del self.said[:count]

    @precondition(lambda self: self.outbox.open)
    @rule()
    def it_dies(self) -> None:
        late, self.said, self.inbox = self.said, [], []
        self.outbox.closed()
        for number, offset in late:
            self.outbox.acked(number, offset)

    @invariant()
    def each_once_and_in_order(self) -> None:
        assert self.file == list(range(len(self.file)))
        assert len(self.inbox) + len(self.said) <= CREDITS
        assert self.outbox.written + self.outbox.kept + self.outbox.lost == self.put

    def teardown(self) -> None:
        if not self.outbox.open:
            self.a_sink_opens()
        while self.outbox.kept:
            self.it_is_sent_what_it_may_have()
            self.it_writes(1000)
            self.it_acknowledges(1000)
        assert self.file == list(range(self.put))


TestLife = Life.TestCase
TestLife.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)


def test_it_is_full_long_before_anything_is_lost() -> None:
    outbox = Outbox()
    for _ in range(HIGH_WATER):
        assert not outbox.full
        outbox.put(b"x")
    assert outbox.full
    assert outbox.lost == 0


def test_what_is_lost_at_last_is_counted_and_never_what_may_be_on_the_disk() -> None:
    outbox = Outbox()
    outbox.opened(0)
    for number in range(MOST_KEPT):
        outbox.put(str(number).encode())
    sent = outbox.sendable()
    outbox.closed()
    for number in range(MOST_KEPT, MOST_KEPT + 10):
        outbox.put(str(number).encode())
    assert outbox.lost == 10
    assert outbox.kept == MOST_KEPT
    # the dead sink had written everything it was sent
    outbox.opened(len(sent))
    left = [int(record) for _, record in outbox.sendable()]
    assert left[0] == CREDITS + 10
    assert left == list(range(left[0], left[0] + CREDITS))


def test_long_records_are_bounded_by_their_bytes() -> None:
    """Twenty thousand of the longest would be gigabytes."""
    outbox = Outbox()
    record = b"x" * (MOST_BYTES // 100)
    for _ in range(150):
        outbox.put(record)
    assert (outbox.kept, outbox.lost) == (100, 50)
    outbox.opened(0)
    number = outbox.sendable()[-1][0]
    outbox.acked(number, 0)
    assert outbox.kept == 100 - CREDITS
    for _ in range(CREDITS):
        outbox.put(record)
    assert (outbox.kept, outbox.lost) == (100, 50), "what is written makes room"


def test_a_job_loses_no_record_to_a_live_stream_that_fills_the_box() -> None:
    outbox = Outbox()
    for number in range(200):
        outbox.put(b"job %d" % number, live=False)
    for number in range(MOST_KEPT + 50):
        outbox.put(b"live %d" % number)
    outbox.opened(0)
    seen = []
    while batch := outbox.sendable():
        seen += [record for _, record in batch]
        outbox.acked(batch[-1][0], 1)
    assert [record for record in seen if record.startswith(b"job")] == [b"job %d" % number for number in range(200)]
    assert outbox.lost == 250
    assert len(seen) == MOST_KEPT


# -- each call alone


def filled(records: int) -> Outbox:
    """Records r0, r1, ... for a sink that is open."""
    outbox = Outbox()
    for number in range(records):
        outbox.put(b"r%d" % number)
    outbox.opened(0)
    return outbox


def records(first: int, end: int) -> list[tuple[int, bytes]]:
    return [(number, b"r%d" % number) for number in range(first, end)]


def test_a_new_outbox_is_empty_and_closed() -> None:
    outbox = Outbox()
    assert (outbox.offset, outbox.written, outbox.lost, outbox.kept, outbox.open, outbox.full) == (None, 0, 0, 0, False, False)
    assert outbox.sendable() == []


def test_the_bounds_of_an_outbox_are_these() -> None:
    assert (CREDITS, HIGH_WATER, MOST_KEPT, MOST_BYTES) == (64, 256, 20_000, 64_000_000)


def test_records_are_numbered_and_sent_once_to_a_sink_that_is_open() -> None:
    outbox = Outbox()
    outbox.put(b"r0")
    outbox.put(b"r1")
    assert outbox.sendable() == []
    outbox.opened(0)
    assert (outbox.sendable(), outbox.sendable(), outbox.kept) == (records(0, 2), [], 2)
    outbox.put(b"r2")
    assert outbox.sendable() == records(2, 3)


def test_64_records_are_sent_ahead_of_their_acknowledgement() -> None:
    outbox = filled(70)
    assert (outbox.sendable(), outbox.sendable()) == (records(0, 64), [])
    outbox.acked(3, 100)
    assert (outbox.written, outbox.kept, outbox.offset) == (4, 66, 100)
    assert (outbox.sendable(), outbox.sendable()) == (records(64, 68), [])


def test_a_record_that_was_not_sent_cannot_be_acknowledged() -> None:
    outbox = filled(1)
    outbox.acked(5, 40)
    assert (outbox.written, outbox.kept, outbox.offset) == (0, 1, 40)
    outbox.sendable()
    outbox.put(b"r1")
    outbox.acked(5, 50)
    assert (outbox.written, outbox.kept, outbox.sendable()) == (1, 1, records(1, 2))
    outbox.acked(0, 60)
    assert (outbox.written, outbox.kept) == (1, 1), "it was acknowledged before"


def test_a_sink_that_is_gone_acknowledges_nothing() -> None:
    outbox = filled(2)
    outbox.sendable()
    outbox.closed()
    outbox.acked(1, 100)
    assert (outbox.open, outbox.written, outbox.kept, outbox.offset, outbox.sendable()) == (False, 0, 2, None, [])


def test_the_next_sink_is_sent_what_was_not_acknowledged_and_not_found_written() -> None:
    outbox = filled(6)
    outbox.sendable()
    outbox.acked(1, 100)
    outbox.closed()
    outbox.opened(3)
    assert (outbox.open, outbox.written, outbox.kept, outbox.sendable()) == (True, 5, 1, records(5, 6))
    outbox.closed()
    outbox.opened(9)
    assert (outbox.written, outbox.kept, outbox.sendable()) == (6, 0, []), "more than there were"


@pytest.mark.parametrize(("most", "left"), [(67, 67), (66, 66), (64, 66)])
def test_the_oldest_live_record_behind_the_credits_is_lost_where_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch, most: int, left: int
) -> None:
    """Records 64 and 66 are of an ordered stream, which loses none."""
    monkeypatch.setattr("ncs_cluster.core.outbox.MOST_KEPT", most)
    outbox = Outbox()
    for number in range(67):
        outbox.put(b"r%d" % number, live=number not in (64, 66))
    assert (outbox.kept, outbox.lost) == (left, 67 - left)
    outbox.opened(0)
    outbox.sendable()
    outbox.acked(63, 100)
    assert outbox.sendable() == [(64, b"r64"), *([(65, b"r65")] if left == 67 else []), (66, b"r66")]


@pytest.mark.parametrize(("most", "kept"), [(650, 65), (649, 64)])
def test_the_bytes_of_what_is_kept_are_bounded_too(monkeypatch: pytest.MonkeyPatch, most: int, kept: int) -> None:
    monkeypatch.setattr("ncs_cluster.core.outbox.MOST_BYTES", most)
    outbox = Outbox()
    for _ in range(65):
        outbox.put(b"ten bytes.")
    assert (outbox.kept, outbox.lost) == (kept, 65 - kept)
    outbox.opened(1)
    outbox.put(b"ten bytes.")
    assert (outbox.kept, outbox.lost) == (kept, 65 - kept), "what is written makes room"
