"""Completions and manual pages, made from the parsers of both commands.

    python -m deploy.describe completions FOLDER    ncsctl and ncs-clusterd, for bash and zsh
    python -m deploy.describe man FOLDER            ncsctl.1, ncs-clusterd.1

`make docs` renews deploy/completions, which wheels carry; packages get both.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage

import ncs_cluster
from ncs_cluster.cli import whole
from ncs_cluster.cli.suggesting import listed

COMMANDS: dict[str, Callable[[], argparse.ArgumentParser]] = {"ncsctl": whole.ncsctl, "ncs-clusterd": whole.daemon}
FILES = ("config", "out", "output", "state_dir", "wheel", "firmware", "blob", "libusb", "python", "results", "token_file")
"""Options whose value is a path; positional arguments that are paths are named by their metavar."""
PLACES = ("DIR", "FILE", "SOURCE", "PICTURES", "A", "B")


def completions(folder: Path) -> None:
    """One file for each command and shell."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, parser in COMMANDS.items():
        for shell in ("bash", "zsh"):
            made = parser()
            _with_files(made)
            text = shtab.complete(made, shell=shell, root_prefix=name.replace("-", "_"))
            (folder / f"{name}.{shell}").write_text("".join(f"{line.rstrip()}\n" for line in text.splitlines()))


def man(folder: Path) -> None:
    """One page of section 1 for each command."""
    folder.mkdir(parents=True, exist_ok=True)
    # argparse wraps help to the terminal's width
    os.environ["COLUMNS"] = "100"
    for name, parser in COMMANDS.items():
        made = parser()
        _without_earlier(made)
        made.man_short_description = str(made.description).rstrip(".")  # type: ignore[attr-defined]
        page = Manpage(made)
        # the same release makes the same page
        page.date = ""
        page.source, page.manual = f"ncs_cluster {ncs_cluster.__version__}", "ncs_cluster"
        (folder / f"{name}.1").write_text(f"{page}\n")


def _without_earlier(parser: argparse.ArgumentParser) -> None:
    """Remove the commands that help does not list."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name in set(action.choices) - set(listed(action)):
                del action.choices[name]
            for each in action.choices.values():
                _without_earlier(each)


def _with_files(parser: argparse.ArgumentParser) -> None:
    """Mark what is completed by names of files, in all subcommands too."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in set(action.choices.values()):
                _with_files(each)
        elif action.dest in FILES or action.metavar in PLACES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]


if __name__ == "__main__":
    {"completions": completions, "man": man}[sys.argv[1]](Path(sys.argv[2]))
