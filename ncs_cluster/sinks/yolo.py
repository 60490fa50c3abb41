"""Labels of a job's pictures as YOLO's tools read them: labels/NAME.txt for each, and classes.txt. Runs on CPython 3.9.

A line is `class x y width height confidence`: the box's centre and size in shares of the picture. A picture without detections has
an empty file. A failed one has none and stands in failures.jsonl.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from dataclasses import dataclass
from typing import Iterable, Iterator, List, Optional, Tuple

import msgspec

from ncs_cluster.errors import one_line
from ncs_cluster.jobs.layout import Frame
from ncs_cluster.sinks._categories import Categories
from ncs_cluster.sinks._final import aside, check_file, remove, sync_file_system
from ncs_cluster.sinks._merge import Row, Shard
from ncs_cluster.sinks._names import Names
from ncs_cluster.sinks._parted import Parted
from ncs_cluster.sinks._text import figure, item_name, nameless, plain
from ncs_cluster.sinks._vectors import decode_failure, failure, line
from ncs_cluster.sinks.base import Parsed, Place
from ncs_cluster.types import Record

_STAGE = ".labels.tmp"
_NAME_BYTES = 230
"""Longest name of a picture without its suffix: the number of a film's frame and ".txt" fit behind it."""


@dataclass(frozen=True)
class Options:
    """The folder of the labels."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str
    """A folder that is there; labels/, classes.txt and failures.jsonl are made in it."""
    shard_size: int = 0
    """0: each picture has a file of its own."""

    def __post_init__(self) -> None:
        check_file(self.path, self.shard_size)
        if self.shard_size:
            raise ValueError("shard_size must be 0: each picture has a file of its own")


def parse(spec: str, place: Place) -> Parsed:
    folder = str(place(os.path.join(spec, "classes.txt")).parent)
    return Parsed({"path": folder}, folder)


class Yolo(Parted):
    """See base.Finishing."""

    columns = ("labels", "failures", "categories")
    memory = "categories"

    def __init__(self, options: Options) -> None:
        super().__init__(os.path.join(options.path, "labels"), 0)
        self._folder = options.path
        self._stage = os.path.join(options.path, _STAGE)
        self.forget()

    def files(self, shard: Optional[int]) -> List[str]:
        return [os.path.join(self._folder, name) for name in ("failures.jsonl", "classes.txt")]

    def forget(self) -> None:
        self._categories = Categories()

    def recall(self, text: bytes) -> None:
        self._categories.recall(text)

    def row(self, record: Record) -> Tuple[bool, Tuple[bytes, ...]]:
        outcome, error = record.outcome, record.outcome.error
        item = item_name(record)
        if error is None and not _is_inside(item):
            error = "its name is no path below a folder, or too long; no label file is written"
        if error is not None:
            name = item.encode() if _is_inside(item) else b""
            return True, (name, line(failure(record, plain(error))), b"")
        item = _of_frame(item, record.item_frame)
        text = "".join([_line(each.label_id, each.score, each.box) for each in outcome.detections])
        categories = self._categories.new([(each.label_id, each.label) for each in outcome.detections])
        return False, (item.encode() + b"\0" + text.encode(), b"", categories)

    def build(self, shard: Shard) -> None:
        """Each file is whole under its name; classes.txt is the last one."""
        labels = os.path.join(self._folder, "labels")
        shutil.rmtree(self._stage, ignore_errors=True)
        try:
            os.mkdir(self._stage)
            for row in shard.rows():
                if not row.failed:
                    self._write(row)
            sync_file_system(self._stage)
            os.makedirs(labels, exist_ok=True)
            self._remove_labels_of_failures(shard, labels)
            self._publish(labels)
            sync_file_system(labels)
        finally:
            shutil.rmtree(self._stage, ignore_errors=True)
        failures, classes = self.files(None)
        self.settle(shard, "failures", failures)
        with aside(classes) as draft, open(draft, "wb") as file:
            names = self._categories.names
            for number in range(max(names, default=-1) + 1):
                file.write(one_line(names.get(number, f"class {number}")).encode() + b"\n")

    def rows(self, shard: Optional[int], frames: Iterable[Frame]) -> Iterator[Row]:
        failures, classes = self.files(shard)
        with open(classes, encoding="utf-8", newline="\n") as text:
            names = [(number, name.rstrip("\n")) for number, name in enumerate(text)]
        # `class n` stands for a number that no result had, where a larger one was had
        had = [(number, name) for number, name in names if name != f"class {number}" or number == len(names) - 1]
        categories = Categories().new(had)
        with Names() as taken, open(failures, "rb") as file:
            told = next(file, None)
            for frame in frames:
                if told is not None and (failed := decode_failure(told)).frame == frame.number:
                    item = failed.item or nameless(frame.number)
                    yield Row(frame.number, True, (item.encode() if _is_inside(item) else b"", told, categories))
                    told = next(file, None)
                else:
                    item = _of_frame(frame.item or "", frame.item_frame)
                    if not _is_inside(item):
                        raise ValueError(f"frame {frame.number} can have no label file")
                    name = next(each for each in _names(item, frame.number) if taken.take(each))
                    with open(os.path.join(self._folder, "labels", name), "rb") as label:
                        yield Row(frame.number, False, (item.encode() + b"\0" + label.read(), b"", categories))
                categories = b""

    def numbered(self, row: Row, frame: int) -> Row:
        item, told, categories = row.pieces
        if not row.failed:
            return Row(frame, False, row.pieces)
        failed = decode_failure(told)
        if failed.item is None:
            item = nameless(frame).encode()
        return Row(frame, True, (item, line(msgspec.structs.replace(failed, frame=frame)), categories))

    def _write(self, row: Row) -> None:
        item, _, text = row.pieces[0].partition(b"\0")
        for name in _names(item.decode(), row.frame):
            path = os.path.join(self._stage, name)
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "xb") as file:
                    file.write(text)
                return
            except (FileExistsError, NotADirectoryError):
                # a.jpg and a.png have one label name; the next one is tried
                continue

    def _remove_labels_of_failures(self, shard: Shard, labels: str) -> None:
        """Those of an earlier job, so that no label is taken for this one's."""
        for row in shard.rows():
            if row.failed and row.pieces[0]:
                name = os.path.splitext(row.pieces[0].decode())[0] + ".txt"
                if not os.path.exists(os.path.join(self._stage, name)):
                    path = os.path.join(labels, name)
                    if os.path.isfile(path) and _is_below(os.path.dirname(path), labels):
                        remove(path)

    def _publish(self, labels: str) -> None:
        for folder, _, names in os.walk(self._stage):
            final = os.path.normpath(os.path.join(labels, os.path.relpath(folder, self._stage)))
            os.makedirs(final, exist_ok=True)
            if not _is_below(final, labels):
                raise OSError(errno.ELOOP, f"{final} leads out of {labels}; replace that link by a folder")
            for name in names:
                os.rename(os.path.join(folder, name), os.path.join(final, name))


def _of_frame(item: str, item_frame: Optional[int]) -> str:
    """The name of a picture, as it would be of a film's frame: film_000123.mp4."""
    root, suffix = os.path.splitext(item)
    return item if item_frame is None else f"{root}_{item_frame:06d}{suffix}"


def _line(label_id: int, score: float, box: Tuple[float, float, float, float]) -> str:
    x1, y1, x2, y2 = [figure(side, 6) for side in box]
    return f"{label_id} {(x1 + x2) / 2:.6g} {(y1 + y2) / 2:.6g} {x2 - x1:.6g} {y2 - y1:.6g} {figure(score, 6):.6g}\n"


def _is_inside(item: str) -> bool:
    """A relative path whose label file lies below the folder of labels, and whose name is not too long."""
    parts = item.split("/")
    if any(part in ("", ".", "..") or "\0" in part or len(part.encode()) > 255 for part in parts):
        return False
    return len(os.path.splitext(parts[-1])[0].encode()) <= _NAME_BYTES


def _is_below(folder: str, labels: str) -> bool:
    real, top = os.path.realpath(folder), os.path.realpath(labels)
    return real == top or real.startswith(top + os.sep)


def _names(item: str, frame: int) -> Iterator[str]:
    """Names of its label file, best first."""
    yield os.path.splitext(item)[0] + ".txt"
    if len(os.path.basename(item).encode()) <= _NAME_BYTES:
        yield item + ".txt"
    yield f"frame_{frame:06d}.txt"
    for number in itertools.count(1):
        yield f"frame_{frame:06d}_{number}.txt"
