"""Whole records, for the command that puts a job's chunks together and writes them in the forms that were asked for. It is no form
for people: each record is four bytes with its length, little-endian, and types.Record in msgpack. Runs on CPython 3.9.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, Iterable, Iterator, Optional, Tuple

import msgspec

from ncs_cluster.jobs.layout import Frame
from ncs_cluster.sinks._final import check_file
from ncs_cluster.sinks._merge import Row, Shard
from ncs_cluster.sinks._parted import Parted
from ncs_cluster.types import Record

LONGEST = 1 << 20
"""Bytes of a record; a message of the sink's channel has 200,000 at most."""
_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


@dataclass(frozen=True)
class Options:
    """The destination of the records."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str

    def __post_init__(self) -> None:
        check_file(self.path, 0)


class Records(Parted):
    """See base.Finishing."""

    columns = ("records",)

    def __init__(self, options: Options) -> None:
        super().__init__(options.path, 0)

    def row(self, record: Record) -> Tuple[bool, Tuple[bytes, ...]]:
        text = _encode(record)
        return record.outcome.error is not None, (_LENGTH.pack(len(text)) + text,)

    def build(self, shard: Shard) -> None:
        self.settle(shard, "records", self.files(shard.number)[-1])

    def rows(self, shard: Optional[int], frames: Iterable[Frame]) -> Iterator[Row]:
        with open(self.files(shard)[-1], "rb") as file:
            for record in read(file):
                yield Row(record.frame, *self.row(record))

    def numbered(self, row: Row, frame: int) -> Row:
        record = msgspec.structs.replace(_decode(row.pieces[0][_LENGTH.size :]), frame=frame)
        return Row(frame, *self.row(record))


def read(file: BinaryIO) -> Iterator[Record]:
    """The records of a file, from its present place on. Raises ValueError, one line, where they are not as they were written."""
    while head := file.read(_LENGTH.size):
        length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else LONGEST + 1
        text = file.read(length) if length <= LONGEST else b""
        if len(text) != length:
            raise ValueError("a record is cut off")
        try:
            yield _decode(text)
        except msgspec.MsgspecError as error:
            raise ValueError(f"a record is none: {error}") from error
