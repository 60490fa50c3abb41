"""What a test starts ends with the test's process, also when that is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from ncs_cluster.testing.daemon import gone
from tests.tied import tied_program

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
        until_s = time.monotonic() + 60
        while child.name() != "sleep" and time.monotonic() < until_s:
            time.sleep(0.01)
        assert child.name() == "sleep"
        starter.kill()
    assert gone([child], 10.0)
