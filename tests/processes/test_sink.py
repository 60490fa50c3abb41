"""A real sink process, driven through the outbox as the supervisor drives it."""

from __future__ import annotations

import os
import random
import resource
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.core.outbox import CREDITS, Outbox
from ncs_cluster.messages import (
    NO_READER,
    Acked,
    Failed,
    FinishSink,
    FromSink,
    Heartbeat,
    Hello,
    OpenSink,
    SinkBlocked,
    SinkFinished,
    SinkOpened,
    Stop,
    Write,
)
from ncs_cluster.processes.sink import main
from ncs_cluster.sinks._json import encode
from ncs_cluster.specs import SinkSpec
from ncs_cluster.testing.children import Child, forked, running
from ncs_cluster.types import Outcome, Record
from tests.jobs.making import ledger

SINK = "ncs_cluster.processes.sink"


class Driven:
    """A sink process and the outbox it is fed from."""

    def __init__(self, child: Child, outbox: Outbox) -> None:
        self.child, self.outbox = child, outbox
        self.blocked: list[str | None] = []

    def put(self, result: Record) -> None:
        self.outbox.put(result)
        self.pump()

    def pump(self) -> None:
        for number, result in self.outbox.sendable():
            self.child.send(Write(number, result))

    def hear(self, timeout_s: float = 60.0) -> Any:
        message = self.child.receive(timeout_s)
        if isinstance(message, Acked):
            self.outbox.acked(message.number, message.token)
        elif isinstance(message, SinkBlocked):
            self.blocked.append(message.detail)
        self.pump()
        return message

    def until(self, kind: type, timeout_s: float = 60.0) -> Any:
        until_s = time.monotonic() + timeout_s
        while not isinstance(message := self.hear(until_s - time.monotonic()), kind):
            pass
        return message

    def all_written(self) -> None:
        until_s = time.monotonic() + 60
        while self.outbox.kept:
            self.hear(until_s - time.monotonic())

    def stop(self) -> int:
        """Its exit code."""
        self.child.send(Stop())
        for message in self.child.drain():
            if isinstance(message, Acked):
                self.outbox.acked(message.number, message.token)
        return self.child.process.wait(60)


@contextmanager
def sink(path: Path | str, outbox: Outbox | None = None, **settings: Any) -> Iterator[Driven]:
    """An open sink; an outbox that has had one before lends it what it knows. `settings`: of one that is started."""
    outbox = outbox or Outbox()
    with running(SINK, FromSink, **settings) if settings else forked(main, FromSink) as child:
        assert isinstance(child.receive(), Hello)
        child.send(OpenSink(lines(path), outbox.written, outbox.token))
        opened = child.expect(SinkOpened)
        outbox.opened(opened.next, opened.token)
        yield Driven(child, outbox)
    outbox.closed()


def lines(path: Path | str) -> SinkSpec:
    return SinkSpec("jsonl", {"path": os.fspath(path)}, os.fspath(path))


def record(number: int, size: int = 0) -> Record:
    return Record("cam0", number, 1.7e9, None, None, "demo", None, Outcome(error="x" * size))


def text(number: int, size: int = 0) -> bytes:
    """Its line, without the line end."""
    return encode(record(number, size))


def refusal(path: Path) -> Failed:
    """What a sink says that cannot open its place at the daemon's start."""
    with forked(main, FromSink) as child:
        child.send(OpenSink(lines(path)))
        failed = child.expect(Failed)
        child.drain()
        assert child.process.wait(60) == 1
    return failed


@pytest.mark.parametrize("seed", range(3))
def test_a_sink_killed_at_random_moments_loses_nothing_and_writes_nothing_twice(tmp_path: Path, seed: int) -> None:
    chance, outbox, path = random.Random(seed), Outbox(), tmp_path / "out.jsonl"
    records: list[Record] = []
    for _ in range(10):
        with sink(path, outbox) as driven:
            for _ in range(chance.randrange(200)):
                records.append(record(len(records), chance.choice([0, 100, 5_000, 100_000])))
                driven.put(records[-1])
                while select.select([driven.child.channel.fileno()], [], [], 0)[0] and chance.random() < 0.7:
                    driven.hear()
            time.sleep(chance.random() * 0.02)
            driven.child.process.kill()
            # a supervisor that ends a sink itself closes the channel at once and hears no last words
            if chance.random() < 0.5:
                driven.child.process.wait()
                for message in driven.child.drain():
                    if isinstance(message, Acked):
                        outbox.acked(message.number, message.token)
    with sink(path, outbox) as driven:
        driven.pump()
        driven.all_written()
        assert driven.stop() == 0
    assert path.read_bytes().splitlines() == [encode(each) for each in records]
    assert outbox.written == len(records)


def test_a_sink_that_was_stopped_and_killed_in_the_middle_of_its_work_is_no_different(tmp_path: Path) -> None:
    outbox, path = Outbox(), tmp_path / "out.jsonl"
    records = [record(n, 20_000) for n in range(CREDITS)]
    with sink(path, outbox) as driven:
        for each in records:
            driven.put(each)
        while path.stat().st_size == 0:
            time.sleep(0.0005)
    assert outbox.kept, "everything was written and heard before the kill"
    with sink(path, outbox) as driven:
        driven.pump()
        driven.all_written()
    assert path.read_bytes().splitlines() == [encode(each) for each in records]


def test_stop_writes_everything_that_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with sink(path) as driven:
        for n in range(CREDITS):
            driven.put(record(n, 10_000))
        assert driven.stop() == 0
        assert driven.outbox.kept == 0
    assert len(path.read_bytes().splitlines()) == CREDITS


def test_results_are_appended_to_a_file_of_an_earlier_day(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(text(7) + b"\n" + text(8)[:9])
    with sink(path) as driven:
        driven.put(record(0))
        assert driven.stop() == 0
    assert path.read_bytes() == text(7) + b"\n" + text(0) + b"\n"


def test_a_full_disk_is_told_once_and_nothing_is_lost_when_there_is_room_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with sink(path) as driven:
        pid = driven.child.process.pid
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, most))
        records = [record(n, 300) for n in range(10)]
        for each in records:
            driven.put(each)
        assert driven.until(SinkBlocked).detail == "File too large"
        # two more tries fail and say nothing new; meanwhile it is heard to live
        for _ in range(2):
            driven.until(Heartbeat)
        assert driven.blocked == ["File too large"]
        assert path.read_bytes().splitlines() == [encode(each) for each in records[: driven.outbox.written]]
        assert 0 < driven.outbox.written < 10
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        assert driven.until(SinkBlocked).detail is None
        driven.all_written()
        assert driven.stop() == 0
    assert path.read_bytes().splitlines() == [encode(each) for each in records]


def test_a_sink_killed_while_the_disk_is_full_loses_nothing(tmp_path: Path) -> None:
    outbox, path = Outbox(), tmp_path / "out.jsonl"
    records = [record(n, 300) for n in range(10)]
    with sink(path, outbox) as driven:
        resource.prlimit(driven.child.process.pid, resource.RLIMIT_FSIZE, (1000, resource.prlimit(0, resource.RLIMIT_FSIZE)[1]))
        for each in records:
            driven.put(each)
        driven.until(SinkBlocked)
    with sink(path, outbox) as driven:
        driven.pump()
        driven.all_written()
    assert path.read_bytes().splitlines() == [encode(each) for each in records]


def test_a_device_that_is_always_full_blocks_and_kills_nobody() -> None:
    with sink("/dev/full") as driven:
        driven.put(record(0))
        assert driven.until(SinkBlocked).detail == "No space left on device"
        driven.until(Heartbeat)
        assert driven.outbox.kept == 1


def test_a_folder_is_refused_for_good(tmp_path: Path) -> None:
    failed = refusal(tmp_path)
    assert failed.permanent
    assert failed.detail == f"{tmp_path} cannot be written: Is a directory"


def test_a_place_that_does_not_exist_is_refused_for_good(tmp_path: Path) -> None:
    failed = refusal(tmp_path / "nowhere" / "out.jsonl")
    assert failed.permanent
    assert "No such file or directory" in failed.detail


def test_a_file_that_is_no_results_is_refused_for_good_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "diary.txt"
    path.write_text("dear diary")
    failed = refusal(path)
    assert failed.permanent
    assert failed.detail == f"{path} cannot be written: its last line is not a result; choose another file"
    assert path.read_text() == "dear diary"


def test_a_place_that_has_gone_since_is_tried_again_later(tmp_path: Path) -> None:
    with forked(main, FromSink) as child:
        child.send(OpenSink(lines(tmp_path / "gone" / "out.jsonl"), 3, b"100"))
        assert not child.expect(Failed).permanent


def test_a_file_that_was_moved_has_a_new_token_before_anything_else_is_acknowledged(tmp_path: Path) -> None:
    """A sink process that follows resumes in the new file."""
    outbox, path = Outbox(), tmp_path / "out.jsonl"
    with sink(path, outbox) as driven:
        driven.put(record(0))
        assert driven.until(Acked) == Acked(0, b"%d" % (len(text(0)) + 1))
        path.rename(tmp_path / "out.1")
        # whether the file still has its name is looked at once a second
        driven.until(Heartbeat)
        driven.until(Heartbeat)
        driven.put(record(1))
        assert driven.until(Acked) == Acked(0, b"0")
        assert driven.until(Acked) == Acked(1, b"%d" % (len(text(1)) + 1))
    with sink(path, outbox) as driven:
        assert (outbox.written, outbox.token) == (2, b"%d" % (len(text(1)) + 1))
        driven.put(record(2))
        assert driven.stop() == 0
    assert (tmp_path / "out.1").read_bytes() == text(0) + b"\n"
    assert path.read_bytes() == text(1) + b"\n" + text(2) + b"\n"


def test_results_go_to_standard_output_whole_lines_each_at_once() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as output, sink("-", stdout=writing) as driven:
        os.close(writing)
        for n in range(3):
            driven.put(record(n, 10_000))
            assert output.readline() == text(n, 10_000) + b"\n"
        assert driven.stop() == 0
        assert output.read() == b""


def test_a_reader_who_pauses_is_waited_for_by_a_sink_that_still_says_it_lives() -> None:
    reading, writing = os.pipe()
    records = [record(n, 10_000) for n in range(30)]
    with os.fdopen(reading, "rb") as output, sink("-", stdout=writing) as driven:
        os.close(writing)
        for each in records:
            driven.put(each)
        assert driven.until(SinkBlocked).detail == "its reader has paused"
        driven.until(Heartbeat)
        driven.until(Heartbeat)
        for each in records:
            assert output.readline() == encode(each) + b"\n"
        driven.all_written()
        assert driven.blocked == ["its reader has paused", None]


def test_a_reader_who_has_gone_ends_the_sink_which_says_so() -> None:
    reading, writing = os.pipe()
    with sink("-", stdout=writing) as driven:
        os.close(writing)
        os.close(reading)
        driven.put(record(0))
        failed = driven.until(Failed)
        assert failed == Failed(NO_READER, "standard output has no reader", permanent=True)
        driven.child.drain()
        assert driven.child.process.wait(60) == 1


def test_a_first_word_that_is_none_is_told() -> None:
    with forked(main, FromSink) as child:
        child.send(Write(0, record(0)))
        assert child.expect(Failed).reason == "protocol"


def test_a_jobs_sink_finishes_once_its_ledger_has_the_last_state(tmp_path: Path) -> None:
    """The ledger cannot be written at first; the sink says so, and tries again."""
    book = ledger(tmp_path, ["a", "b"])
    spec = SinkSpec("jsonl", {"path": str(tmp_path / "out.jsonl")}, "out", "jsonl", str(tmp_path / "ledger.sqlite"))
    # SQLite must not meet what it has opened for `book` before a fork
    with running(SINK, FromSink) as child:
        assert isinstance(child.receive(), Hello)
        child.send(OpenSink(spec))
        opened, outbox = child.expect(SinkOpened), Outbox()
        outbox.opened(opened.next, opened.token)
        driven = Driven(child, outbox)
        for number in range(2):
            driven.put(record(number))
        driven.all_written()
        book.set_end(2)
        pid, most = child.process.pid, resource.prlimit(0, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, most))
        child.send(FinishSink())
        assert driven.until(SinkBlocked).detail is not None
        driven.until(Heartbeat)
        assert not book.sink("jsonl").finished
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        driven.until(SinkFinished)
        assert driven.stop() == 0
    assert (book.sink("jsonl").next, book.sink("jsonl").finished, book.written) == (2, True, 2)
