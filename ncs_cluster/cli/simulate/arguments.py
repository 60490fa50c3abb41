"""The command line of `ncsctl simulate`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from ncs_cluster.cli.suggesting import Parser
from ncs_cluster.errors import ConfigError
from ncs_cluster.policies import POLICIES
from ncs_cluster.testing.thermal_lab.trial import ORIGINAL

DESCRIPTION = """Simulate sticks that always have work, under a policy, and compare with the best that any policy could do.
Nothing here is measured: how a real stick warms and cools is a guess that agrees with what users report."""
EPILOG = """exit codes: 0 simulated, 2 wrong usage, 130 interrupted

examples:
  ncsctl simulate --sticks 5 --cluster-size 2 --policy predictive --ambient 35
  ncsctl simulate --sticks 5 --cluster-size 2 --ambient 25 --rise 15 --compare --plot compared.png
"""
MOST_STICKS, MOST_HOURS = 64, 48.0


def parser() -> argparse.ArgumentParser:
    made = Parser(
        "ncsctl simulate",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    number = _number
    made.add_argument("--sticks", metavar="N", type=int, default=5, help=f"how many, up to {MOST_STICKS} [5]")
    made.add_argument("--cluster-size", metavar="K", type=int, default=0, help="how many work at once; 0: all [0]")
    made.add_argument("--policy", metavar="NAME", help=f"{', '.join([*POLICIES.builtin, ORIGINAL])}, or a plugin's [predictive]")
    made.add_argument("--compare", action="store_true", help="all built-in policies and the original script's")
    made.add_argument("--ambient", metavar="C", type=number(-30, 60), default=25.0, help="the air's temperature, °C [25]")
    made.add_argument("--rise", metavar="K", type=number(-40, 40), default=0.0, help="by so much warmer after half of the time [0]")
    made.add_argument("--hours", metavar="H", type=number(0.1, MOST_HOURS), default=2.0, help="how long [2]")
    made.add_argument("--switch-temp", metavar="C", type=number(30, 90), default=65.0, help="the limit, °C [65]")
    made.add_argument("--switch-interval", metavar="S", type=number(0, 86_400), default=10.0, help="of policies with turns [10]")
    made.add_argument("--spread", metavar="PERCENT", type=number(0, 60), default=20.0, help="by which sticks differ at most [20]")
    made.add_argument("--seed", metavar="S", type=int, help="which sticks [drawn, and printed]")
    made.add_argument("--plot", metavar="FILE", help="draw temperatures and work into this PNG file")
    return made


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Exits with code 2 for a wrong command line. `policies` are the names of those to simulate."""
    made = parser()
    given = made.parse_args(list(argv))
    if not 1 <= given.sticks <= MOST_STICKS:
        made.error(f"--sticks must be 1 to {MOST_STICKS}")
    if not 0 <= given.cluster_size <= given.sticks:
        made.error(f"--cluster-size must be 0 to {given.sticks}, the number of sticks")
    if given.compare and given.policy:
        made.error("--compare simulates all policies: leave --policy out")
    given.policies = [given.policy or "predictive"]
    if given.compare:
        fitting = [name for name, plugin in POLICIES.builtin.items() if given.cluster_size or not plugin.takes_turns]
        given.policies = [ORIGINAL, *fitting]
    for name in given.policies:
        if name == ORIGINAL:
            continue
        try:
            takes_turns = POLICIES.get(name).takes_turns
        except ConfigError as error:
            made.error(f"--policy: {error}")
        if takes_turns and not given.compare and not 1 <= given.cluster_size <= max(1, given.sticks // 2):
            made.error(f"--policy {name} needs a --cluster-size of at most half of the sticks")
    return given


class _number:
    """An argparse type: a number within bounds."""

    def __init__(self, least: float, most: float) -> None:
        self.least, self.most = least, most

    def __call__(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not self.least <= value <= self.most:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {self.least:g} to {self.most:g}")
        return value
