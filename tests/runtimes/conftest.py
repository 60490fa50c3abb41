"""A real Python 3.9 with what a child needs, in a venv of its own, built once.

Candidates are tried by running them: `python3.9` on PATH may be a dead shim. Where there is none the tests skip and say so;
with NCS_CLUSTER_CI=1 they fail instead.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv39"
NEEDS = ["msgspec>=0.18,<0.21", "numpy>=1.19,<2", "opencv-python-headless>=4.5,<5"]


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
        said = subprocess.run([python, "-c", ask], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return False
    return said.stdout.split() == ["cpython", "3", "9"]


def missing(reason: str) -> NoReturn:
    """Skip, or fail where the tests must run."""
    if os.environ.get("NCS_CLUSTER_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def build(python: str) -> None:
    """Make the venv; a marker tells that it is whole and for which needs."""
    marker = VENV / "built"
    wanted = "\n".join([python, *NEEDS])
    if marker.is_file() and marker.read_text() == wanted:
        return
    quiet = {"check": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    subprocess.run([python, "-m", "venv", "--clear", str(VENV)], **quiet)
    pip = [str(VENV / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    subprocess.run([*pip, *NEEDS], **quiet)
    marker.write_text(wanted)


@pytest.fixture(scope="session")
def python39(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """A Python 3.9 that sees this package, its own libraries and nothing of the interpreter the tests run under."""
    python = next((candidate for candidate in candidates() if is_39(candidate)), None)
    if python is None:
        missing("no working Python 3.9 found: set NCS_CLUSTER_PYTHON39 to one")
    lock = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        build(python)
    except subprocess.CalledProcessError as error:
        missing(f"a venv for {python} cannot be built: {error.stdout.strip().splitlines()[-1:]}")
    finally:
        os.close(lock)
    # a folder with nothing but a link to the package: its parent would bring the other interpreter's libraries along
    folder = tmp_path_factory.mktemp("package")
    (folder / "ncs_cluster").symlink_to(ROOT / "ncs_cluster")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return Runtime(str(VENV / "bin/python"), {**env, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"})
