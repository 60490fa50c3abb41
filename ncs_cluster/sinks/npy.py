"""Feature vectors of a job as one numpy array, with the names of its rows beside it. Runs on CPython 3.9.

NAME.npy is [n, d] in the order of frames; line i of NAME.names.jsonl says which frame row i is of. Failed frames have no row and
stand in NAME.failures.jsonl. The array can be mapped into memory: numpy.load(path, mmap_mode="r").
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO, Iterable, Iterator, List, Optional, Tuple

import msgspec

from ncs_cluster.jobs.layout import Frame
from ncs_cluster.sinks._final import check_file, named
from ncs_cluster.sinks._merge import Row, Shard
from ncs_cluster.sinks._parted import Parted
from ncs_cluster.sinks._rows import by_frame
from ncs_cluster.sinks._vectors import Name, Vectors, check_dtype, failure, failures_in, line, name, numbered
from ncs_cluster.types import Record

_HEAD_BYTES = 128
"""A multiple of 64 (numpy.lib.format); holds any shape."""


@dataclass(frozen=True)
class Options:
    """The array, and how it is divided."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str
    """The final file; NAME.names.jsonl and NAME.failures.jsonl stand beside NAME.npy."""
    shard_size: int = 0
    """Frames per file; 0: one file."""
    dtype: str = "float32"
    """float32, or float16 for half the size."""

    def __post_init__(self) -> None:
        check_file(self.path, self.shard_size)
        check_dtype(self.dtype)


class Npy(Parted):
    """See base.Finishing."""

    columns = ("vectors", "names", "failures", "length")
    # the head is written when the number of rows is known
    heads = (bytes(_HEAD_BYTES), b"", b"", b"")
    memory = "length"

    def __init__(self, options: Options) -> None:
        super().__init__(options.path, options.shard_size)
        self._dtype = options.dtype
        self.forget()

    def files(self, shard: Optional[int]) -> List[str]:
        return [named(self.path, shard, ".failures.jsonl"), named(self.path, shard, ".names.jsonl"), named(self.path, shard)]

    def forget(self) -> None:
        self._vectors = Vectors(self._dtype)

    def recall(self, text: bytes) -> None:
        self._vectors.recall(text)

    def row(self, record: Record) -> Tuple[bool, Tuple[bytes, ...]]:
        vector = self._vectors.of(record.outcome)
        if vector.error is not None:
            return True, (b"", b"", line(failure(record, vector.error)), b"")
        return False, (vector.values, line(name(record)), b"", self._vectors.new(vector))

    def build(self, shard: Shard) -> None:
        failures, names, vectors = self.files(shard.number)
        self.settle(shard, "failures", failures)
        self.settle(shard, "names", names)
        self.settle(shard, "vectors", vectors, self._write_head)

    def rows(self, shard: Optional[int], frames: Iterable[Frame]) -> Iterator[Row]:
        failures, names, vectors = self.files(shard)
        with open(failures, "rb") as failures_file, open(names, "rb") as names_file, open(vectors, "rb") as vectors_file:
            yield from by_frame(self._named(names_file, vectors_file), failures_in(failures_file))

    def numbered(self, row: Row, frame: int) -> Row:
        return numbered(row, frame)

    def _named(self, names: IO[bytes], vectors: IO[bytes]) -> Iterator[Row]:
        import numpy as np

        np.lib.format.read_magic(vectors)
        (_, length), _, _ = np.lib.format.read_array_header_1_0(vectors)
        decode, size = msgspec.json.Decoder(Name).decode, length * self._vectors.value_bytes
        told = b"%d\n" % length
        for each in names:
            values = vectors.read(size)
            if len(values) != size:
                raise ValueError("it has fewer rows than names")
            yield Row(decode(each).frame, False, (values, each, b"", told))
            told = b""
        if vectors.read(1):
            raise ValueError("it has more rows than names")

    def _write_head(self, path: str) -> None:
        length = self._vectors.length
        row_bytes = length * self._vectors.value_bytes
        rows = (os.stat(path).st_size - _HEAD_BYTES) // row_bytes if row_bytes else 0
        # format version 1.0 of numpy.lib.format: magic, version, length of the text, the text up to a line end
        text = f"{{'descr': '{self._vectors.dtype}', 'fortran_order': False, 'shape': ({rows}, {length}), }}"
        text = text.ljust(_HEAD_BYTES - 11) + "\n"
        with open(path, "r+b") as file:
            file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
