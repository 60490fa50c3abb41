"""The process that finds out where the films of a job over hosts can be cut: a file that crashes the library ends this process, and
not the command that collects.

A line of its standard input is the path of a film, as a JSON string; the line that answers it has the film's parts, `cut`.
"""

from __future__ import annotations

import os
import sys

import msgspec

from ncs_cluster.errors import NcsClusterError
from ncs_cluster.fleet.film_part import FilmPart, divided
from ncs_cluster.processes.child import ask_for_one_thread, die_with_parent
from ncs_cluster.sources._film_times import parts
from ncs_cluster.sources._opencv import need_opencv


def cut(path: str) -> list[FilmPart]:
    """The parts of a film; one where it is short, or cannot be read at all."""
    try:
        need_opencv()
        return parts(path)
    except (NcsClusterError, OSError, MemoryError):
        return divided([], [])


def main() -> None:
    """The process. It ends with its standard input."""
    die_with_parent(int(sys.argv[1]))
    ask_for_one_thread(os.environ)
    # libraries print to standard output, which is for answers alone
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        answer = cut(os.fsdecode(msgspec.json.decode(line, type=bytes)))
        out.write(msgspec.json.encode(answer) + b"\n")


if __name__ == "__main__":
    main()
