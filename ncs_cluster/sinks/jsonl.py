"""JSON Lines: one record a line, appended to a file or written to standard output. Runs on CPython 3.9."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ncs_cluster.sinks._json import encode
from ncs_cluster.sinks._lines import STDOUT, LineFile
from ncs_cluster.sinks.base import Opened, Parsed, Place
from ncs_cluster.types import Record


@dataclass(frozen=True)
class Options:
    """The destination of the lines."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str
    """A file; "-" is standard output."""


def parse(spec: str, place: Place) -> Parsed:
    path = spec if spec == STDOUT else str(place(spec))
    return Parsed({"path": path}, path)


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


def _token(offset: int) -> bytes:
    return b"%d" % offset
