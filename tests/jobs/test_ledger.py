"""The ledger of a job: which file a frame is in, what failed, how far each output is; and that none of it is half written."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.jobs.ledger import Failure, Ledger, Place, Progress, Root
from ncs_cluster.jobs.schema import LedgerError
from tests.hypothesis_profiles import examples
from tests.jobs.making import ledger


def test_items_come_in_the_order_in_which_they_were_listed_with_their_paths(tmp_path: Path) -> None:
    made = Ledger(str(tmp_path / "l"), create=True)
    roots = [Root("/a", "a", confined=True), Root("/home", "", confined=False)]
    count = made.begin({"graph": "g"}, roots, [(0, b"x/1.jpg"), (1, b"/abs/2.png"), (1, b"\xff.jpg")], ["csv"])
    assert count == made.items == 3
    assert [(item.number, item.name, item.path, item.home) for item in made.items_from(0)] == [
        (0, "a/x/1.jpg", "/a/x/1.jpg", "/a"),
        (1, "/abs/2.png", "/abs/2.png", None),
        (2, "\\udcff.jpg", os.fsdecode(b"/home/\xff.jpg"), None),
    ]
    assert made.job == {"graph": "g"}
    assert made.item(3) is None


@settings(max_examples=examples(200), deadline=None)
@given(lengths=st.lists(st.one_of(st.none(), st.integers(1, 5)), min_size=1, max_size=8), asked=st.integers(0, 60))
def test_a_frame_is_found_in_its_item_whatever_pictures_and_films_there_are(lengths: list[int | None], asked: int) -> None:
    """`lengths`: None is a picture, a number is a film of so many frames."""
    made = Ledger(":memory:", create=True)
    made.begin({}, [Root("/", "", confined=False)], ((0, b"%d" % number) for number in range(len(lengths))), ["csv"])
    places = [Place(item, frame) for item, length in enumerate(lengths) for frame in range(length or 1)]
    first = 0
    for item, length in enumerate(lengths):
        if length is not None:
            made.film_begins(item, first)
            assert made.place(first) == Place(item, 0)
            assert made.place(first + length - 1) == Place(item, length - 1)
            made.film_ends(item, length)
        first += length or 1
    assert [made.place(frame) for frame in range(len(places))] == places
    assert made.place(len(places)) == Place(len(lengths), 0)
    assert [made.first_frame(item) for item in range(len(lengths))] == [at for at, each in enumerate(places) if each.frame == 0]
    assert made.first_frame(len(lengths)) == len(places)
    assert made.expected == len(places)


def test_a_film_counts_with_the_frames_it_declares_until_it_was_read_to_its_end(tmp_path: Path) -> None:
    made = ledger(tmp_path, ["a.jpg", "b.avi", "c.jpg"])
    assert made.expected == 3
    made.film_begins(1, 1, declared=10)
    assert made.expected == 12
    made.film_ends(1, 8)
    assert (made.expected, made.frames_of(1), made.frames_of(0)) == (10, 8, None)
    made.set_end(10)
    assert (made.end, made.expected) == (10, 10)


def test_a_film_that_begins_again_keeps_its_first_frame(tmp_path: Path) -> None:
    """A camera process that was killed opens the same film again."""
    made = ledger(tmp_path, ["a.avi", "b.jpg"])
    made.film_begins(0, 0, declared=9)
    made.film_ends(0, 5)
    made.film_begins(0, 0, declared=9)
    assert made.frames_of(0) == 5


def test_a_retry_has_turns_for_the_failed_frames_alone_and_forgets_those_that_succeed(tmp_path: Path) -> None:
    made = ledger(tmp_path, ["a", "b", "c", "d"], ("csv", "jsonl"))
    made.set_end(4)
    for frame in (3, 1):
        made.fail(Failure(frame, "x", None, "is corrupt"))
    made.note("csv", 4, b"t")
    made.finished("csv")
    assert made.frame_of(2) == 2
    assert made.begin_retry() == 2
    assert (made.retry, made.end, made.written) == (1, 2, 0)
    assert made.sinks == {"csv": Progress(0, b"t", False), "jsonl": Progress(0, None, False)}
    assert [made.frame_of(turn) for turn in (0, 1, 2)] == [1, 3, None]
    assert [made.failed_from(turn) for turn in (0, 1, 2)] == [2, 1, 0]
    made.succeed(1)
    assert made.failures() == [Failure(3, "x", None, "is corrupt")]
    assert made.begin_retry() == 1
    assert (made.retry, made.frame_of(0)) == (2, 3)


def test_a_job_is_as_far_as_its_slowest_output(tmp_path: Path) -> None:
    made = ledger(tmp_path, ["a", "b"], ("csv", "jsonl"))
    made.note("csv", 2, b"")
    assert made.written == 0
    made.note("jsonl", 1, b"")
    assert made.written == 1


def test_a_listing_that_fails_leaves_no_job(tmp_path: Path) -> None:
    def interrupted() -> object:
        yield (0, b"a")
        raise KeyboardInterrupt

    made = Ledger(str(tmp_path / "l"), create=True)
    with pytest.raises(KeyboardInterrupt):
        made.begin({"graph": "g"}, [Root("/", "", confined=False)], interrupted(), ["csv"])  # type: ignore[arg-type]
    assert (made.job, made.items, made.end) == (None, 0, None)


def test_two_processes_may_write_and_each_sees_what_the_other_wrote(tmp_path: Path) -> None:
    first = ledger(tmp_path, ["a"])
    second = Ledger(str(tmp_path / "ledger.sqlite"))
    first.fail(Failure(0, "a", None, "is corrupt"))
    second.set_end(1)
    assert (second.failed, first.end) == (1, 1)


def test_a_ledger_that_is_not_there_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Ledger(str(tmp_path / "l"))
    assert not (tmp_path / "l").exists()


def test_a_file_that_is_no_ledger_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "l").write_bytes(b"something else " * 1000)
    with pytest.raises(LedgerError, match="is damaged"):
        Ledger(str(tmp_path / "l"))


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    ledger(tmp_path, ["a"]).close()
    db = sqlite3.connect(tmp_path / "ledger.sqlite")
    db.execute("PRAGMA user_version=7")
    db.close()
    with pytest.raises(LedgerError, match=r"another version \(7, expected 1\)"):
        Ledger(str(tmp_path / "ledger.sqlite"))


def test_a_full_disk_is_an_os_error_and_nothing_is_lost(tmp_path: Path) -> None:
    made = ledger(tmp_path, ["a"])
    pages = made._db.execute("PRAGMA page_count").fetchone()[0]
    made._db.execute(f"PRAGMA max_page_count={pages}")

    def fill() -> None:
        for frame in range(10_000):
            made.fail(Failure(frame, "a" * 100, None, "is corrupt"))

    with pytest.raises(OSError) as refused:
        fill()
    assert refused.value.errno == errno.ENOSPC
    before = made.failed
    made._db.execute("PRAGMA max_page_count=100000")
    made.fail(Failure(100_000, "a", None, "is corrupt"))
    assert made.failed == before + 1


DAMAGE = {
    "no object": "UPDATE meta SET value = '[1]' WHERE key = 'job'",
    "no JSON": "UPDATE meta SET value = '{' WHERE key = 'job'",
    "no text": "UPDATE meta SET value = CAST(x'7bff7d' AS TEXT) WHERE key = 'job'",
    "no number": "UPDATE meta SET value = 'x' WHERE key = 'end'",
    "no pass": "UPDATE meta SET value = 'x' WHERE key = 'pass'",
    "no facts": "UPDATE meta SET value = 'x' WHERE key = 'facts'",
    "no name": "UPDATE items SET name = 7",
    "no turn": "UPDATE sinks SET next = 'x'",
    "no token": "UPDATE sinks SET token = 'x'",
    "no table": "DROP TABLE failures",
}


def read_all(book: Ledger) -> list[object]:
    values = [book.job, book.facts, book.retry, book.end, book.written, book.failures()]
    return [*values, list(book.items_from(0)), book.sink("jsonl"), book.sinks]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_ledger_is_told_in_one_line(tmp_path: Path, damage: str) -> None:
    """Values that a Ledger has not written, whatever reads them."""
    made = ledger(tmp_path, ["a.png", "b.png"])
    made.set_end(2)
    made.close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        database.execute(DAMAGE[damage])
        database.commit()
    found = Ledger(str(tmp_path / "ledger.sqlite"))
    with pytest.raises(LedgerError) as error:
        read_all(found)
    line = str(error.value)
    assert line.startswith(f"{tmp_path}/ledger.sqlite is damaged (")
    assert line.endswith("; remove the job's folder to begin anew")
    assert line.isprintable()
