"""A job's sink: what the ledger notes is durably written, a killed process repeats nothing and loses no failure."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ncs_cluster.jobs.ledger import Failure, Ledger
from ncs_cluster.jobs.schema import LedgerError
from ncs_cluster.processes.ledgered_sink import LedgeredSink
from ncs_cluster.sinks.base import Opened
from ncs_cluster.types import Outcome, Record
from tests.jobs.making import ledger


class Disk:
    """What survives: `lines` while the machine runs, the first `synced` of them a power cut."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str | None]] = []
        self.synced = 0


class Scripted:
    """A sink whose token is the number of lines; opening cuts off what came after it."""

    def __init__(self, disk: Disk, fails_at: int = -1) -> None:
        self.disk, self.fails_at = disk, fails_at

    def open(self, first: int, token: bytes | None) -> Opened:
        del self.disk.lines[int(token or b"0") :]
        return Opened(first, b"%d" % len(self.disk.lines))

    def follow(self) -> bytes | None:
        return None

    def write(self, record: Record) -> bytes:
        if record.frame == self.fails_at:
            raise OSError(28, "No space left on device")
        self.disk.lines.append((record.frame, record.outcome.error))
        return b"%d" % len(self.disk.lines)

    def sync(self) -> None:
        self.disk.synced = len(self.disk.lines)

    def finish(self) -> None: ...

    def close(self) -> None: ...


def record(turn: int, error: str | None = None) -> Record:
    return Record("job", turn, 0.0, f"{turn}.jpg", "sim-1", "g", None, Outcome(error=error))


@pytest.fixture
def book(tmp_path: Path) -> Ledger:
    return ledger(tmp_path, [f"{n}.jpg" for n in range(10)], ("csv",))


def sink(book: Ledger, disk: Disk, **how: int) -> LedgeredSink:
    return LedgeredSink(Scripted(disk, **how), Ledger(book._path), "csv")


def test_after_a_kill_of_the_process_nothing_is_written_twice(book: Ledger) -> None:
    disk = Disk()
    first = sink(book, disk)
    token = first.open(0, None).token
    for turn in range(3):
        token = first.write(record(turn))
    first.write(record(3))  # not acknowledged: the process was killed before
    second = sink(book, disk)
    assert second.open(3, token).next == 3
    for turn in range(3, 6):
        second.write(record(turn))
    assert disk.lines == [(turn, None) for turn in range(6)]


def test_after_the_end_of_the_whole_job_it_goes_on_where_the_ledger_says(book: Ledger) -> None:
    disk = Disk()
    first = sink(book, disk)
    first.open(0, None)
    for turn in range(3):
        first.write(record(turn))
    first.note()
    assert book.sink("csv").next == disk.synced == 3
    first.write(record(3))
    second = sink(book, disk)
    second.open(0, None)
    # the job's source begins at the slowest output's turn
    for turn in range(1, 5):
        second.write(record(turn))
    assert disk.lines == [(turn, None) for turn in range(5)]


def test_what_is_noted_was_synced_before(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, order = Disk(), []
    each = sink(book, disk)
    each.open(0, None)
    each.write(record(0))
    monkeypatch.setattr(Scripted, "sync", lambda self: order.append(book.sink("csv").next))
    each.note()
    assert (order, book.sink("csv").next) == ([0], 1)


def test_it_is_noted_every_second_and_at_the_end(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    each = sink(book, Disk())
    each.open(0, None)
    assert not each.due
    each.write(record(0))
    assert not each.due
    clock[0] += 1.0
    assert each.due
    each.note()
    assert not each.due
    each.write(record(1))
    each.close()
    assert book.sink("csv").next == 2


def test_a_failure_is_in_the_ledger_before_its_record_is_acknowledged_and_leaves_with_a_result(book: Ledger) -> None:
    disk = Disk()
    first = sink(book, disk)
    first.open(0, None)
    first.write(record(0, "0.jpg: is corrupt"))
    assert book.failures() == [Failure(0, "0.jpg", None, "0.jpg: is corrupt")]
    second = sink(book, disk)
    second.open(0, None)
    second.write(record(0))
    assert book.failures() == []
    assert disk.lines == [(0, None)]


def test_a_retrys_records_have_the_numbers_of_their_frames(book: Ledger) -> None:
    disk = Disk()
    each = sink(book, disk)
    each.open(0, None)
    for turn in range(10):
        each.write(record(turn, "is corrupt" if turn in (2, 7) else None))
    each.close()
    book.begin_retry()
    again = sink(book, disk)
    assert again.open(0, None).next == 0
    again.write(record(0))
    again.write(record(1, "is still corrupt"))
    again.close()
    assert disk.lines[10:] == [(2, None), (7, "is still corrupt")]
    assert [failure.frame for failure in book.failures()] == [7]
    assert book.written == book.end == 2


def test_a_record_that_cannot_be_written_is_written_later(book: Ledger) -> None:
    disk = Disk()
    each = sink(book, disk, fails_at=1)
    each.open(0, None)
    each.write(record(0))
    with pytest.raises(OSError, match="No space"):
        each.write(record(1))
    each._inner.fails_at = -1  # type: ignore[attr-defined]
    each.write(record(1))
    assert disk.lines == [(0, None), (1, None)]


@pytest.mark.parametrize("fails_at", [-1, 0], ids=["written", "blocked"])
def test_a_folder_that_was_removed_ends_the_sink_and_is_not_waited_for(book: Ledger, fails_at: int) -> None:
    """Also where nothing is written any more, since no file can be made in it."""
    each = sink(book, Disk(), fails_at=fails_at)
    each.open(0, None)
    Path(book._path).unlink()
    if fails_at < 0:
        each.write(record(0))
    with pytest.raises(LedgerError, match=r"ledger\.sqlite was removed while its job ran; give the job's command again"):
        each.note() if fails_at < 0 else each.write(record(0))
