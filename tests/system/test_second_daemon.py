"""One daemon per runtime directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ncs_cluster.testing.daemon import START_S, running, settings, sticks, synthetic
from tests.tied import TIED


def test_a_second_daemon_refuses_names_the_first_and_does_not_disturb_it(tmp_path: Path) -> None:
    """Exit code 78 and one line."""
    with running(settings(tmp_path, sticks(2), [synthetic()])) as first:
        before = first.well()
        command = [*TIED, sys.executable, "-m", "ncs_cluster.cli.daemon", "--source", "synthetic", "--backend", "simulated"]
        command += ["--sticks", "1", "--graph", "none", "--no-web", "--runtime-dir", os.fspath(first.runtime_dir)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
        assert second.returncode == 78
        assert second.stdout == ""
        (line,) = [line for line in second.stderr.splitlines() if "running as root" not in line]
        assert f"(pid {first.pid})" in line
        assert os.fspath(first.runtime_dir) in line
        after = first.well()
        assert [process["pid"] for process in after["processes"]] == [process["pid"] for process in before["processes"]]
