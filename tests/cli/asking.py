"""Asking a daemon as its users do: by a process of ncsctl."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

NCSCTL = [sys.executable, "-m", "ncs_cluster.cli.ncsctl"]


def ncsctl(*argv: str, place: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    where = ["--runtime-dir", str(place)] if place is not None else []
    return subprocess.run(
        [*NCSCTL, *where, *argv], capture_output=True, text=True, timeout=60, env={**os.environ, **environ}, check=False
    )
