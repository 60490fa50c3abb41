"""What `ncsctl fleet jobs` and `fleet forget` do: list what a NATS server has of jobs over hosts, and remove one of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from ncs_cluster.cli.fleet_server import asked
from ncs_cluster.cli.text import UNKNOWN, Cell, Terminal, duration, printable, table
from ncs_cluster.errors import ConfigError
from ncs_cluster.fleet.address import NODE
from ncs_cluster.fleet.chunk import PIECE, title
from ncs_cluster.fleet.connection import Connection
from ncs_cluster.fleet.open_jobs import OpenJob, forget, open_jobs

Lines = list[list[Cell]]


def jobs(given: argparse.Namespace) -> int:
    """Print all jobs. Raises as `asked`."""
    found = asked(given, open_jobs)
    if given.json:
        print(json.dumps({"jobs": [_document(each) for each in found]}, indent=2, ensure_ascii=False))
        return 0
    terminal = Terminal()
    for line in shown(found):
        print(terminal.render(line))
    return 0


def forget_one(given: argparse.Namespace) -> int:
    """Exit code 0 where the server had something of the job, else 1. Raises as `asked`."""
    if not NODE.fullmatch(given.job):
        raise ConfigError(f"{printable(given.job)} is no job at the server; ncsctl fleet jobs lists them")

    async def remove(connection: Connection) -> OpenJob | None:
        return await forget(connection, given.job)

    known = asked(given, remove)
    if known is None:
        print(f"the server has nothing of a job {given.job}; ncsctl fleet jobs lists what it has")
        return 1
    parts = ["its offer"] * (known.offer is not None)
    parts += [
        f"{count} {noun}{'s' * (count != 1)}" for count, noun in ((known.waiting, "chunk"), (known.results, "result")) if count
    ]
    parts += [f"{_megabytes(known)} of files"] * (known.pieces > 0)
    print(f"removed {_name(known)}: {', '.join(parts) or 'what was left of it'}")
    return 0


def shown(found: Sequence[OpenJob]) -> Lines:
    """A table, the longest abandoned job first."""
    if not found:
        return [[Cell("this server has nothing of any job", "dim")]]
    rows = [
        [
            Cell(each.job),
            Cell(_name(each)),
            Cell(UNKNOWN if each.offer is None else printable(each.offer.graph)),
            Cell(
                "withdrawn" if each.offered_s is None else f"{duration(each.offered_s)} ago",
                "warn" if each.offered_s is None else "",
            ),
            Cell(f"{each.waiting:,}"),
            Cell(f"{each.results:,}"),
            Cell(_megabytes(each)),
        ]
        for each in found
    ]
    return table(["ID", "JOB", "GRAPH", "OFFERED", "CHUNKS", "RESULTS", "FILES"], rows, right=(4, 5, 6))


def _name(each: OpenJob) -> str:
    return f"job {each.job}" if each.offer is None else title(each.offer)


def _megabytes(each: OpenJob) -> str:
    return f"{-(-each.pieces * PIECE // 2**20)} MB" if each.pieces else UNKNOWN


def _document(each: OpenJob) -> dict[str, object]:
    """Fields may be added, never renamed."""
    return {
        "job": each.job,
        "name": None if each.offer is None else title(each.offer),
        "graph": None if each.offer is None else each.offer.graph,
        "version": None if each.offer is None else each.offer.version,
        "offered_s": None if each.offered_s is None else round(each.offered_s, 1),
        "chunks": each.waiting,
        "results": each.results,
        "most_file_bytes": each.pieces * PIECE,
    }
