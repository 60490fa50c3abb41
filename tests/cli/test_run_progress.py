"""The summary of a job: each figure is one that was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from ncs_cluster.cli.run.progress import Progress, summary
from ncs_cluster.jobs.ledger import Failure, Ledger
from ncs_cluster.status import JobStatus, LatencyStatus, StickStatus
from ncs_cluster.testing.control import some_status, some_stick
from tests.jobs.making import ledger

FRAMES = 20


def stick(name: str, inferences: int, p50_ms: float | None, executors: int | None = 1) -> StickStatus:
    made = some_stick(name, "active", None)
    return structs.replace(made, inferences=inferences, latency_ms=LatencyStatus(p50_ms, p50_ms), executors=executors)


def lines(book: Ledger, *sticks: StickStatus, took_s: float = 1.0) -> list[str]:
    progress = Progress(book, quiet=True)
    book.set_end(FRAMES)
    progress.last = structs.replace(some_status(2), sticks=list(sticks))
    return summary(book, progress, took_s)


@pytest.fixture
def book(tmp_path: Path) -> Ledger:
    return ledger(tmp_path, [f"{number}.jpg" for number in range(FRAMES)])


def test_efficiency_is_the_rate_of_answered_frames_as_a_share_of_what_the_sticks_that_worked_are_capable_of(book: Ledger) -> None:
    book.fail(Failure(3, "3.jpg", None, "is no picture"))
    book.fail(Failure(7, "7.jpg", None, "is no picture"))
    sticks = [stick("sim-1", 10, 100.0), stick("cpu-1", 8, 200.0, executors=4), stick("sim-2", 0, None)]
    assert lines(book, *sticks) == [
        "20 frames, 2 failed; 20 of them now, in 1 s (20/s)",
        "  sim-1: 56% of them, p50 100 ms, p99 100 ms",
        "  cpu-1: 44% of them, p50 200 ms, p99 200 ms",
        "  efficiency 60%: 18/s of the 30/s that these sticks are capable of",
        "  frame 3: is no picture",
        "  frame 7: is no picture",
        "--retry-failed works on the failed ones again",
    ]


def test_a_job_that_went_on_counts_the_frames_and_the_failures_of_this_command_alone(book: Ledger) -> None:
    book.note("jsonl", 10, b"")
    book.fail(Failure(3, "3.jpg", None, "is no picture"))
    book.fail(Failure(15, "15.jpg", None, "is no picture"))
    assert "  efficiency 45%: 4.5/s of the 10/s that these sticks are capable of" in lines(book, stick("a", 9, 100.0), took_s=2.0)


@pytest.mark.parametrize("unknown", [stick("b", 5, None), stick("b", 5, 50.0, executors=None), stick("b", 5, 0.0)])
def test_no_efficiency_is_told_where_a_stick_has_worked_whose_rate_is_not_measured(book: Ledger, unknown: StickStatus) -> None:
    assert not any("efficiency" in line for line in lines(book, stick("a", 15, 100.0), unknown))
    assert not any("efficiency" in line for line in lines(book))


def test_nothing_is_told_of_sticks_that_work_for_others_too(book: Ledger) -> None:
    progress = Progress(book, quiet=True)
    status = structs.replace(some_status(2), sticks=[stick("sim-1", 900, 100.0)])
    job = JobStatus("1", "running", ["x"], "g", "out", ["jsonl"], 20, 20, 0, 20.0, 1.0, 1.7e9, None)
    progress.update(status, job)
    book.set_end(FRAMES)
    assert summary(book, progress, 1.0) == ["20 frames, 0 failed; 20 of them now, in 1 s (20/s)"]
