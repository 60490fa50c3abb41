"""A real Python 3.9 in a venv of its own, for children that need what newer interpreters cannot have. Built once, then kept.

Candidates are tried by running them: `python3.9` on PATH may be a dead shim. Where there is none the tests skip and say so;
with NCS_CLUSTER_CI=1 they fail instead.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.needs import missing

ROOT = Path(__file__).resolve().parents[1]


class Runtime(NamedTuple):
    """An interpreter for children and its whole environment."""

    python: str
    env: dict[str, str]


def candidates() -> Iterator[str]:
    """Places a Python 3.9 may be, best first."""
    if given := os.environ.get("NCS_CLUSTER_PYTHON39"):
        yield given
    yield from sorted((str(path) for path in Path.home().glob(".pyenv/versions/3.9*/bin/python3.9")), reverse=True)
    yield "python3.9"
    yield "/usr/bin/python3.9"


def is_39(python: str) -> bool:
    """True when it starts and says it is CPython 3.9."""
    ask = "import sys, venv; print(sys.implementation.name, *sys.version_info[:2])"
    try:
        said = subprocess.run([python, "-c", ask], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return False
    return said.stdout.split() == ["cpython", "3", "9"]


def build(venv: Path, python: str, needs: list[str]) -> None:
    """Make the venv; a marker tells that it is whole and for which needs."""
    marker = venv / "built"
    wanted = "\n".join([python, *needs])
    if marker.is_file() and marker.read_text() == wanted:
        return
    quiet: dict[str, Any] = {"check": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    # by the pip of this interpreter: to install another takes as long as the libraries, and of those few modules are imported
    subprocess.run([python, "-m", "venv", "--clear", "--without-pip", str(venv)], **quiet)
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin/python"), "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--no-compile", "--only-binary=:all:", *needs], **quiet)
    marker.write_text(wanted)


def runtime(name: str, needs: list[str], package: Path) -> Runtime:
    """The venv ROOT/`name` holding `needs`, which sees this package and nothing of the interpreter the tests run under.

    `package` is an empty folder of the caller's. Skips or fails where it cannot be had.
    """
    python = next((candidate for candidate in candidates() if is_39(candidate)), None)
    if python is None:
        missing("no working Python 3.9 found: set NCS_CLUSTER_PYTHON39 to one")
    lock = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        build(ROOT / name, python, needs)
    except subprocess.CalledProcessError as error:
        missing(f"a venv for {python} cannot be built: {error.stdout.strip().splitlines()[-1:]}")
    finally:
        os.close(lock)
    # a folder with nothing but a link to the package: its parent would bring the other interpreter's libraries along
    (package / "ncs_cluster").symlink_to(ROOT / "ncs_cluster")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return Runtime(str(ROOT / name / "bin/python"), {**env, "PYTHONPATH": str(package)})
