"""Both commands' whole command lines as argparse parsers, for manual pages and completions; nothing is run by them."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ncs_cluster.cli import parser
from ncs_cluster.cli.bench import arguments as bench
from ncs_cluster.cli.calibrate import arguments as calibrate
from ncs_cluster.cli.config import command as config
from ncs_cluster.cli.merge import command as merge
from ncs_cluster.cli.ncsctl import OWN_COMMAND_LINES
from ncs_cluster.cli.run import arguments as run
from ncs_cluster.cli.simulate import arguments as simulate
from ncs_cluster.config import flags

OWN: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "run": run.parser,
    "bench": bench.parser,
    "simulate": simulate.parser,
    "calibrate": calibrate.parser,
    "merge": merge.parser,
    "config": config.parser,
}


def ncsctl() -> argparse.ArgumentParser:
    """ncsctl with all its commands, also those that have a command line of their own."""
    made = parser.make()
    assert set(OWN) == set(OWN_COMMAND_LINES)
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, own in OWN.items():
                action.choices[name] = own()
    return made


def daemon() -> argparse.ArgumentParser:
    """ncs-clusterd."""
    return flags.parser()
