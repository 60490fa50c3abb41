"""Interpreters that misbehave: a runtime whose `python` is a script of the test's, so that any kind of child can be put in a
child's place without the daemon knowing."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

from ncs_cluster.specs import RuntimeSpec

BEGIN = """\
#!{python}
import os, random, socket, sys, time
sys.argv = sys.argv[2:]
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
"""


def interpreter(folder: Path, code: str) -> RuntimeSpec:
    """Runs `code` instead of the child's module. `arguments` holds the child's options, such as arguments["--channel"]; what the
    package offers can be imported."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "python"
    script.write_text(BEGIN.format(python=sys.executable) + textwrap.dedent(code))
    script.chmod(0o755)
    return RuntimeSpec(os.fspath(script))
