"""`ncsctl jobs`: the jobs that run on a daemon's sticks."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

from ncs_cluster.cli import options, show_jobs
from ncs_cluster.cli.text import Terminal
from ncs_cluster.client import Client
from ncs_cluster.errors import NcsClusterError
from ncs_cluster.status import JobStatus

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
SENTENCES = {
    "pause": "stop working on a job; resume goes on with it",
    "resume": "go on with a paused job",
    "cancel": "end a job; its folder stays, and ncsctl run goes on with it",
}


class NoJob(NcsClusterError):
    """There is no job of this id; the message is one line."""


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    jobs = command("jobs", _list, "jobs on the daemon's sticks, as ncsctl run --attach starts them")
    jobs.set_defaults(json=False)
    what = jobs.add_subparsers(metavar="WHAT")
    place, form = options.runtime_dir(), argparse.ArgumentParser(add_help=False)
    form.add_argument("--json", action="store_true", help="as JSON")
    what.add_parser("list", parents=[place, form], help="all jobs; those that have ended too, the newest 20").set_defaults(
        run=_list
    )
    show = what.add_parser("show", parents=[place, form], help="one job")
    show.set_defaults(run=_show)
    each = [show]
    for verb, sentence in SENTENCES.items():
        each.append(what.add_parser(verb, parents=[place], help=sentence))
        each[-1].set_defaults(run=partial(_change, verb))
    for parser in each:
        parser.add_argument("id", metavar="JOB", help="its number")


def _list(given: argparse.Namespace) -> int:
    with _daemon(given) as daemon:
        status = daemon.status()
    if given.json:
        _print([], status.jobs)
        return 0
    over = [] if status.fleet is None else status.fleet.jobs
    own = [job for job in status.jobs if job.chunk_of is None]
    lines = show_jobs.listed(own) if own or not over else []
    if over:
        # imported here: few daemons have any
        from ncs_cluster.cli import show_fleet_work

        lines = [*lines, *([[]] if lines else []), *show_fleet_work.jobs(over)]
    _print(lines, None)
    return 0


def _show(given: argparse.Namespace) -> int:
    with _daemon(given) as daemon:
        job = next((each for each in daemon.status().jobs if each.id == given.id), None)
    if job is None:
        raise NoJob(f"there is no job {given.id}; ncsctl jobs lists them")
    _print(show_jobs.shown(job), job if given.json else None)
    return 0


def _change(verb: str, given: argparse.Namespace) -> int:
    with _daemon(given) as daemon:
        print(daemon.change_job(given.id, verb))
    return 0


def _daemon(given: argparse.Namespace) -> Client:
    return Client(getattr(given, "runtime_dir", None))


def _print(lines: show_jobs.Lines, document: list[JobStatus] | JobStatus | None) -> None:
    if document is not None:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
        return
    terminal = Terminal()
    for line in lines:
        print(terminal.render(line))
