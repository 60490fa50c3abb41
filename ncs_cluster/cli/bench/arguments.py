"""The command line of `ncsctl bench`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from ncs_cluster.cli import daemon_flags
from ncs_cluster.cli.bench.modes import MODES
from ncs_cluster.cli.job_folder import folder_named
from ncs_cluster.cli.suggesting import Parser

DESCRIPTION = """Measure ways of working through pictures, on your devices, graph and pictures: one after another,
with threads, with processes, with the queue of ncs_cluster. PICTURES: files, folders with all below them,
"patterns", list files (.txt, one path a line), - for standard input."""
EPILOG = """exit codes: 0 measured, 1 a mode has failed, 2 nothing measured, 130 interrupted; what was measured is printed

examples:
  ncsctl bench holiday/ --graph yolox_nano --backend openvino
  ncsctl bench holiday/ --graph ./my-ssd --backend xlink --devices 1,2,4 --out measured
  ncsctl bench holiday/ --graph demo --backend simulated --sticks 2 --counts 2,20 --sustained 120
"""
MOST_COUNT, MOST_REPEATS = 10_000, 1000
LEAST_SUSTAINED_S = 10.0


def parser() -> argparse.ArgumentParser:
    made = Parser(
        "ncsctl bench",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("pictures", metavar="PICTURES", nargs="*", help="what to work on, in turn where a count is greater")
    made.add_argument("--graph", metavar="NAME|DIR", required=True, help="the graph")
    made.add_argument("--mode", metavar="M,M", default=",".join(MODES), help=f"ways to measure [{','.join(MODES)}]")
    made.add_argument("--counts", metavar="N,N", default="2,100,300", help="numbers of pictures [2,100,300]")
    made.add_argument("--devices", metavar="N,N", help="numbers of devices [1, 2, 4, ... and all]")
    made.add_argument("--repeats", metavar="N", default="3", help="starts of each mode; figures are medians of them [3]")
    made.add_argument(
        "--sustained",
        metavar="S",
        help="then let the fastest mode work for S seconds on all devices, and compare its begin and end",
    )
    made.add_argument("--size", metavar="WxH", help=f"larger pictures are scaled down to this size [{daemon_flags.SIZE}]")
    made.add_argument(
        "--out", metavar="DIR", type=folder_named, help="folder for bench.json, bench.md, bench.png and the results of each mode"
    )
    made.add_argument("--json", action="store_true", help="print bench.json instead of the table")
    made.add_argument("--quiet", action="store_true", help="no progress on standard error")
    daemon_flags.add(made, daemon_flags.FLAGS)
    return made


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Exits with code 2 for a wrong command line. `modes`, `counts`, `devices`, `repeats`, `sustained`, `most` are parsed from
    their texts; `devices` is None where it is not given."""
    made = parser()
    given = made.parse_intermixed_args(list(argv))
    if not given.pictures:
        made.error("name PICTURES: a file, a folder, a pattern in quotes, a list file, or - for standard input")
    names = list(dict.fromkeys(filter(None, given.mode.split(","))))
    for name in names or [given.mode]:
        if name not in MODES:
            made.error(f"argument --mode: there is no mode {name!r}; known: {', '.join(MODES)}")
    given.modes = [mode for name, mode in MODES.items() if name in names]
    given.counts = _numbers(made, "--counts", given.counts, MOST_COUNT)
    given.devices = None if given.devices is None else _numbers(made, "--devices", given.devices, MOST_REPEATS)
    (given.repeats,) = _numbers(made, "--repeats", given.repeats, MOST_REPEATS, single=True)
    given.sustained = None if given.sustained is None else _seconds(made, given.sustained)
    given.most = daemon_flags.size(made, given.size)
    return given


def of_daemon(given: argparse.Namespace) -> list[str]:
    """The flags that ncs-clusterd's settings are read from."""
    return ["--graph", given.graph, "--no-web", "--source", "synthetic", *daemon_flags.given(given, daemon_flags.FLAGS)]


def _numbers(made: argparse.ArgumentParser, flag: str, text: str, most: int, *, single: bool = False) -> list[int]:
    """Ascending, each once."""
    parts = text.split(",")
    good = all(part.isascii() and part.isdigit() and 1 <= int(part[:9]) <= most and len(part) < 10 for part in parts)
    if not good or (single and len(parts) > 1):
        made.error(f"argument {flag}: is {'a number' if single else 'numbers'} from 1 to {most:,}, not {text!r}")
    return sorted({int(part) for part in parts})


def _seconds(made: argparse.ArgumentParser, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not LEAST_SUSTAINED_S <= value < math.inf:
        made.error(f"argument --sustained: is seconds, at least {LEAST_SUSTAINED_S:.0f}, not {text!r}")
    return value
