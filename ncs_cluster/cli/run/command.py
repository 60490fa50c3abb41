"""The steps of `ncsctl run`: settings, items, supervisor, final form, summary."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from ncs_cluster.cli.job_folder import locked
from ncs_cluster.cli.run import arguments, attached, plan
from ncs_cluster.cli.run.prepared import DONE, INTERRUPTED, NOT_DONE, PROGRAM, ended, prepared, stopped_at_failure, with_remedy
from ncs_cluster.cli.run.progress import Progress
from ncs_cluster.cli.run.running import run
from ncs_cluster.cli.settings import read
from ncs_cluster.errors import EX_CONFIG, NcsClusterError, format_os_error
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.specs import Settings

RUNTIME = "ncs-job-"
OLD_S = 3600.0
"""A younger empty folder may be that of a command that has just begun."""


def main(argv: Sequence[str]) -> int:
    """The command; returns its exit code."""
    given = arguments.parse(argv)
    # as Ctrl-C, until a supervisor runs: what was made for it is removed
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(given.out).absolute()
    try:
        if given.nats is not None:
            # imported here: others do not pay for an event loop
            from ncs_cluster.cli.run import over_hosts

            return over_hosts.run(given, folder)
        return attached.run(given, folder) if given.attach else _alone(given, folder)
    except NcsClusterError as error:
        return _refused(str(error))
    except OSError as error:
        return _refused(format_os_error(error))
    except SystemExit as end:
        return NOT_DONE if end.code == EX_CONFIG else int(end.code or DONE)
    except KeyboardInterrupt:
        return INTERRUPTED


def _alone(given: argparse.Namespace, folder: Path) -> int:
    """With a supervisor of its own."""
    with locked(folder), _runtime_dir() as runtime_dir:
        job = partial(plan.settings_for, given, folder, runtime_dir)
        settings = read(PROGRAM, [*arguments.of_daemon(given, folder), "--runtime-dir", runtime_dir], job)
        return _job(given, folder, settings)


def _job(given: argparse.Namespace, folder: Path, settings: Settings) -> int:
    (job,) = settings.jobs
    ledger = prepared(given, folder, job)
    began_s = time.monotonic()
    stopped = False
    progress = Progress(ledger, quiet=given.quiet)
    if not ledger.complete:
        stopped = run(settings, ledger, folder / plan.LOG, progress)
    if not ledger.complete:
        return _not_done(given, folder, ledger, stopped=stopped)
    return ended(given, ledger, job, progress, began_s)


def _not_done(given: argparse.Namespace, folder: Path, ledger: Ledger, *, stopped: bool) -> int:
    if stopped_at_failure(given, ledger):
        return NOT_DONE
    if not (folder / plan.LEDGER).exists():
        print(f"{PROGRAM}: {folder} was removed while the job ran; the same command begins anew", file=sys.stderr)
        return NOT_DONE
    if stopped:
        print(f"{PROGRAM}: interrupted after {ledger.written} frames; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    print(f"{PROGRAM}: not done after {ledger.written} frames: {with_remedy(_last_line(folder / plan.LOG))}", file=sys.stderr)
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
def _runtime_dir() -> Iterator[str]:
    """A folder for the supervisor's socket, whose path must be short."""
    home = os.environ.get("XDG_RUNTIME_DIR")
    place = home if home and os.access(home, os.W_OK) else tempfile.gettempdir()
    _remove_empty(Path(place))
    made = tempfile.mkdtemp(prefix=RUNTIME, dir=place)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _remove_empty(place: Path) -> None:
    """Folders of commands that were killed: their daemon has ended with them, and has emptied its own."""
    for folder in place.glob(f"{RUNTIME}*"):
        with suppress(OSError):
            if folder.stat().st_uid == os.getuid() and time.time() - folder.stat().st_mtime > OLD_S:
                folder.rmdir()
