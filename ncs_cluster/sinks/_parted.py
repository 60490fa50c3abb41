"""The base of the forms that jobs write: rows are kept in parts, and the final files are made of them. Runs on CPython 3.9.

A form says what a record becomes (`row`), how rows become files (`build`) and files become rows again (`rows`). Parts of a job with
failed frames stay after its end: a later retry replaces those rows and finishes again. Else they are removed.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from typing import Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

from ncs_cluster.jobs import layout
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.sinks._final import MOST_SHARDS, aside, link_or_copy, named, remove
from ncs_cluster.sinks._merge import Row, Shard
from ncs_cluster.sinks._parts import Parts
from ncs_cluster.sinks._rows import checked
from ncs_cluster.sinks.base import Opened, Parsed, Part, Place, Unjoinable
from ncs_cluster.types import Record


def parse(spec: str, place: Place) -> Parsed:
    path = str(place(spec))
    return Parsed({"path": path}, path)


class Parted(ABC):
    """See base.Sink and base.Finishing."""

    columns: Tuple[str, ...]
    """The files of a part."""
    heads: Optional[Tuple[bytes, ...]] = None
    """The bytes with which each begins; without it none has any."""
    memory: Optional[str] = None
    """A small column that the form reads again when it is opened, see `recall`."""

    def __init__(self, path: str, shard_size: int) -> None:
        self.path = path
        heads = self.heads or (b"",) * len(self.columns)
        self._parts = Parts(path, self.columns, heads, shard_size)
        self._shard_size = shard_size
        self._is_final = False
        self._may_retry = True
        """A pass over failed frames may follow."""

    # -- what a form says

    @abstractmethod
    def row(self, record: Record) -> Tuple[bool, Tuple[bytes, ...]]:
        """Whether the frame failed, and the bytes of each column. Changes nothing: writing them may fail."""

    def forget(self) -> None:  # noqa: B027  (a hook)
        """Called when it is opened, before `recall`."""

    def recall(self, text: bytes) -> None:  # noqa: B027  (a hook)
        """Bytes of the column `memory` that are written: those of a row, or of many."""

    @abstractmethod
    def build(self, shard: Shard) -> None:
        """Make the final files of a shard, the one that `files` names last as the last. Raises OSError."""

    @abstractmethod
    def rows(self, shard: Optional[int], frames: Iterable[layout.Frame]) -> Iterator[Row]:
        """The rows of which `build` has made the final files of a shard, read from these. `frames`: what the ledger knows of them.
        Raises OSError, and any exception where the files are not as `build` has made them."""

    @abstractmethod
    def numbered(self, row: Row, frame: int) -> Row:
        """The row with another number of its frame."""

    def files(self, shard: Optional[int]) -> List[str]:
        """Final files of a shard."""
        return [named(self.path, shard)]

    # -- Sink and Finishing

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        """Raises OSError."""
        self._is_final = False
        self.forget()
        if token is None:
            return Opened(first, self._parts.begin())
        if not self._parts.exist():
            if not os.path.exists(self.files(0 if self._shard_size else None)[-1]):
                raise OSError(errno.ENOENT, f"there are no parts in {self._parts.folder}; begin the job anew")
            self._is_final = True
            return Opened(first, token)
        token = self._parts.resume(token)
        if self.memory is not None:
            for text in self._parts.column(self.memory):
                self.recall(text)
        return Opened(first, token)

    def follow(self) -> Optional[bytes]:
        return None

    def write(self, record: Record) -> bytes:
        if self._is_final:
            raise OSError(errno.EINVAL, f"{self.path} has its final form; begin the job anew")
        return self._append(Row(record.frame, *self.row(record)))

    def _append(self, row: Row) -> bytes:
        token = self._parts.append(*row)
        if self.memory is not None and (text := row.pieces[self.columns.index(self.memory)]):
            self.recall(text)
        return token

    def sync(self) -> None:
        self._parts.sync()

    def finish(self) -> None:
        if self._is_final:
            return
        self._parts.settle()
        failed, last = 0, -1
        for shard in self._parts.shards():
            self.build(shard)
            failed += shard.failed
            last = -1 if shard.number is None else shard.number
        if self._shard_size:
            self._remove_shards_behind(last)
        if not failed or not self._may_retry:
            self._parts.remove()
            self._is_final = True

    def close(self) -> None:
        self._parts.close()

    # -- Joining

    def join(self, parts: Sequence[Part], order: Iterable[int]) -> None:
        """Raises OSError, Unjoinable."""
        self._may_retry = False
        read = [checked(part.sink.rows_of(part.ledger), part.sink.path) for part in parts]
        self.open(0, None)
        try:
            for frame, number in enumerate(order):
                row = next(read[number], None)
                if row is None:
                    raise Unjoinable(f"{parts[number].sink.path} ends before its last frame; copy the folder of the job again")
                self._append(self.numbered(row, frame))
            for part, rows in zip(parts, read):
                if next(rows, None) is not None:
                    raise Unjoinable(f"{part.sink.path} has more frames than its ledger; copy the folder of the job again")
            self.finish()
        finally:
            self.close()

    def rows_of(self, ledger: Ledger) -> Iterator[Row]:
        """All rows, read from the final files of the job of this ledger. Raises as `rows` does."""
        if not self._shard_size:
            yield from self.rows(None, layout.frames(ledger))
            return
        for shard in range(max(1, -(-layout.total(ledger) // self._shard_size))):
            first = shard * self._shard_size
            yield from self.rows(shard, layout.frames(ledger, first, first + self._shard_size))

    # -- for forms

    def settle(self, shard: Shard, column: str, final: str, patch: Optional[Callable[[str], None]] = None) -> None:
        """Give a column its final name, as it is. `patch`, called with its path before, may change its head. Raises OSError."""
        whole = shard.whole(column)
        which = self.columns.index(column)
        with aside(final) as draft:
            if whole is not None:
                # parts that stay for a retry share no file with the results, which their owner may edit
                link_or_copy(whole, draft, copy=self._may_retry and shard.failed > 0)
            else:
                with open(draft, "wb") as file:
                    file.write(self.heads[which] if self.heads else b"")
                    for row in shard.rows():
                        file.write(row.pieces[which])
            if patch is not None:
                patch(draft)

    def _remove_shards_behind(self, last: int) -> None:
        """Those that an earlier job has left."""
        for number in range(last + 1, MOST_SHARDS):
            files = self.files(number)
            if not os.path.exists(files[-1]):
                break
            for path in files:
                remove(path)
