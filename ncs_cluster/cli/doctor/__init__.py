"""ncsctl doctor: checks of this machine, its sticks, cameras and settings, with one remedy for each fault.

`subject` finds the daemon that is judged, `read` its settings; `running` runs the checks of `checks`, and `command` prints their
findings.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

LEAST_PATIENCE, MOST_PATIENCE = 0.1, 100.0
Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    made = command("doctor", _run, "look for what keeps sticks, cameras and the daemon from working, with a remedy for each")
    made.epilog = "exit codes: 0 all is well, 1 warnings, 2 failures or wrong usage"
    made.add_argument("checks", metavar="CHECK", nargs="*", help="checks to run, such as rights and firmware [all]")
    made.add_argument("--json", action="store_true", help="the findings as a JSON document")
    made.add_argument(
        "--config", metavar="FILE", help="settings to judge; without it those of the running daemon, else of the service"
    )
    made.add_argument(
        "--patience",
        metavar="N",
        type=_patience,
        default=1.0,
        help="wait N times as long for each answer, on a slow or busy machine [1]",
    )
    made.add_argument("--root", metavar="DIR", type=Path, default=Path("/"), help="where /sys, /proc, /dev, /etc and /run are [/]")


def _patience(text: str) -> float:
    number = float(text)
    if not LEAST_PATIENCE <= number <= MOST_PATIENCE:
        raise argparse.ArgumentTypeError(f"{text}: is a number from {LEAST_PATIENCE:g} to {MOST_PATIENCE:g}")
    return number


def _run(given: argparse.Namespace) -> int:
    from ncs_cluster.cli.doctor import command

    return command.run(getattr(given, "runtime_dir", None), given.config, given.root, given.patience, given.checks, json=given.json)
