"""Interpreters of the child processes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Optional

from ncs_cluster.config.context import Context
from ncs_cluster.specs import RuntimeSpec


def runtimes(context: Context) -> dict[str, RuntimeSpec]:
    made = {}
    for name, table in context.root.runtimes.items():
        key = ("runtimes", name, "python")
        python = interpreter(context, name)
        if python is None or not os.access(python, os.X_OK) or os.path.isdir(python):
            context.refuse(*key, because=f"{table.python} is no program that can be started; give an interpreter's path")
        if (complaint := cannot_serve(python, {**context.environ, **table.env})) is not None:
            context.refuse(
                *key, because=f"{python} cannot run our processes: {complaint}; it must be Python 3.9 or newer with msgspec"
            )
        made[name] = RuntimeSpec(python=python, env=dict(table.env))
    return made


def interpreter(context: Context, name: str) -> Optional[str]:
    """The path of `python` in [runtimes.NAME]; None when there is no such program on PATH."""
    text = context.root.runtimes[name].python
    return str(context.path(text, "runtimes", name, "python")) if "/" in text else shutil.which(text)


def cannot_serve(python: str, environ: Mapping[str, str], *, limit_s: float = 30.0) -> Optional[str]:
    """Why an interpreter cannot run a child process, or None. It is started: a name on PATH may be a shim without a Python."""
    environ = {name: value for name, value in environ.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV")}
    command = [python, "-c", "import sys; assert sys.version_info >= (3, 9), sys.version.split()[0]; import msgspec"]
    try:
        tried = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, env=environ, check=False)
    except OSError as error:
        return error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return "it does not answer"
    if tried.returncode == 0:
        return None
    said = tried.stderr.decode(errors="replace").strip().splitlines()
    return said[-1] if said else f"exit code {tried.returncode}"
