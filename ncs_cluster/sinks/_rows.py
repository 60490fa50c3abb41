"""Rows of a job's part, read from its final files and checked. Runs on CPython 3.9."""

from __future__ import annotations

from typing import IO, Iterable, Iterator

from ncs_cluster.plugins import reason
from ncs_cluster.sinks._merge import Row
from ncs_cluster.sinks.base import Unjoinable


def checked(rows: Iterable[Row], place: str) -> Iterator[Row]:
    """The rows of one part, each frame once and in order. `place`: what they are read from. Raises Unjoinable, OSError."""
    behind = 0
    try:
        for row in rows:
            if row.frame != behind:
                raise ValueError(f"frame {row.frame} stands where frame {behind} should")
            behind += 1
            yield row
    except OSError:
        raise
    except Exception as error:
        # the file may have been cut or changed in any way
        raise Unjoinable(f"{place} is not as its job has written it ({reason(error)}); copy the folder of the job again") from error


def listed(file: IO[bytes]) -> Iterator[bytes]:
    """The elements of a JSON list that has one on each line. Raises ValueError where its end is missing."""
    for line in file:
        if line.startswith(b"]"):
            return
        yield line.rstrip(b"\n").rstrip(b",")
    raise ValueError("its end is missing")


def by_frame(first: Iterator[Row], second: Iterator[Row]) -> Iterator[Row]:
    """Both, in the order of frames."""
    one, other = next(first, None), next(second, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.frame < other.frame):
            assert one is not None
            yield one
            one = next(first, None)
        else:
            yield other
            other = next(second, None)
