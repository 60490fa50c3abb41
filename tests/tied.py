"""Programs that a test starts and that must not outlive it, even when the test's process is killed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

TIED = ("setpriv", "--pdeathsig", "KILL", "--")
"""Before a command: the kernel kills it when the thread that started it has ended (prctl(2), PR_SET_PDEATHSIG)."""


def tied_program(path: Path, command: Sequence[str]) -> Path:
    """An executable file that becomes `command`, tied; for starters that take one path and add arguments of their own."""
    path.write_text(f'#!/bin/sh\nexec {shlex.join([*TIED, *command])} "$@"\n')
    path.chmod(0o755)
    return path
