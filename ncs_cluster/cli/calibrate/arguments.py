"""The command line of `ncsctl calibrate`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from ncs_cluster.cli import daemon_flags
from ncs_cluster.cli.suggesting import Parser

DESCRIPTION = """Measure how one stick warms and cools: it rests, works without a break, and rests again, 20 minutes each.
Near its limit (--switch-temp) it stops working until it has cooled. Leave it, its neighbours and the air as they are meanwhile;
ncs-clusterd must not use it. Ctrl-C keeps what is measured: the same command goes on. --policy predictive uses what is found."""
EPILOG = """exit codes: 0 calibrated, 1 the stick failed or too little was seen, 2 wrong usage, 78 wrong settings, 130 interrupted

examples:
  ncsctl calibrate --graph yolox_nano
  ncsctl calibrate --graph yolox_nano --stick 1-1.2 --plot heat.png
  ncsctl calibrate --backend simulated --stick sim-1 --time-scale 60
"""
FLAGS = {name: daemon_flags.FLAGS[name] for name in ("--backend", "--switch-temp", "--config", "--set", "--state-dir")}
MOST_MINUTES, MOST_SCALE = 240.0, 1000.0


def parser() -> argparse.ArgumentParser:
    made = Parser(
        "ncsctl calibrate",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--stick", metavar="PORT", help="which one: its port, name or id [the only one]")
    made.add_argument("--graph", metavar="NAME|DIR", help="what it works on [demo]")
    made.add_argument("--idle", metavar="MIN", type=_minutes, default=20.0, help="minutes of each rest [20]")
    made.add_argument("--load", metavar="MIN", type=_minutes, default=20.0, help="minutes of work [20]")
    made.add_argument("--again", action="store_true", help="begin anew, though a calibration of this stick was interrupted")
    made.add_argument("--plot", metavar="FILE", help="draw readings, fit and work into this PNG file")
    made.add_argument("--json", action="store_true", help="print the figures as JSON")
    made.add_argument("--quiet", action="store_true", help="no progress on standard error")
    made.add_argument(
        "--time-scale",
        metavar="X",
        type=_scale,
        help="a simulated or emulated stick's heat runs so many times faster than time [1]",
    )
    daemon_flags.add(made, FLAGS)
    return made


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Exits with code 2 for a wrong command line."""
    return parser().parse_args(list(argv))


def of_daemon(given: argparse.Namespace) -> list[str]:
    """The flags that ncs-clusterd's settings are read from."""
    graph = ["--graph", given.graph] if given.graph else []
    return [*graph, "--no-web", "--source", "synthetic", *daemon_flags.given(given, FLAGS)]


def _minutes(text: str) -> float:
    return _within(text, 1.0, MOST_MINUTES, "minutes")


def _scale(text: str) -> float:
    return _within(text, 0.1, MOST_SCALE, "a factor")


def _within(text: str, least: float, most: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"is {what} from {least:g} to {most:g}, not {text!r}")
    return value
