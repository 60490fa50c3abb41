"""A table of a job's results: one row per detection or class, RFC 4180, UTF-8. Runs on CPython 3.9.

A frame without detections has one row whose label is empty, a frame that failed one row with its error: no frame is missing.
"""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, List, Optional, Tuple

from ncs_cluster.jobs.layout import Frame
from ncs_cluster.sinks._final import check_file
from ncs_cluster.sinks._merge import Row, Shard
from ncs_cluster.sinks._parted import Parted
from ncs_cluster.sinks._text import figure, plain
from ncs_cluster.types import Outcome, Record

OF_FRAME = ["frame", "item", "item_frame", "width", "height"]
OF_OBJECT = ["rank", "label", "label_id", "score", "x1", "y1", "x2", "y2", "distance_m"]
HEADER = [*OF_FRAME, *OF_OBJECT, "error"]
_NONE = [[""] * len(OF_OBJECT)]


@dataclass(frozen=True)
class Options:
    """The table, and how it is divided."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str
    """The final file."""
    shard_size: int = 0
    """Frames per file; 0: one file."""

    def __post_init__(self) -> None:
        check_file(self.path, self.shard_size)


def _lines(rows: List[List[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _objects(outcome: Outcome) -> List[List[Any]]:
    found: List[List[Any]] = []
    for rank, each in enumerate(outcome.detections, 1):
        distance_m = "" if each.distance_m is None else figure(each.distance_m, 3)
        box = [figure(side, 5) for side in each.box]
        found.append([rank, plain(each.label), each.label_id, figure(each.score, 4), *box, distance_m])
    for rank, one in enumerate(outcome.classes, 1):
        found.append([rank, plain(one.label), one.label_id, figure(one.score, 4), "", "", "", "", ""])
    return found


class Csv(Parted):
    """See base.Finishing."""

    columns = ("csv",)
    heads = (_lines([HEADER]),)

    def __init__(self, options: Options) -> None:
        super().__init__(options.path, options.shard_size)

    def row(self, record: Record) -> Tuple[bool, Tuple[bytes, ...]]:
        item_frame = "" if record.item_frame is None else record.item_frame
        frame = [record.frame, plain(record.item or ""), item_frame, *(record.size or ("", ""))]
        error = record.outcome.error
        rows = [[*frame, *each, plain(error or "")] for each in _objects(record.outcome) or _NONE]
        return error is not None, (_lines(rows),)

    def build(self, shard: Shard) -> None:
        self.settle(shard, "csv", self.files(shard.number)[-1])

    def rows(self, shard: Optional[int], frames: Iterable[Frame]) -> Iterator[Row]:
        with open(self.files(shard)[-1], encoding="utf-8", newline="") as file:
            table = csv.reader(file)
            if next(table, None) != HEADER:
                raise ValueError("its first line is not the names of its columns")
            for frame, of_frame in itertools.groupby(table, lambda row: row[0]):
                rows = list(of_frame)
                yield Row(int(frame), bool(rows[0][len(HEADER) - 1]), (_lines(rows),))

    def numbered(self, row: Row, frame: int) -> Row:
        rows = csv.reader(io.StringIO(row.pieces[0].decode(), newline=""))
        return Row(frame, row.failed, (_lines([[frame, *cells[1:]] for cells in rows]),))
