"""The file of a history: what is written is read, and it stays small."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.history import reading
from ncs_cluster.history.reading import Point, past
from ncs_cluster.history.series import Minute, Series
from ncs_cluster.history.store import MOST_EVENTS, NAME, HistoryError, Store
from ncs_cluster.status import Event

NOON_S = 1_790_000_040.0
"""A whole minute of the wall clock."""
DIE, CAMERA, SWITCHES = Series("temperature", "sim-1"), Series("camera", "door"), Series("switches", "")


def event(at: float, level: str = "info", text: str = "is ready") -> Event:
    return Event(1, at, level, "sim-1", text, "left")


def minutes(series: Series, *values: float, began_s: float = 0.0) -> list[Minute]:
    """One after another; each with a spread of 1."""
    return [Minute(series, began_s + 60.0 * (at + 1), value - 1, value, value + 1) for at, value in enumerate(values)]


def written(folder: Path, *batches: list[Minute], events: tuple[Event, ...] = (), days: int = 30) -> Store:
    """The batches, whose monotonic clock is 0 at NOON_S."""
    store = Store(folder, days)
    for batch in batches:
        store.add(batch, events, now_s=0.0, wall_s=NOON_S)
    return store


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written(tmp_path, minutes(DIE, 50.25, 51.5), minutes(CAMERA, 12.0), events=(event(NOON_S + 30),)).close()
    found = past(tmp_path, NOON_S, NOON_S + 600)
    assert found[:3] == (NOON_S, NOON_S + 600, 60.0)
    assert found.series == {
        DIE: [Point(NOON_S, 49.25, 50.25, 51.25), Point(NOON_S + 60, 50.5, 51.5, 52.5)],
        CAMERA: [Point(NOON_S, 11.0, 12.0, 13.0)],
    }
    (once, again) = reading.events(tmp_path, NOON_S, NOON_S + 60)
    assert (once.at, once.level, once.who, once.text, once.name) == (NOON_S + 30, "info", "sim-1", "is ready", "left")
    assert again.id == once.id + 1


def test_a_reader_sees_every_commit_of_a_store_that_is_open(tmp_path: Path) -> None:
    store = written(tmp_path, minutes(DIE, 50.0))
    assert len(past(tmp_path, NOON_S, NOON_S + 600).series[DIE]) == 1
    store.add(minutes(DIE, 60.0, began_s=60.0), (), now_s=0.0, wall_s=NOON_S)
    assert [point.mean for point in past(tmp_path, NOON_S, NOON_S + 600).series[DIE]] == [50.0, 60.0]
    store.close()


@given(st.lists(st.floats(-40, 120).map(lambda value: round(value, 2)), min_size=1, max_size=90), st.integers(1, 40))
def test_a_point_sums_up_the_minutes_of_its_span(tmp_path_factory: pytest.TempPathFactory, values: list[float], most: int) -> None:
    folder = tmp_path_factory.mktemp("history")
    written(folder, [*minutes(DIE, *values), *minutes(SWITCHES, *(abs(value) for value in values))]).close()
    found = past(folder, NOON_S, NOON_S + 90 * 60, most)
    width = -(-90 // most)
    assert found.span_s == width * 60.0
    for series, middle in ((DIE, lambda each: sum(each) / len(each)), (SWITCHES, lambda each: sum(map(abs, each)))):
        parts = [values[first : first + width] for first in range(0, len(values), width)]
        points = found.series[series]
        assert [point.at for point in points] == [NOON_S + at * width * 60 for at in range(len(parts))]
        assert [point.mean for point in points] == pytest.approx([middle(part) for part in parts], abs=0.0101)
    assert [point.high for point in found.series[DIE]] == pytest.approx([max(part) + 1 for part in parts], abs=0.0051)
    assert [point.low for point in found.series[DIE]] == pytest.approx([min(part) - 1 for part in parts], abs=0.0051)


def test_a_clock_that_was_wrong_is_set_right_by_the_commit(tmp_path: Path) -> None:
    store = Store(tmp_path, 30)
    # the minutes were measured before the network set the clock of this machine to NOON_S + 600
    store.add(minutes(DIE, 50.0, 51.0), (), now_s=600.0, wall_s=NOON_S + 600)
    store.close()
    assert [point.at for point in past(tmp_path, NOON_S, NOON_S + 900).series[DIE]] == [NOON_S, NOON_S + 60]


def test_a_minute_that_comes_twice_is_the_later_one(tmp_path: Path) -> None:
    written(tmp_path, minutes(DIE, 50.0), minutes(DIE, 60.0)).close()
    assert [point.mean for point in past(tmp_path, NOON_S, NOON_S + 60).series[DIE]] == [60.0]


def test_what_is_older_than_its_days_is_erased(tmp_path: Path) -> None:
    store = written(tmp_path, minutes(DIE, 50.0), events=(event(NOON_S),), days=2)
    later_s = NOON_S + 2 * 86400 + 7200
    store.add(minutes(DIE, 60.0), (event(later_s),), now_s=0.0, wall_s=later_s)
    store.close()
    assert [point.mean for point in past(tmp_path, NOON_S, later_s + 600).series[DIE]] == [60.0]
    assert [each.at for each in reading.events(tmp_path, 0, later_s)] == [later_s]


def test_routine_events_do_not_push_out_what_went_wrong(tmp_path: Path) -> None:
    store = Store(tmp_path, 30)
    wrong = event(NOON_S, "error", "is broken")
    store.add([], [wrong, *(event(NOON_S + 1 + number / 1000) for number in range(MOST_EVENTS + 100))], now_s=0.0, wall_s=NOON_S)
    store.close()
    kept = reading.events(tmp_path, 0, NOON_S + 3600, most=MOST_EVENTS * 2)
    assert [each.text for each in kept if each.level == "error"] == ["is broken"]
    assert len(kept) == MOST_EVENTS + 1
    assert kept[1].at == NOON_S + 1 + 100 / 1000


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    store = written(tmp_path, minutes(DIE, 50.0))
    store.close()
    assert store.set_aside == tmp_path / "history.db.damaged"
    assert store.set_aside.read_bytes() == content
    assert len(past(tmp_path, NOON_S, NOON_S + 60).series) == 1


def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / NAME) as other:
        other.execute("PRAGMA user_version=9")
    other.close()
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(HistoryError, match=r"history.db is of another version \(9, expected 1\)"):
        Store(tmp_path, 30)
    with pytest.raises(HistoryError, match="another version"):
        past(tmp_path, 0, 60)
    assert (tmp_path / NAME).read_bytes() == before


def test_a_reader_of_no_file_makes_none(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"there is no history: .*history\.db does not exist"):
        past(tmp_path, 0, 60)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_is_told_of_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database" * 100)
    with pytest.raises(HistoryError, match=r"history\.db cannot be read: file is not a database"):
        past(tmp_path, 0, 60)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HistoryError, match=r"no history is kept: .*file: File exists"):
        Store(tmp_path / "file", 30)


KILLED = """
import sys
from pathlib import Path
from ncs_cluster.history.series import Minute, Series
from ncs_cluster.history.store import Store
store = Store(Path(sys.argv[1]), 30)
at = 0
while True:
    at += 1
    store.add([Minute(Series("temperature", f"sim-{n}"), at * 60.0, at, at, at) for n in range(8)], [], now_s=0.0, wall_s=0.0)
    print(at, flush=True)
"""


def test_every_commit_before_a_kill_is_there_and_whole(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(random.Random(1).randint(20, 60)):
            told = int(process.stdout.readline())
        process.kill()
        told = max([told, *map(int, process.stdout.read().split())])
    found = past(tmp_path, 0, (told + 10) * 60, most_points=told + 10).series
    assert len(found) == 8
    for points in found.values():
        assert [point.mean for point in points] in (list(range(1, told + 1)), list(range(1, told + 2)))
    assert len({len(points) for points in found.values()}) == 1


def test_a_day_of_eight_sticks_writes_less_than_20_mb(tmp_path: Path) -> None:
    """SD cards wear by what is written; the counter of the kernel has every byte that SQLite gives it."""
    series = [Series(kind, f"sim-{number}") for kind in ("temperature", "rate") for number in range(8)]
    series += [Series("camera", f"cam{number}") for number in range(4)]
    series += [Series(kind, "") for kind in ("asked", "capacity", "switches", "air", "cpu", "memory")]
    chance = random.Random(5)
    store = Store(tmp_path, 30)
    before = given_to_the_kernel()
    for flush in range(144):
        batch = [
            Minute(each, (flush * 10 + minute) * 60.0, value - 0.5, value, value + 0.5)
            for minute in range(10)
            for each in series
            for value in [round(chance.uniform(20, 70), 2)]
        ]
        events = [event(NOON_S + flush * 600 + number) for number in range(10)]
        store.add(batch, events, now_s=0.0, wall_s=NOON_S)
    written_mb = (given_to_the_kernel() - before) / 1e6
    store.close()
    assert written_mb < 20
    assert (tmp_path / NAME).stat().st_size < 2e6
    assert len(past(tmp_path, NOON_S - 600, NOON_S + 90_000, most_points=2000).series[series[0]]) == 1440


def given_to_the_kernel() -> int:
    text = Path(f"/proc/{os.getpid()}/io").read_text()
    return int(dict(line.split(": ") for line in text.splitlines())["wchar"])
