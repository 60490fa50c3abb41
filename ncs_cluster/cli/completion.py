"""`ncsctl completion bash|zsh`: prints what a shell completes command lines with, as deploy/describe.py has made it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from ncs_cluster.cli.service.plan import shipped

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
SHELLS = ("bash", "zsh")
COMMANDS = ("ncsctl", "ncs-clusterd")


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    made = command("completion", _print, "completions for a shell")
    made.epilog = (
        'in this shell: eval "$(ncsctl completion bash)", or in ~/.zshrc, behind compinit: eval "$(ncsctl completion zsh)"'
    )
    made.add_argument("shell", choices=SHELLS)


def _print(given: argparse.Namespace) -> int:
    for command in COMMANDS:
        sys.stdout.write((shipped() / "completions" / f"{command}.{given.shell}").read_text())
    return 0
