"""Reading parts: runs of rows sorted by frame, merged into one. Memory does not grow with their length. Runs on CPython 3.9.

A part is one file per column and an index. The index has an entry per row: twice the frame number, plus 1 where the frame failed;
then, for each column, the offset in its file behind the row's bytes. All are unsigned 64-bit, little-endian. Bytes behind the last
offset do not count.
"""

from __future__ import annotations

import errno
import heapq
import os
import struct
from contextlib import ExitStack
from typing import Iterator, NamedTuple, Optional, Sequence, Tuple

INDEX = "index"
_ENTRIES = 4096
_BUFFER = 1 << 18


class Row(NamedTuple):
    """One record as a form stores it."""

    frame: int
    failed: bool
    pieces: Tuple[bytes, ...]
    """The bytes of each column."""


class PartFile:
    """The files of one part."""

    def __init__(self, folder: str, number: int, columns: Sequence[str], heads: Sequence[bytes]) -> None:
        self.number = number
        self.columns = tuple(columns)
        self._folder = folder
        self._heads = tuple(heads)
        self.entry = struct.Struct(f"<{1 + len(self.columns)}Q")

    def path(self, column: str) -> str:
        return os.path.join(self._folder, f"{self.number:06d}.{column}")

    def length(self) -> int:
        """Rows. Raises OSError."""
        return os.stat(self.path(INDEX)).st_size // self.entry.size

    def at(self, row: int) -> Tuple[int, ...]:
        """The index entry of a row. Raises OSError."""
        with open(self.path(INDEX), "rb", buffering=0) as index:
            index.seek(row * self.entry.size)
            return self._unpacked(index.read(self.entry.size))

    def entries(self) -> Iterator[Tuple[int, ...]]:
        """All index entries. Raises OSError."""
        left = self.length()
        with open(self.path(INDEX), "rb", buffering=0) as index:
            while left:
                block = index.read(min(left, _ENTRIES) * self.entry.size)
                if not block or len(block) % self.entry.size:
                    raise self._damaged()
                left -= len(block) // self.entry.size
                yield from self.entry.iter_unpack(block)

    def marks(self) -> Iterator[Tuple[int, int]]:
        """For each row twice its frame number, plus 1 where it failed; and the negated number of the part, by which rows of one
        frame are sorted, the newest first."""
        for entry in self.entries():
            yield entry[0], -self.number

    def rows(self) -> Iterator[Row]:
        """All rows. Raises OSError, also for a file that is shorter than its index says."""
        with ExitStack() as opened:
            files = [opened.enter_context(open(self.path(column), "rb", buffering=_BUFFER)) for column in self.columns]
            before = [len(head) for head in self._heads]
            for file, begin in zip(files, before):
                file.seek(begin)
            for mark, *ends in self.entries():
                pieces = tuple([file.read(end - begin) for file, begin, end in zip(files, before, ends)])
                if any(len(piece) != end - begin for piece, begin, end in zip(pieces, before, ends)):
                    raise self._damaged()
                yield Row(mark >> 1, bool(mark & 1), pieces)
                before = ends

    def is_whole(self, column: str) -> bool:
        """The column's file holds nothing but its head and the rows. Raises OSError."""
        rows = self.length()
        end = self.at(rows - 1)[1 + self.columns.index(column)] if rows else len(self._heads[self.columns.index(column)])
        return os.stat(self.path(column)).st_size == end

    def _unpacked(self, entry: bytes) -> Tuple[int, ...]:
        if len(entry) != self.entry.size:
            raise self._damaged()
        return self.entry.unpack(entry)

    def _damaged(self) -> OSError:
        return OSError(errno.EIO, f"part {self.number} in {self._folder} is damaged; begin the job anew")


class Shard:
    """The rows of one final file, spread over parts."""

    def __init__(self, number: Optional[int], parts: Sequence[PartFile]) -> None:
        self.number = number
        """None without shards."""
        self.parts = list(parts)
        self.failed = sum(mark & 1 for mark in self._marks())
        """Frames whose newest row is a failure. Counting them raises OSError where a part cannot be read."""

    def rows(self) -> Iterator[Row]:
        """In the order of frames, the newest of each. Raises OSError."""
        if len(self.parts) == 1:
            yield from self.parts[0].rows()
            return
        last = -1
        for row, _ in heapq.merge(*[_keyed(part) for part in self.parts], key=_order):
            if row.frame != last:
                yield row
            last = row.frame

    def whole(self, column: str) -> Optional[str]:
        """The file that holds the column of all rows as `rows` gives them; None where it must be put together. Raises OSError."""
        if len(self.parts) == 1 and self.parts[0].is_whole(column):
            return self.parts[0].path(column)
        return None

    def _marks(self) -> Iterator[int]:
        last = -1
        for mark, _ in heapq.merge(*[part.marks() for part in self.parts], key=lambda each: (each[0] >> 1, each[1])):
            if mark >> 1 != last:
                yield mark
            last = mark >> 1


def _keyed(part: PartFile) -> Iterator[Tuple[Row, int]]:
    for row in part.rows():
        yield row, -part.number


def _order(each: Tuple[Row, int]) -> Tuple[int, int]:
    return each[0].frame, each[1]
