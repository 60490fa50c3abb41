"""ncsctl run --attach: the job runs on the sticks of a running daemon, as an ordered stream of low weight beside its cameras.

The command lists the items and hands the job over; then it only looks on, and may be ended and given again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import msgspec
from msgspec import structs

from ncs_cluster.cli.job_folder import locked, make
from ncs_cluster.cli.run import arguments, plan
from ncs_cluster.cli.run.prepared import INTERRUPTED, NOT_DONE, PROGRAM, ended, prepared, stopped_at_failure, with_remedy
from ncs_cluster.cli.run.progress import Progress
from ncs_cluster.cli.settings import read
from ncs_cluster.client import Client
from ncs_cluster.errors import ConfigError, NotRunning
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.specs import GraphSpec, JobSpec, Settings
from ncs_cluster.status import JobStatus, Status

SHOW_S = 0.5
AWAY_S = 60.0
"""How long the command waits for a daemon that is being restarted."""
LONGEST = 32_000
"""Bytes of a request of the control socket."""


def run(given: argparse.Namespace, folder: Path) -> int:
    """Returns the exit code. Raises NcsClusterError, OSError."""
    with Client(given.runtime_dir) as daemon:
        graph = _graph(daemon, given.graph)
        id = _running(daemon.status(), folder)
        if id is not None and given.retry_failed:
            raise ConfigError(f"--retry-failed: job {id} is not done yet; wait for its end")
        job = _job(given, folder, graph)
        if id is None:
            with locked(folder):
                ledger = prepared(given, folder, job)
                encoded = msgspec.msgpack.encode(job)
            if len(encoded) > LONGEST:
                raise ConfigError(f"the job is described in {len(encoded)} bytes, more than {LONGEST}; shorten its paths")
            began_s, progress = time.monotonic(), Progress(ledger, quiet=given.quiet)
            if ledger.complete:
                return ended(given, ledger, job, progress, began_s)
            try:
                id = daemon.begin_job(encoded)
            except NotRunning as error:
                raise NotRunning(f"{error} before it had the job; give the command again") from error
        else:
            ledger = prepared(given, folder, job)
            began_s, progress = time.monotonic(), Progress(ledger, quiet=given.quiet)
    if given.detach:
        if not given.quiet:
            print(f"job {id} runs in ncs-clusterd: ncsctl jobs show {id}")
        return 0
    try:
        return _watch(given, id, ledger, job, progress, began_s)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: job {id} goes on in ncs-clusterd: ncsctl jobs show {id}, ncsctl jobs cancel {id}", file=sys.stderr)
        return INTERRUPTED


def _watch(given: argparse.Namespace, id: str, ledger: Ledger, job: JobSpec, progress: Progress, began_s: float) -> int:
    seen_s = time.monotonic()
    with progress:
        while True:
            try:
                with Client(given.runtime_dir, timeout_s=5.0) as daemon:
                    status = daemon.status()
            except NotRunning:
                if time.monotonic() - seen_s > AWAY_S:
                    raise
                time.sleep(SHOW_S)
                continue
            seen_s = time.monotonic()
            now = next((each for each in status.jobs if each.id == id), None)
            if now is None or now.state not in ("running", "paused"):
                break
            progress.update(status, now)
            time.sleep(SHOW_S)
        progress.update(None)
    if ledger.complete and (now is None or now.state == "done"):
        return ended(given, ledger, job, progress, began_s)
    if not stopped_at_failure(given, ledger):
        print(f"{PROGRAM}: job {id} {with_remedy(_words(now))}", file=sys.stderr)
    return NOT_DONE


def _words(job: JobStatus | None) -> str:
    if job is None:
        return "is not known to ncs-clusterd any more"
    return f"{'has failed' if job.state == 'failed' else f'is {job.state}'}{f': {job.detail}' if job.detail else ''}"


def _job(given: argparse.Namespace, folder: Path, graph: GraphSpec) -> JobSpec:
    def planned(settings: Settings) -> Settings:
        return plan.settings_for(given, folder, settings.runtime_dir, structs.replace(settings, graphs=[graph]))

    make(folder)
    return read(PROGRAM, arguments.of_daemon(given, folder), planned, graphs=False).jobs[0]


def _graph(daemon: Client, name: str) -> GraphSpec:
    graphs = msgspec.msgpack.decode(daemon.graphs(), type=list[GraphSpec])
    found = next((graph for graph in graphs if graph.name == Path(name).name), None)
    if found is None:
        known = ", ".join(str(graph.name) for graph in graphs) or "none"
        raise ConfigError(f"--graph {name}: the daemon has no such graph; it has: {known}")
    return found


def _running(status: Status, folder: Path) -> str | None:
    """The id of the job that has the folder; None where none that has not ended has."""
    return next((job.id for job in status.jobs if job.out == str(folder) and job.state in ("running", "paused")), None)
