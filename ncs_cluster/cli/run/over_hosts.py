"""ncsctl run --nats: the job's items are done by daemons on other machines, and their results collected here.

The command lists the items in the job's ledger, publishes them in chunks at a NATS server, and writes the outputs as a job on one
machine does. It may be killed at any moment: the same command goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from itertools import islice
from pathlib import Path

from msgspec import structs

from ncs_cluster import __version__
from ncs_cluster.cli.fleet_server import server_of
from ncs_cluster.cli.job_folder import locked
from ncs_cluster.cli.run import arguments, carrying, chunking, offered, plan
from ncs_cluster.cli.run.carrying import Carrier
from ncs_cluster.cli.run.collecting import Collector
from ncs_cluster.cli.run.feeding import Feeder
from ncs_cluster.cli.run.prepared import INTERRUPTED, OVER_HOSTS, PROGRAM, ended, prepared
from ncs_cluster.cli.run.progress import Progress
from ncs_cluster.cli.run.sent_graph import SentGraph
from ncs_cluster.cli.settings import read
from ncs_cluster.errors import one_line
from ncs_cluster.fleet.chunk import DIVIDED, Malformed, Offer, Root
from ncs_cluster.fleet.connection import Server, library
from ncs_cluster.fleet.entry import PROTOCOL
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.jobs.same_graph import key_of
from ncs_cluster.provision import blobs
from ncs_cluster.specs import GraphSpec, Settings

LOOKED_AT = 1000
"""Items among which one is sought that is there."""


def run(given: argparse.Namespace, folder: Path) -> int:
    """Returns the exit code. Raises NcsClusterError, OSError."""
    library()
    server = server_of(given)
    with locked(folder):
        settings = _settings(given, folder)
        (job,) = settings.jobs
        ledger = prepared(given, folder, job)
        began_s, progress = time.monotonic(), Progress(ledger, quiet=given.quiet)
        if ledger.complete:
            return ended(given, ledger, job, progress, began_s, server)
        try:
            _collect(given, server, ledger, settings, progress)
        except KeyboardInterrupt:
            done = f"interrupted after {ledger.written} frames; hosts end the chunks they have, and the same command goes on"
            print(f"{PROGRAM}: {done}", file=sys.stderr)
            return INTERRUPTED
        ledger.forget(OVER_HOSTS)
        return ended(given, ledger, job, progress, began_s)


def _settings(given: argparse.Namespace, folder: Path) -> Settings:
    """With the job."""

    def planned(settings: Settings) -> Settings:
        return plan.settings_for(given, folder, settings.runtime_dir, settings)

    return read(PROGRAM, arguments.of_daemon(given, folder), planned, graphs=False)


def _collect(given: argparse.Namespace, server: Server, ledger: Ledger, settings: Settings, progress: Progress) -> None:
    (job,) = settings.jobs
    chunking.check(ledger)
    if ledger.retry:
        chunking.check_retry(ledger)
    roots = carrying.roots(ledger) if given.carry else chunking.roots(ledger, given.mounts)
    kept, left = offered.keep(ledger, server, given.carry, carrying.size_for if given.carry else _size)
    if left is not None:
        _say(left)
    width, height = given.most
    graph = _graph(job.graph, Path(settings.state_dir))
    offer = Offer(
        DIVIDED if kept.divides else PROTOCOL,
        __version__,
        kept.job,
        str(job.graph.name)[:64],
        key_of(job.graph),
        width,
        height,
        given.host_timeout,
        None if given.carry else _there(ledger, roots),
        [] if given.carry else sorted({root.mount for root in roots}),
        None if graph is None else graph.files,
        title=_title(carrying.titles(ledger) if given.carry else [_shown(root) for root in roots]),
        carried=given.carry,
    )
    carrier = Carrier(kept.job) if given.carry else None
    feeder = Feeder(job, ledger)
    try:
        with progress:
            collector = Collector(ledger, feeder, offer, roots, kept.size, lambda: progress.update(None), _say, graph, carrier)
            asyncio.run(collector.run(server))
    finally:
        feeder.close()


def _graph(graph: GraphSpec, state: Path) -> SentGraph | None:
    """None: only hosts that have it take part."""
    blob = blobs.find(graph, state)
    try:
        return SentGraph(structs.replace(graph, blob=None if blob is None else str(blob)))
    except Malformed as error:
        _say(f"graph {graph.name} {error}; hosts that lack it take no part")
        return None


def _size(ledger: Ledger) -> int:
    return chunking.size_for(ledger.items)


def _shown(root: Root) -> str:
    """A folder by its mount, as hosts and people see it: "photos/2024"."""
    folder = os.fsdecode(root.folder).encode("utf-8", "replace").decode()
    return f"{root.mount}/{folder}".rstrip("/")


def _title(folders: list[str]) -> str:
    """The first one, and how many there are besides."""
    more = "" if len(folders) == 1 else f" and {len(folders) - 1} more"
    return folders[0][-(64 - len(more)) :] + more


def _there(ledger: Ledger, roots: list[Root]) -> tuple[Root, bytes] | None:
    """An item that can be found here, and so on each host whose mount is the same."""
    rows = ledger.select("SELECT root, name FROM items ORDER BY number LIMIT ?", LOOKED_AT)
    for item, (root, name) in zip(islice(ledger.items_from(0, LOOKED_AT), LOOKED_AT), rows, strict=False):
        if os.path.exists(item.path):
            return roots[root], name
    return None


def _say(line: str) -> None:
    print(f"{PROGRAM}: {one_line(line)}", file=sys.stderr, flush=True)
