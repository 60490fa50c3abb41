"""Records of chunks, written into a job's outputs as its sinks would have: in order, once, whatever comes twice or is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.cli.run.feeding import Feeder
from ncs_cluster.fleet.chunk import Malformed
from ncs_cluster.jobs import layout
from ncs_cluster.jobs.ledger import Failure, Item, Ledger
from ncs_cluster.specs import CameraSpec, GraphSpec, JobSpec, SinkSpec
from ncs_cluster.types import CameraName, GraphName, Outcome, Record
from tests.jobs.making import ledger

NAMES = ["a.jpg", "b.avi", "c.jpg"]


def job(folder: Path) -> JobSpec:
    sink = SinkSpec("jsonl", {"path": str(folder / "r.jsonl"), "job": True}, "r.jsonl", "jsonl", str(folder / "ledger.sqlite"))
    return JobSpec(CameraSpec(CameraName("job"), "job", {}, ""), [sink], GraphSpec(GraphName("mine"), "m.xml", "ssd"), str(folder))


def record(number: int, item: str | None, item_frame: int | None = None, error: str | None = None) -> Record:
    return Record("job-7", number, 1.5, item, "sim-1", "theirs", 0.01, Outcome(error=error), item_frame=item_frame)


def given(folder: Path) -> tuple[Ledger, list[Item], Feeder]:
    book = ledger(folder, NAMES)
    return book, list(book.items_from(0)), Feeder(job(folder), book)


def written(folder: Path) -> list[tuple[Any, ...]]:
    lines = [json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()]
    return [(each["frame"], each["item"], each.get("item_frame"), each["camera"], each["graph"], "error" in each) for each in lines]


WHOLE = [
    (0, "a.jpg", None, "job", "mine", False),
    (1, "b.avi", 0, "job", "mine", False),
    (2, "b.avi", 1, "job", "mine", True),
    (3, "c.jpg", None, "job", "mine", False),
]


def test_records_of_chunks_become_one_output_and_films_are_noted_with_their_length(tmp_path: Path) -> None:
    book, items, feeder = given(tmp_path)
    turn = feeder.feed(0, items[:1], [None], [record(0, "a.jpg")])
    turn = feeder.feed(turn, items[1:2], [2], [record(0, "b.avi", 0), record(1, "b.avi", 1, "b.avi: is torn")])
    turn = feeder.feed(turn, items[2:], [None], [record(0, "c.jpg")])
    feeder.finish(turn)
    feeder.close()
    assert written(tmp_path) == WHOLE
    assert book.complete
    assert book.failures() == [Failure(2, "b.avi", 1, "b.avi: is torn")]
    assert [frame.item for frame in layout.frames(book)] == ["a.jpg", "b.avi", "b.avi", "c.jpg"]


def test_a_chunk_that_comes_again_after_a_kill_is_written_once(tmp_path: Path) -> None:
    book, items, feeder = given(tmp_path)
    film = [record(0, "b.avi", 0), record(1, "b.avi", 1, "b.avi: is torn")]
    feeder.feed(0, items[:1], [None], [record(0, "a.jpg")])
    feeder.feed(1, items[1:2], [2], film)
    feeder.note()
    assert book.written == 3
    # as after a kill: nothing more is noted, and the lock is free
    for sink in feeder._sinks:
        sink._inner.close()
    later = Feeder(job(tmp_path), book)
    assert book.first_frame(1) == 1
    turn = later.feed(1, items[1:2], [2], film)
    later.finish(later.feed(turn, items[2:], [None], [record(0, "c.jpg")]))
    later.close()
    assert written(tmp_path) == WHOLE


@pytest.mark.parametrize(
    ("lengths", "records"),
    [
        ([None], [record(0, "c.jpg")]),
        ([None], []),
        ([None], [record(0, "a.jpg"), record(1, "a.jpg")]),
        ([2], [record(0, "a.jpg")]),
        ([], [record(0, "a.jpg")]),
    ],
)
def test_records_of_other_items_are_malformed(tmp_path: Path, lengths: list[int | None], records: list[Record]) -> None:
    _, items, feeder = given(tmp_path)
    with pytest.raises(Malformed):
        feeder.feed(0, items[:1], lengths, records)
    feeder.close()


def test_an_item_that_no_host_can_do_is_a_failed_one_with_the_reason(tmp_path: Path) -> None:
    book, items, feeder = given(tmp_path)
    turn = feeder.give_up(0, items[0], "given up", film=False)
    turn = feeder.give_up(turn, items[1], "given up", film=True)
    feeder.finish(feeder.feed(turn, items[2:], [None], [record(0, None)]))
    feeder.close()
    assert [(each.frame, each.item, each.reason) for each in book.failures()] == [
        (0, "a.jpg", "a.jpg: given up"),
        (1, "b.avi", "b.avi: given up"),
    ]
    assert [each[:2] for each in written(tmp_path)] == [(0, "a.jpg"), (1, "b.avi"), (2, None)]
    assert book.frames_of(1) == 1
