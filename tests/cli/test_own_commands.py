"""Commands of ncsctl with a command line of their own."""

from __future__ import annotations

import pytest

from ncs_cluster.cli.ncsctl import OWN_COMMAND_LINES
from tests.cli.asking import ncsctl


@pytest.mark.parametrize("name", OWN_COMMAND_LINES)
def test_each_has_its_own_help(name: str) -> None:
    done = ncsctl(name, "--help")
    assert (done.returncode, done.stdout.split()[:3]) == (0, ["usage:", "ncsctl", name])


@pytest.mark.parametrize("before", [["--runtime-dir", "/nowhere"], ["--runtime-dir=/nowhere"]])
def test_the_runtime_directory_may_stand_before_the_name(before: list[str]) -> None:
    behind = ncsctl("run", "x.png", "--graph", "demo", "--out", "/nowhere/out", "--attach", "--runtime-dir", "/nowhere")
    done = ncsctl(*before, "run", "x.png", "--graph", "demo", "--out", "/nowhere/out", "--attach")
    assert (done.returncode, done.stderr) == (behind.returncode, behind.stderr)
    assert "/nowhere/control.sock" in done.stderr
