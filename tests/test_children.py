"""What a test starts ends with the test's process, also when that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ncs_cluster.testing.daemon import gone
from tests.children import tied_program
from tests.conftest import ROOT

STARTS = """
import subprocess, sys, time
print(subprocess.Popen([sys.argv[1], "600"]).pid, flush=True)
time.sleep(600)
"""


def test_a_tied_program_is_killed_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = tied_program(tmp_path / "with space", ["sleep"])
    with subprocess.Popen([sys.executable, "-c", STARTS, str(program)], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        child = psutil.Process(int(starter.stdout.readline()))
        until_s = time.monotonic() + 30
        while child.name() != "sleep" and time.monotonic() < until_s:
            time.sleep(0.01)
        assert child.name() == "sleep"
        starter.kill()
    assert gone([child], 10.0)


FAILS = """
from ncs_cluster.testing.daemon import running, settings, sticks, synthetic

def test_it(tmp_path):
    with running(settings(tmp_path, sticks(1), [synthetic()])) as daemon:
        daemon.well()
        assert False, "on purpose"
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
    assert "-- end of " in said
    assert "sim-1: is ready" in said
