"""What every way to run a job begins and ends with: the folder's lock, the list of items, a retry, the summary."""

from __future__ import annotations

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ncs_cluster.cli.run import plan
from ncs_cluster.cli.run.finish import finish, tidy
from ncs_cluster.cli.run.progress import Progress, summary
from ncs_cluster.errors import ConfigError
from ncs_cluster.jobs import listing
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.sources._item_kind import ENDINGS
from ncs_cluster.specs import JobSpec

if TYPE_CHECKING:
    from ncs_cluster.fleet.connection import Server

DONE, WITH_FAILURES, NOT_DONE, INTERRUPTED = 0, 1, 2, 130
PROGRAM = "ncsctl run"
OVER_HOSTS = "over hosts"
"""The key in the ledger of a job that has an offer at a NATS server: see offered.py."""
BEGIN_ANEW = "begin anew"
"""In the reason for the end of a job that cannot go on."""


def prepared(given: argparse.Namespace, folder: Path, job: JobSpec) -> Ledger:
    """The ledger of the job, its items listed; with --retry-failed a pass over those that failed begins. Raises ConfigError."""
    ledger = Ledger(str(folder / plan.LEDGER), create=True)
    _listed(ledger, given, job)
    if given.retry_failed:
        if not ledger.retry and not ledger.complete:
            raise ConfigError("--retry-failed: the job is not done yet; give the command without it first")
        if ledger.complete and ledger.failed and all(sink.finished for sink in ledger.sinks.values()):
            ledger.begin_retry()
    return ledger


def ended(
    given: argparse.Namespace, ledger: Ledger, job: JobSpec, progress: Progress, began_s: float, server: Server | None = None
) -> int:
    """Of a complete job: outputs in their final form, the summary. `server`: the NATS server that the command was given. Returns
    the exit code."""
    for spec in job.sinks:
        finish(spec, ledger)
    for spec in job.sinks if not ledger.failed else []:
        tidy(spec)
    if ledger.kept(OVER_HOSTS) is not None:
        # imported here: other jobs do not pay for an event loop
        from ncs_cluster.cli.run import offered

        if (left := offered.remove(ledger, server)) is not None:
            print(f"{PROGRAM}: {left}", file=sys.stderr)
    if not given.quiet:
        print("\n".join(summary(ledger, progress, time.monotonic() - began_s)))
    return WITH_FAILURES if ledger.failed else DONE


def with_remedy(reason: str) -> str:
    """Why a job is not done, and what to do about it."""
    return reason if BEGIN_ANEW in reason else f"{reason}; the same command goes on"


def stopped_at_failure(given: argparse.Namespace, ledger: Ledger) -> bool:
    """Says which, for a strict job."""
    if not given.strict or not (failures := ledger.failures(1)):
        return False
    print(f"{PROGRAM}: stopped at the first failed item, frame {failures[0].frame}: {failures[0].reason}", file=sys.stderr)
    return True


def _listed(ledger: Ledger, given: argparse.Namespace, job: JobSpec) -> None:
    """List the items of a new job; a job that goes on must be the same."""
    identity = plan.identity(given, job.graph)
    if (before := ledger.job) is not None:
        if (difference := plan.difference(before, identity)) is not None:
            raise ConfigError(f"--out {given.out}: holds another job: {difference}; choose another folder, or remove it")
        return
    for sink in job.sinks:
        if os.path.lexists(sink.shown) and not os.path.isdir(sink.shown):
            there = f"{sink.shown} is there already, and no job's"
            raise ConfigError(f"--out {given.out}: {there}; choose another folder, or remove it")
    sources = listing.named(given.sources, sys.stdin.buffer, ENDINGS)
    roots = [source.root for source in sources]
    items = listing.Items(sources, given.part, given.parts)
    count = ledger.begin(identity, roots, items, given.formats, partial(plan.facts, items, job.sinks))
    if not count and not given.quiet:
        print(f"{PROGRAM}: no picture and no film in {', '.join(given.sources)}", file=sys.stderr)
