"""Asking a daemon as its users do: by a process of ncsctl."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess

from ncs_cluster.cli import commands, parser
from ncs_cluster.cli import ncsctl as command
from tests import forked

NCSCTL = [sys.executable, "-m", "ncs_cluster.cli.ncsctl"]
PRELOADED = (commands, parser)
"""What ncsctl imports where it needs it."""


def ncsctl(*argv: str | Path, place: Path | None = None, timeout_s: float = 60.0, **environ: str) -> CompletedProcess[str]:
    """`place`: the runtime directory. `environ`: besides the test's own environment."""
    where = ["--runtime-dir", str(place)] if place is not None else []
    return ncsctl_in({**os.environ, **environ}, *where, *argv, timeout_s=timeout_s)


def ncsctl_in(env: Mapping[str, str], *argv: str | Path, timeout_s: float = 60.0) -> CompletedProcess[str]:
    """With this environment alone."""
    return forked.run(command.main, ["ncsctl", *map(str, argv)], env=env, timeout_s=timeout_s)
