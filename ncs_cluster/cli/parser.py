"""The whole command line of ncsctl, for argparse."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import ncs_cluster
from ncs_cluster.cli import (
    commands,
    completion,
    doctor,
    events,
    firmware,
    fleet,
    frigate,
    graphs,
    history,
    jobs,
    options,
    reload,
    service,
    snapshot,
    sticks,
    support,
    usb,
)
from ncs_cluster.cli.suggesting import Parser


def make() -> argparse.ArgumentParser:
    """Parsed arguments hold `run`, a function of them that returns the exit code."""
    place = options.runtime_dir()
    made = Parser(
        "ncsctl",
        description="Shows and controls a running ncs-clusterd.",
        epilog="exit codes: 0 healthy, 1 degraded or down, 2 wrong usage, 3 not running",
        parents=[place],
    )
    made.add_argument("--version", action="version", version=f"ncsctl {ncs_cluster.__version__}")
    subparsers: Any = made.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], sentence: str) -> argparse.ArgumentParser:
        each: argparse.ArgumentParser = subparsers.add_parser(
            name, help=sentence, description=sentence[0].upper() + sentence[1:] + ".", parents=[place]
        )
        each.set_defaults(run=run)
        return each

    def ask(name: str, sentence: str) -> argparse.ArgumentParser:
        def run(given: argparse.Namespace) -> int:
            flags = {flag: value for flag, value in vars(given).items() if flag not in ("run", "runtime_dir")}
            return commands.RUN[name](getattr(given, "runtime_dir", None), **flags)

        return command(name, run, sentence)

    how = ask("status", "sticks, clusters, cameras, machine and processes").add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="the whole status document")
    shapes, absent = ("wide", "json"), argparse.SUPPRESS
    how.add_argument("--output", "-o", choices=shapes, default=absent, help="wide: one row for each stick; json: as --json")
    how.add_argument("--watch", action="store_true", help="refresh every second, until Ctrl-C")
    ask("top", "the machine and the daemon's processes, live, until Ctrl-C")
    ask("switch", "switch to the next cluster now")
    listed = ask("events", "events, oldest first")
    events.add_options(listed)
    listed.add_argument("--follow", "-f", action="store_true", help="then print each new event, until Ctrl-C")
    ask("url", "the page's address, with its token")
    reload.add(command)
    command(
        "config", lambda _: 2, "check settings without a daemon, or show them with their origins; ncsctl config --help says how"
    )
    command("run", lambda _: 2, "work through files: detect, classify or extract; ncsctl run --help says how")
    jobs.add(command)
    command("bench", lambda _: 2, "measure serial, threads, processes and the queue on your devices; ncsctl bench --help says how")
    command("calibrate", lambda _: 2, "measure how a stick warms and cools, for predictive; ncsctl calibrate --help says how")
    command("simulate", lambda _: 2, "compare policies on simulated sticks in a warm room; ncsctl simulate --help says how")
    command("merge", lambda _: 2, "join the outputs of a job's parts; ncsctl merge --help says how")
    completion.add(command)
    doctor.add(command)
    firmware.add(command)
    fleet.add(command)
    frigate.add(command)
    graphs.add(command)
    history.add(command)
    service.add(command)
    snapshot.add(command)
    sticks.add(command)
    sticks.add_earlier(subparsers)
    support.add(command)
    usb.add(command)
    return made
