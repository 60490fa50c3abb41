"""Interpreters that misbehave: a runtime whose `python` is a script of the test's, so that any kind of child can be put in a
child's place without the daemon knowing."""

from __future__ import annotations

import os
import shlex
import sys
import textwrap
from pathlib import Path

from ncs_cluster.specs import RuntimeSpec

BEGIN = """\
import os, random, socket, sys, time
sys.argv = sys.argv[2:]
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
"""


def interpreter(folder: Path, code: str) -> RuntimeSpec:
    """Runs `code` instead of the child's module. `arguments` holds the child's options, such as arguments["--channel"]; what the
    package offers can be imported."""
    folder.mkdir(parents=True, exist_ok=True)
    return RuntimeSpec(os.fspath(program(folder / "python", BEGIN + textwrap.dedent(code))))


def program(path: Path, code: str) -> Path:
    """An executable file that runs `code` under this interpreter, with the arguments it is given.

    The shell starts it, because a `#!` line cannot name an interpreter whose path holds a space.
    """
    script = path.with_suffix(".py")
    script.write_text(code)
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(os.fspath(script))} "$@"\n')
    path.chmod(0o755)
    return path
