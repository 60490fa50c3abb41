"""Grey frames, each one step brighter than the one before: `example:COUNT`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Optional

from ncs_cluster.sources.base import Captured, Find, Parsed, Planes, SourceInfo, SourcePlugin

WIDTH, HEIGHT = 64, 48


@dataclass(frozen=True)
class Options:
    """Frame n has the brightness n * step."""

    frames: int = 10
    step: int = 10

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= 1000:
            raise ValueError("frames must be 1 to 1000")
        if not 0 <= self.step <= 255:
            raise ValueError("step must be 0 to 255")


def parse(spec: str, find: Find) -> Parsed:
    count = spec.partition(":")[2]
    if count and not count.isdigit():
        raise ValueError(f'"{spec}": wants a number of frames, as in example:10')
    return Parsed({"frames": int(count)} if count else {}, spec)


class Example:
    """See ncs_cluster.sources.base.Source."""

    def __init__(self, options: Options) -> None:
        self._options, self._next, self._closed = options, 0, True

    def open(self) -> SourceInfo:
        self._next, self._closed = 0, False
        return SourceInfo(WIDTH, HEIGHT, fps=None, finite=True, ordered=True, description="grey frames")

    def read(self, into: Planes) -> Optional[Captured]:
        if self._closed or self._next == self._options.frames:
            return None
        into.colour[:HEIGHT, :WIDTH] = min(255, self._next * self._options.step)
        self._next += 1
        return Captured(time.monotonic(), time.time(), WIDTH, HEIGHT)

    def skip(self, frames: int) -> None:
        self._next = min(self._options.frames, self._next + frames)

    def close(self) -> None:
        self._closed = True


PLUGIN = SourcePlugin(
    name="example",
    form="example[:COUNT]",
    driver="ncs_cluster_example.source:Example",
    options="ncs_cluster_example.source:Options",
    parse="ncs_cluster_example.source:parse",
    every_frame={},
    ordered=True,
)
