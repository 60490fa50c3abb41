"""`ncsctl` within this process, for tests of what a command says: a process of its own would import everything anew."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from ncs_cluster.cli.ncsctl import main


def ncsctl(*argv: str | Path, **environ: str) -> CompletedProcess[str]:
    """What the command prints, and its exit code. An exception that it lets through is the test's."""
    words, out, err = [str(word) for word in argv], io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["ncsctl", *words])
        for name, value in environ.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    return CompletedProcess(words, code if isinstance(code, int) else 0 if code is None else 1, out.getvalue(), err.getvalue())
