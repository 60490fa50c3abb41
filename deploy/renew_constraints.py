"""Writes constraints.txt beside this file: the newest versions that pyproject.toml allows, of tests and checks too.

`make constraints` calls it; then `.ci/run` tries them.

    python deploy/renew_constraints.py python3.11 python3.13

Each interpreter gets a fresh environment of its own; a line is marked with the Python version where the versions differ.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOT_LISTED = {"pip", "setuptools", "ncs-cluster"}
HEAD = """\
# Versions that are tested together, for `make run`, `make test` and the service; `make constraints` renews them.
"""


def installed(python: str) -> tuple[str, dict[str, str]]:
    """The interpreter's version such as "3.11", and name and version of each distribution in a fresh environment."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        own = Path(folder, "bin", "python")
        subprocess.run([own, "-m", "pip", "install", "--quiet", f"{HERE.parent}[test,check]"], check=True, stdout=sys.stderr)
        listed = subprocess.run([own, "-m", "pip", "list", "--format=json"], check=True, capture_output=True).stdout
        version = subprocess.run([own, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], check=True, capture_output=True)
    return version.stdout.decode().strip(), {each["name"].lower(): each["version"] for each in json.loads(listed)}


def lines(found: dict[str, dict[str, str]]) -> list[str]:
    """`found`: by version of Python. One line per distribution, or one per version of Python where they differ."""
    versions: dict[str, dict[str, str]] = defaultdict(dict)
    for python, each in found.items():
        for name, version in each.items():
            if name not in NOT_LISTED:
                versions[name][python] = version
    made = []
    for name, by_python in sorted(versions.items()):
        if len(set(by_python.values())) == 1:
            made.append(f"{name}=={next(iter(by_python.values()))}")
        else:
            made += [f'{name}=={version}; python_version == "{python}"' for python, version in sorted(by_python.items())]
    return made


if __name__ == "__main__":
    text = HEAD + "".join(f"{line}\n" for line in lines(dict(installed(python) for python in sys.argv[1:])))
    (HERE / "constraints.txt").write_text(text)
