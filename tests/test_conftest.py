"""What a run of the tests shows, and how it chooses and spreads them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import schedule
from tests.conftest import ROOT

FAILS = """
from ncs_cluster.testing.daemon import running, settings, sticks, synthetic

def works(folder):
    with running(settings(folder, sticks(1), [synthetic()])) as daemon:
        daemon.well()

def test_it(tmp_path):
    works(tmp_path)
    assert False, "on purpose"

def test_another():
    assert False, "without a daemon"
"""


@pytest.mark.slow
def test_a_failing_test_shows_the_log_of_its_daemon(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FAILS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.conftest",
        "--rootdir",
        str(tmp_path),
        str(tmp_path / "test_it.py"),
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    environ.pop("PYTEST_XDIST_WORKER", None)
    with subprocess.Popen(command, env=environ, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True) as running:
        try:
            said, _ = running.communicate(timeout=120)
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
    assert "on purpose" in said
    assert said.count("end of /") == 1, said
    assert "sim-1: is ready" in said


LONGEST = [scope for scope in schedule.LONGEST if scope not in schedule.GROUPS.values()]


@pytest.mark.parametrize("beginning", [*schedule.GROUPS, *schedule.ONE_BY_ONE, *LONGEST, *schedule.ONCE, *schedule.THOROUGH])
def test_each_name_in_the_schedule_is_that_of_tests(beginning: str) -> None:
    file, _, test = beginning.partition("[")[0].partition("::")
    assert (ROOT / file).exists()
    assert not test or f"def {test}" in (ROOT / file).read_text()


@pytest.mark.parametrize(
    ("chosen", "expected", "place", "beginnings"),
    [
        ("once", True, "tests/deploy", schedule.ONCE),
        ("not once", False, "tests/deploy", schedule.ONCE),
        ("thorough", True, "tests/core/test_heat.py", schedule.THOROUGH),
        ("not thorough", False, "tests/core/test_heat.py", schedule.THOROUGH),
    ],
)
def test_what_is_run_apart_can_be_chosen_and_left_out(chosen: str, expected: bool, place: str, beginnings: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-m", chosen, place]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False).stdout
    found = [line for line in said.splitlines() if "::" in line]
    assert found
    assert {line.startswith(beginnings) for line in found} == {expected}
