"""The recorder: when it samples and writes, and what it does where it cannot."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ncs_cluster.history import reading
from ncs_cluster.history.series import Series
from ncs_cluster.history.store import NAME, HistoryError
from ncs_cluster.processes.history import FIRST_S, FLUSH_S, SAMPLE_S, Recorder
from ncs_cluster.status import Event
from ncs_cluster.testing.control import some_status
from tests.waiting import until

DIE = Series("temperature", "sim-1")
WALL_S = 1_790_000_040.0


class Clock:
    """The recorder's two clocks, and what it has logged."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.log: list[tuple[str, str, str]] = []
        self.samples = 0

    def wall(self) -> float:
        return WALL_S + self.now_s

    def status(self) -> object:
        self.samples += 1
        return some_status()

    def run(self, recorder: Recorder, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.now_s += 1.0
            recorder.tick(self.now_s, self.status, lambda *line: self.log.append(line))  # type: ignore[arg-type]


def recorded(folder: Path) -> int:
    """Minutes of the die that are in the file."""
    try:
        return len(reading.past(folder, WALL_S - 3600, WALL_S + 36_000, 1000).series.get(DIE, []))
    except HistoryError:
        return 0


def test_the_first_minutes_are_written_at_once_and_later_ones_every_ten_minutes(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(tmp_path, 30, clock.now_s, clock.wall)
    for minute in range(1, 10):
        clock.run(recorder, 62.0 if minute == 1 else 60.0)
        until(lambda at=minute: recorded(tmp_path) == at)  # type: ignore[misc]
    # the last of the first ten minutes, then a whole span without a commit
    clock.run(recorder, FIRST_S + 5 - clock.now_s)
    until(lambda: recorded(tmp_path) >= 9)
    before = recorded(tmp_path)
    clock.run(recorder, FLUSH_S - 70)
    assert recorded(tmp_path) == before
    clock.run(recorder, 75)
    until(lambda: recorded(tmp_path) >= before + FLUSH_S / 60 - 2)
    assert clock.samples == pytest.approx(clock.now_s / SAMPLE_S, rel=0.02)
    recorder.close()
    assert clock.log == []


def test_events_are_kept_and_the_end_writes_what_there_is(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(tmp_path, 30, clock.now_s, clock.wall)
    recorder.event(Event(7, WALL_S, "warning", "sim-1", "is unplugged"))
    clock.run(recorder, 15.0)
    recorder.close()
    assert recorded(tmp_path) == 1
    assert [each.text for each in reading.events(tmp_path, 0, WALL_S + 60)] == ["is unplugged"]


def test_a_second_daemon_on_the_folder_writes_no_history_and_takes_over_after_the_first(tmp_path: Path) -> None:
    clock = Clock()
    first, second = Recorder(tmp_path, 30, 0.0, clock.wall), Recorder(tmp_path, 30, 0.0, clock.wall)
    clock.run(second, 20.0)
    assert clock.log == [("info", "history", f"is not written: another daemon writes that of {tmp_path}")]
    assert clock.samples == 0
    second.close()
    first.close()
    third = Recorder(tmp_path, 30, clock.now_s, clock.wall)
    clock.run(third, 65.0)
    third.close()
    assert recorded(tmp_path) >= 1


def test_without_a_folder_no_status_is_asked_for(tmp_path: Path) -> None:
    clock, threads = Clock(), threading.active_count()
    recorder = Recorder(None, 30, 0.0, clock.wall)
    recorder.event(Event(7, WALL_S, "warning", "sim-1", "is unplugged"))
    clock.run(recorder, 1000.0)
    recorder.close()
    assert (clock.samples, clock.log, threading.active_count()) == (0, [], threads)


def test_a_file_that_cannot_be_used_is_told_once_and_written_when_it_can(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    clock = Clock()
    recorder = Recorder(tmp_path, 30, clock.now_s, clock.wall)
    recorder.event(Event(7, WALL_S, "warning", "sim-1", "is unplugged"))
    clock.run(recorder, 125.0)

    def told() -> bool:
        clock.run(recorder, 1.0)
        return bool(clock.log)

    until(told)
    (tmp_path / NAME).rmdir()

    def works() -> bool:
        clock.run(recorder, FLUSH_S)
        return recorded(tmp_path) > 0

    until(works)

    def told_twice() -> bool:
        clock.run(recorder, 1.0)
        return len(clock.log) == 2

    until(told_twice)
    recorder.close()
    assert clock.log == [
        ("warning", "history", f"{tmp_path / NAME} cannot be used: unable to open database file; tried again every 10 min"),
        ("info", "history", "is written again"),
    ]
    # nothing of the time without a file is lost
    first = reading.past(tmp_path, WALL_S, WALL_S + 36_000, 1000).series[DIE][0]
    assert first.at <= WALL_S + 60
    assert [each.text for each in reading.events(tmp_path, 0, WALL_S + 60)] == ["is unplugged"]


def test_a_damaged_file_is_told_and_replaced(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database" * 100)
    clock = Clock()
    recorder = Recorder(tmp_path, 30, clock.now_s, clock.wall)
    clock.run(recorder, 65.0)
    until(lambda: recorded(tmp_path) == 1)
    clock.run(recorder, 2.0)
    recorder.close()
    assert clock.log == [("warning", "history", f"the file was damaged and is now {tmp_path / NAME}.damaged: a new one begins")]
