"""The steps of `ncsctl run`: settings, items, supervisor, final form, summary."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ncs_cluster.cli.run import arguments, plan
from ncs_cluster.cli.run.finish import finish
from ncs_cluster.cli.run.progress import Progress, summary
from ncs_cluster.cli.run.running import run
from ncs_cluster.cli.settings import read
from ncs_cluster.errors import EX_CONFIG, ConfigError, NcsClusterError, format_os_error
from ncs_cluster.jobs import listing
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.sources.job import ENDINGS
from ncs_cluster.specs import Settings

DONE, WITH_FAILURES, NOT_DONE, INTERRUPTED = 0, 1, 2, 130
PROGRAM = "ncsctl run"


def main(argv: Sequence[str]) -> int:
    """The command; returns its exit code."""
    given = arguments.parse(argv)
    folder = Path(given.out).absolute()
    try:
        with _locked(folder), _runtime_dir() as runtime_dir:
            job = partial(plan.settings_for, given, folder, runtime_dir)
            settings = read(PROGRAM, [*arguments.of_daemon(given, folder), "--runtime-dir", runtime_dir], job)
            return _job(given, folder, settings)
    except NcsClusterError as error:
        return _refused(str(error))
    except OSError as error:
        return _refused(format_os_error(error))
    except SystemExit as end:
        return NOT_DONE if end.code == EX_CONFIG else int(end.code or 0)
    except KeyboardInterrupt:
        return INTERRUPTED


def _job(given: argparse.Namespace, folder: Path, settings: Settings) -> int:
    ledger = Ledger(str(folder / plan.LEDGER), create=True)
    _listed(ledger, given, settings)
    if given.retry_failed:
        if not ledger.retry and not _complete(ledger):
            raise ConfigError("--retry-failed: the job is not done yet; give the command without it first")
        if _complete(ledger) and ledger.failed and all(sink.finished for sink in ledger.sinks.values()):
            ledger.begin_retry()
    began_s = time.monotonic()
    stopped = False
    progress = Progress(ledger, quiet=given.quiet)
    if not _complete(ledger):
        stopped = run(plan.going_on(settings, ledger.written), ledger, folder / plan.LOG, progress)
    if not _complete(ledger):
        return _not_done(given, folder, ledger, stopped=stopped)
    for spec in settings.sinks:
        finish(spec, ledger)
    if not given.quiet:
        print("\n".join(summary(ledger, progress, time.monotonic() - began_s)))
    return WITH_FAILURES if ledger.failed else DONE


def _listed(ledger: Ledger, given: argparse.Namespace, settings: Settings) -> None:
    """List the items of a new job; a job that goes on must be the same."""
    identity = plan.identity(given, settings)
    if (before := ledger.job) is not None:
        if (difference := plan.difference(before, identity)) is not None:
            raise ConfigError(f"--out {given.out}: holds another job: {difference}; choose another folder, or remove it")
        return
    for sink in settings.sinks:
        if os.path.lexists(sink.shown) and not os.path.isdir(sink.shown):
            there = f"{sink.shown} is there already, and no job's"
            raise ConfigError(f"--out {given.out}: {there}; choose another folder, or remove it")
    sources = listing.named(given.sources, sys.stdin.buffer, ENDINGS)
    roots = [source.root for source in sources]
    count = ledger.begin(identity, roots, listing.items(sources, given.part, given.parts), given.formats)
    if not count and not given.quiet:
        print(f"{PROGRAM}: no picture and no film in {', '.join(given.sources)}", file=sys.stderr)


def _complete(ledger: Ledger) -> bool:
    """Every turn of the present pass has its record in every output."""
    return ledger.end is not None and ledger.written >= ledger.end


def _not_done(given: argparse.Namespace, folder: Path, ledger: Ledger, *, stopped: bool) -> int:
    again = "the same command goes on"
    if given.strict and (failures := ledger.failures(1)):
        print(f"{PROGRAM}: stopped at the first failed item, frame {failures[0].frame}: {failures[0].reason}", file=sys.stderr)
        return NOT_DONE
    if stopped:
        print(f"{PROGRAM}: interrupted after {ledger.written} frames; {again}", file=sys.stderr)
        return INTERRUPTED
    print(f"{PROGRAM}: not done after {ledger.written} frames: {_last_line(folder / plan.LOG)}; {again}", file=sys.stderr)
    return NOT_DONE


def _last_line(log: Path) -> str:
    """Of the supervisor's log: the reason for its end."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    last = next((line for line in reversed(lines) if line.strip()), "no word of its daemon")
    return f"{last} ({log} has more)"


def _refused(line: str) -> int:
    print(f"{PROGRAM}: {''.join(c if c.isprintable() else '?' for c in line)}", file=sys.stderr)
    return NOT_DONE


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder; one command at a time works in it. Raises ConfigError."""
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise ConfigError(f"--out {folder}: another command works in it; wait for its end or choose another folder") from error
    try:
        yield
    finally:
        os.close(fd)


@contextmanager
def _runtime_dir() -> Iterator[str]:
    """A folder for the supervisor's socket, whose path must be short."""
    home = os.environ.get("XDG_RUNTIME_DIR")
    made = tempfile.mkdtemp(prefix="ncs-job-", dir=home if home and os.access(home, os.W_OK) else None)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
