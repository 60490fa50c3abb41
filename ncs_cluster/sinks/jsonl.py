"""JSON Lines: one record a line, appended to a file or written to standard output. Runs on CPython 3.9.

A job's results are written by a class of their own, beside their final name, and appended to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Iterator, Optional, Tuple, Union

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ncs_cluster.jobs.layout import Frame
from ncs_cluster.sinks._final import check_file
from ncs_cluster.sinks._json import encode
from ncs_cluster.sinks._lines import STDOUT, LineFile
from ncs_cluster.sinks._merge import Row, Shard
from ncs_cluster.sinks._parted import Parted
from ncs_cluster.sinks.base import Opened, Parsed, Place
from ncs_cluster.types import Record


@dataclass(frozen=True)
class Options:
    """The destination of the lines."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str
    """A file; "-" is standard output."""
    job: bool = False
    """The results of a job, which get their name when it is done. The job sets it."""
    shard_size: int = 0
    """Frames per file of a job; 0: one file."""

    def __post_init__(self) -> None:
        if self.job:
            check_file(self.path, self.shard_size)
        elif self.shard_size:
            raise ValueError("shard_size is for jobs: rotate the file by moving it")


def parse(spec: str, place: Place) -> Parsed:
    path = spec if spec == STDOUT else str(place(spec))
    return Parsed({"path": path}, path)


def lines(options: Options) -> Union[JsonLines, JobLines]:
    """The sink for these options."""
    return JobLines(options) if options.job else JsonLines(options)


class JsonLines:
    """See base.Sink. The resume token is the file's length in bytes, as decimal digits."""

    def __init__(self, options: Options) -> None:
        self._file = LineFile(options.path)

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        """Raises OSError when the file cannot be opened for appending, or its last line is not a result."""
        found = self._file.open(None if token is None else int(token))
        return Opened(first + found.written, _token(found.offset))

    def follow(self) -> Optional[bytes]:
        offset = self._file.follow()
        return None if offset is None else _token(offset)

    def write(self, record: Record) -> bytes:
        return _token(self._file.write(encode(record)))

    def close(self) -> None:
        self._file.close()


class _Line(Struct):
    frame: int
    error: Union[str, UnsetType] = UNSET


_decode = msgspec.json.Decoder(_Line).decode


class JobLines(Parted):
    """See base.Finishing."""

    columns = ("lines",)

    def __init__(self, options: Options) -> None:
        super().__init__(options.path, options.shard_size)

    def row(self, record: Record) -> Tuple[bool, Tuple[bytes, ...]]:
        return record.outcome.error is not None, (encode(record) + b"\n",)

    def build(self, shard: Shard) -> None:
        self.settle(shard, "lines", self.files(shard.number)[-1])

    def rows(self, shard: Optional[int], frames: Iterable[Frame]) -> Iterator[Row]:
        with open(self.files(shard)[-1], "rb") as file:
            for line in file:
                told = _decode(line)
                yield Row(told.frame, told.error is not UNSET, (line,))

    def numbered(self, row: Row, frame: int) -> Row:
        # before it are the schema and the stream, which is "job"
        (line,) = row.pieces
        return Row(frame, row.failed, (line.replace(b'"frame":%d,' % row.frame, b'"frame":%d,' % frame, 1),))


def _token(offset: int) -> bytes:
    return b"%d" % offset
