"""A table: `example:FILE` writes one line "frame,graph,label" for each record."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional

from ncs_cluster.sinks.base import Opened, Parsed, Place, SinkPlugin
from ncs_cluster.types import Record


@dataclass(frozen=True)
class Options:
    """Where the table is written, and how."""

    path: str
    separator: str = ","

    def __post_init__(self) -> None:
        if len(self.separator) != 1:
            raise ValueError("separator must be one character")


def parse(spec: str, place: Place) -> Parsed:
    path = str(place(spec))
    return Parsed({"path": path}, path)


class Example:
    """See ncs_cluster.sinks.base.Sink. The resume token is the table's length in bytes, as decimal digits."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._fd = -1

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        self._fd = os.open(self._options.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if token is not None:
            # what was not acknowledged is written again
            os.ftruncate(self._fd, int(token))
        return Opened(first, self._token())

    def follow(self) -> Optional[bytes]:
        return None

    def write(self, record: Record) -> bytes:
        labels = [each.label for each in (*record.outcome.classes, *record.outcome.detections)]
        cells = (str(record.frame), record.graph, "+".join(labels).replace("\n", " "))
        line = (self._options.separator.join(cells) + "\n").encode()
        before = os.fstat(self._fd).st_size
        if os.write(self._fd, line) != len(line):
            os.ftruncate(self._fd, before)
            raise OSError("the disk is full")
        return self._token()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _token(self) -> bytes:
        return b"%d" % os.fstat(self._fd).st_size


PLUGIN = SinkPlugin(
    name="example",
    form="example:FILE",
    driver="ncs_cluster_example.sink:Example",
    options="ncs_cluster_example.sink:Options",
    parse="ncs_cluster_example.sink:parse",
)
