"""The examples of docs/library.md run as they are printed, each as a program of its own."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.api.images import PATIENCE_S
from tests.conftest import ROOT
from tests.tied import TIED

pytestmark = pytest.mark.slow

EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/library.md").read_text(), re.M | re.S)


def test_every_example_is_found() -> None:
    assert len(EXAMPLES) == (ROOT / "docs/library.md").read_text().count("```") // 2 == 4


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example: str) -> None:
    command = [*TIED, sys.executable, "-W", "error", "-c", example]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines
    for printed, comment in re.findall(r"print\((\w+)\)  # (.*)", example):
        assert comment in lines, printed
