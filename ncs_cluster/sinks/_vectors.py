"""Feature vectors of a job, as rows of equal length. Runs on CPython 3.9.

The first vector gives the length. A frame whose result holds no vector, or one of another length, counts as failed.
"""

from __future__ import annotations

from typing import Iterable, Iterator, NamedTuple, Optional

import msgspec
from msgspec import Struct

from ncs_cluster.sinks._merge import Row
from ncs_cluster.sinks._text import plain
from ncs_cluster.types import Outcome, Record

DTYPES = {"float32": ("<f4", 4), "float16": ("<f2", 2)}
"""numpy's name and bytes of a value."""


class Name(Struct):
    """Which frame a row is of."""

    frame: int
    item: Optional[str]
    item_frame: Optional[int]


class Failure(Struct):
    """A frame without a row."""

    frame: int
    item: Optional[str]
    item_frame: Optional[int]
    error: str


class Vector(NamedTuple):
    """The vector of one outcome, or the reason why there is none."""

    values: bytes
    error: Optional[str]


def check_dtype(dtype: str) -> None:
    """Raises ValueError, one line."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be {' or '.join(DTYPES)}")


class Vectors:
    """The rows of one job."""

    def __init__(self, dtype: str) -> None:
        self.dtype, self.value_bytes = DTYPES[dtype]
        self.length = 0
        """Values in a vector; 0 before the first."""

    def of(self, outcome: Outcome) -> Vector:
        """float32 or float16, little-endian; what float16 cannot hold becomes infinite."""
        values = outcome.features
        if outcome.error is not None:
            return Vector(b"", plain(outcome.error) or "failed")
        if not values:
            return Vector(b"", "the graph gives no features; choose a format for detections")
        length = len(values) // 4
        if self.length and length != self.length:
            return Vector(b"", f"{length} features, where the first frame has {self.length}")
        if self.value_bytes == 2:
            import numpy as np

            with np.errstate(over="ignore", invalid="ignore"):
                values = np.frombuffer(values, "<f4").astype("<f2").tobytes()
        return Vector(values, None)

    def new(self, vector: Vector) -> bytes:
        """The bytes that tell the length where it was not known before."""
        return b"%d\n" % (len(vector.values) // self.value_bytes) if vector.values and not self.length else b""

    def recall(self, text: bytes) -> None:
        self.length = self.length or int(text.split()[0] if text.split() else 0)


def name(record: Record) -> Name:
    return Name(record.frame, None if record.item is None else plain(record.item), record.item_frame)


def line(struct: Struct) -> bytes:
    return msgspec.json.encode(struct) + b"\n"


def failure(record: Record, error: str) -> Failure:
    of = name(record)
    return Failure(of.frame, of.item, of.item_frame, error)


_decode_name = msgspec.json.Decoder(Name).decode
decode_failure = msgspec.json.Decoder(Failure).decode


def failures_in(lines: Iterable[bytes]) -> Iterator[Row]:
    """Rows of frames without a vector, of lines of `Failure`."""
    for each in lines:
        yield Row(decode_failure(each).frame, True, (b"", b"", each, b""))


def numbered(row: Row, frame: int) -> Row:
    """A row of the columns vectors, names, failures, length with another number of its frame."""
    values, named, failed, length = row.pieces
    if row.failed:
        failed = line(msgspec.structs.replace(decode_failure(failed), frame=frame))
    else:
        named = line(msgspec.structs.replace(_decode_name(named), frame=frame))
    return Row(frame, row.failed, (values, named, failed, length))
