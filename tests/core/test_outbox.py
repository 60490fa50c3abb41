"""Whatever the sink does and whenever it dies: who reads the file sees each record once and in order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ncs_cluster.core.outbox import CREDITS, HIGH_WATER, MOST_BYTES, MOST_KEPT, Outbox
from ncs_cluster.types import Classified, Detection, Outcome, Record
from tests.hypothesis_profiles import examples


def record(number: int, *, detections: int = 0, classes: int = 0, stream: str = "cam0") -> Record:
    outcome = Outcome([Detection("ball", 1, 0.9, (0.0, 0.0, 1.0, 1.0))] * detections, [Classified("cat", 1, 0.5)] * classes)
    return Record(stream, number, 1.7e9, None, "sim-1", "demo", 0.05, outcome)


def frames(sent: list[tuple[int, Record]]) -> list[int]:
    return [each.frame for _, each in sent]


def token(number: int) -> bytes:
    return str(number).encode()


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
            self.outbox.put(record(self.put))
            self.put += 1

    @precondition(lambda self: not self.outbox.open)
    @rule()
    def a_sink_opens(self) -> None:
        """It resumes at its token, and finds what was written behind it."""
        resumed = self.outbox.token
        behind = 0 if resumed is None else len(self.file) - int(resumed)
        self.outbox.opened(self.outbox.written + behind, token(len(self.file)))

    @rule()
    def it_is_sent_what_it_may_have(self) -> None:
        batch = self.outbox.sendable()
        assert not batch or self.outbox.open
        self.inbox += [(number, each.frame) for number, each in batch]

    @rule(count=st.integers(1, 80))
    def it_writes(self, count: int) -> None:
        for number, frame in self.inbox[:count]:
            self.file.append(frame)
            self.said.append((number, len(self.file)))
        del self.inbox[:count]

    @rule(count=st.integers(1, 80))
    def it_acknowledges(self, count: int) -> None:
        for number, offset in self.said[:count]:
            self.outbox.acked(number, token(offset))
        del self.said[:count]

    @precondition(lambda self: self.outbox.open)
    @rule()
    def it_dies(self) -> None:
        late, self.said, self.inbox = self.said, [], []
        self.outbox.closed()
        for number, offset in late:
            self.outbox.acked(number, token(offset))

    @invariant()
    def each_once_and_in_order(self) -> None:
        assert self.file == list(range(len(self.file)))
        assert [number for number, frame in self.inbox] == [frame for number, frame in self.inbox], "numbers have no gaps"
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
TestLife.settings = settings(deadline=None, max_examples=examples(60), stateful_step_count=40)


def test_it_is_full_long_before_anything_is_lost() -> None:
    outbox = Outbox()
    for number in range(HIGH_WATER):
        assert not outbox.full
        outbox.put(record(number))
    assert outbox.full
    assert outbox.lost == 0


def test_what_is_lost_at_last_is_counted_and_never_what_may_be_on_the_disk() -> None:
    outbox = Outbox()
    outbox.opened(0, b"")
    for number in range(MOST_KEPT):
        outbox.put(record(number))
    sent = outbox.sendable()
    outbox.closed()
    for number in range(MOST_KEPT, MOST_KEPT + 10):
        outbox.put(record(number))
    assert outbox.lost == 10
    assert outbox.kept == MOST_KEPT
    # the dead sink had written everything it was sent
    outbox.opened(len(sent), b"")
    left = outbox.sendable()
    assert frames(left) == list(range(CREDITS + 10, 2 * CREDITS + 10))
    assert [number for number, _ in left] == list(range(CREDITS, 2 * CREDITS)), "what was lost has no number"


def test_large_records_are_bounded_by_their_bytes() -> None:
    """Twenty thousand of the largest would be gigabytes."""
    outbox = Outbox()
    large = record(0, detections=MOST_BYTES // 100 // 250)
    for _ in range(150):
        outbox.put(large)
    assert (outbox.kept, outbox.lost) == (99, 51)
    outbox.opened(0, b"")
    number = outbox.sendable()[-1][0]
    outbox.acked(number, b"")
    assert outbox.kept == 99 - CREDITS
    for _ in range(CREDITS):
        outbox.put(large)
    assert (outbox.kept, outbox.lost) == (99, 51), "what is written makes room"


def test_a_job_loses_no_record_to_a_live_stream_that_fills_the_box() -> None:
    outbox = Outbox()
    for number in range(200):
        outbox.put(record(number, stream="job"), live=False)
    for number in range(MOST_KEPT + 50):
        outbox.put(record(number))
    outbox.opened(0, b"")
    seen: list[Record] = []
    numbers: list[int] = []
    while batch := outbox.sendable():
        seen += [each for _, each in batch]
        numbers += [number for number, _ in batch]
        outbox.acked(batch[-1][0], b"")
    assert [each.frame for each in seen if each.stream == "job"] == list(range(200))
    assert outbox.lost == 250
    assert numbers == list(range(MOST_KEPT))


# -- each call alone


def filled(count: int) -> Outbox:
    """Records of the frames 0, 1, ... for a sink that is open."""
    outbox = Outbox()
    for number in range(count):
        outbox.put(record(number))
    outbox.opened(0, b"")
    return outbox


def records(first: int, end: int) -> list[tuple[int, Record]]:
    return [(number, record(number)) for number in range(first, end)]


def test_a_new_outbox_is_empty_and_closed() -> None:
    outbox = Outbox()
    assert (outbox.token, outbox.written, outbox.lost, outbox.kept, outbox.open, outbox.full) == (None, 0, 0, 0, False, False)
    assert outbox.sendable() == []


def test_the_bounds_of_an_outbox_are_these() -> None:
    assert (CREDITS, HIGH_WATER, MOST_KEPT, MOST_BYTES) == (64, 256, 20_000, 64_000_000)


def test_records_are_numbered_and_sent_once_to_a_sink_that_is_open() -> None:
    outbox = Outbox()
    outbox.put(record(0))
    outbox.put(record(1))
    assert outbox.sendable() == []
    outbox.opened(0, b"here")
    assert outbox.token == b"here"
    assert (outbox.sendable(), outbox.sendable(), outbox.kept) == (records(0, 2), [], 2)
    outbox.put(record(2))
    assert outbox.sendable() == records(2, 3)


def test_64_records_are_sent_ahead_of_their_acknowledgement() -> None:
    outbox = filled(70)
    assert (outbox.sendable(), outbox.sendable()) == (records(0, 64), [])
    outbox.acked(3, b"100")
    assert (outbox.written, outbox.kept, outbox.token) == (4, 66, b"100")
    assert (outbox.sendable(), outbox.sendable()) == (records(64, 68), [])


def test_a_record_that_was_not_sent_cannot_be_acknowledged() -> None:
    outbox = filled(1)
    outbox.acked(5, b"40")
    assert (outbox.written, outbox.kept, outbox.token) == (0, 1, b"40")
    outbox.sendable()
    outbox.put(record(1))
    outbox.acked(5, b"50")
    assert (outbox.written, outbox.kept, outbox.sendable()) == (1, 1, records(1, 2))
    outbox.acked(0, b"60")
    assert (outbox.written, outbox.kept) == (1, 1), "it was acknowledged before"


def test_a_sink_that_goes_on_in_another_place_says_so_without_a_record() -> None:
    outbox = filled(1)
    outbox.sendable()
    outbox.acked(-1, b"elsewhere")
    assert (outbox.written, outbox.kept, outbox.token) == (0, 1, b"elsewhere")


def test_a_sink_that_is_gone_acknowledges_nothing() -> None:
    outbox = filled(2)
    outbox.sendable()
    outbox.closed()
    outbox.acked(1, b"100")
    assert (outbox.open, outbox.written, outbox.kept, outbox.token, outbox.sendable()) == (False, 0, 2, b"", [])


def test_the_next_sink_is_sent_what_was_not_acknowledged_and_not_found_written() -> None:
    outbox = filled(6)
    outbox.sendable()
    outbox.acked(1, b"100")
    outbox.closed()
    outbox.opened(5, b"120")
    assert (outbox.open, outbox.written, outbox.kept, outbox.sendable()) == (True, 5, 1, records(5, 6))
    outbox.closed()
    outbox.opened(14, b"140")
    assert (outbox.written, outbox.kept, outbox.sendable(), outbox.token) == (6, 0, [], b"140"), "more than there were"


def test_a_sink_that_wants_records_from_before_gets_those_that_are_kept() -> None:
    outbox = filled(3)
    outbox.sendable()
    outbox.acked(1, b"100")
    outbox.closed()
    outbox.opened(0, b"0")
    assert (outbox.written, outbox.sendable()) == (2, records(2, 3))


@pytest.mark.parametrize(("most", "left"), [(67, 67), (66, 66), (64, 66)])
def test_the_oldest_live_record_behind_the_credits_is_lost_where_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch, most: int, left: int
) -> None:
    """Records 64 and 66 are of an ordered stream, which loses none."""
    monkeypatch.setattr("ncs_cluster.core.outbox.MOST_KEPT", most)
    outbox = Outbox()
    for number in range(67):
        outbox.put(record(number), live=number not in (64, 66))
    assert (outbox.kept, outbox.lost) == (left, 67 - left)
    outbox.opened(0, b"")
    outbox.sendable()
    outbox.acked(63, b"")
    sent = outbox.sendable()
    assert frames(sent) == [64, *([65] if left == 67 else []), 66]
    assert [number for number, _ in sent] == list(range(64, left)), "numbers have no gaps"


@pytest.mark.parametrize(("detections", "classes", "size"), [(0, 0, 400), (1, 0, 650), (0, 1, 650), (2, 1, 1150)])
@pytest.mark.parametrize("short", [0, 1])
def test_the_bytes_of_what_is_kept_are_bounded_too(
    monkeypatch: pytest.MonkeyPatch, detections: int, classes: int, size: int, short: int
) -> None:
    """A record counts 400 bytes and 250 for each detection or class."""
    monkeypatch.setattr("ncs_cluster.core.outbox.MOST_BYTES", 65 * size - short)
    outbox = Outbox()
    for number in range(65):
        outbox.put(record(number, detections=detections, classes=classes))
    assert (outbox.kept, outbox.lost) == (65 - short, short)
    outbox.opened(1, b"")
    outbox.put(record(65, detections=detections, classes=classes))
    assert (outbox.kept, outbox.lost) == (65 - short, short), "what is written makes room"


def test_records_that_are_discarded_are_lost_and_the_outbox_is_empty() -> None:
    outbox = Outbox()
    outbox.opened(0, token(0))
    for number in range(3):
        outbox.put(record(number), live=False)
    assert frames(outbox.sendable()) == [0, 1, 2]
    assert outbox.discard() == 3
    assert (outbox.kept, outbox.lost, outbox.discard()) == (0, 3, 0)
    # what its process acknowledges late counts for nothing
    outbox.acked(1, token(2))
    assert (outbox.written, outbox.sendable()) == (0, [])
    outbox.put(record(4, detections=MOST_BYTES // 500))
    assert (outbox.kept, outbox.lost) == (1, 3), "bytes are counted anew"
