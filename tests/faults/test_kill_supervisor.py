"""kill -9 of the supervisor, whatever it was doing: its children go with it, nothing stays, and the next one starts."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ncs_cluster.testing.daemon import Daemon, gone, read_results, running, settings, sticks, synthetic
from tests.tied import TIED

pytestmark = pytest.mark.slow

CHILDREN_GONE_S = 0.5
"""Contract."""


@pytest.mark.parametrize("moment", ["starting", "opening", "working", "ending"])
def test_children_die_with_it_and_the_next_start_works(tmp_path: Path, moment: str) -> None:
    """At four moments; within each the exact time is left to chance, and said when it fails."""
    asked = settings(tmp_path, sticks(3), [synthetic()], results=tmp_path / "results.jsonl")
    wait_s = random.uniform(0.0, 0.15)
    with running(asked) as daemon:
        if moment == "opening":
            daemon.until(lambda status: any(stick["pid"] for stick in status["sticks"]), "has started a worker")
        elif moment != "starting":
            daemon.well()
        if moment == "ending":
            daemon.process.terminate()
        time.sleep(wait_s)
        tree = daemon.tree()
        daemon.process.kill()
        daemon.process.wait()
        assert gone(tree, 4 * CHILDREN_GONE_S), f"{moment}, {wait_s:.3f} s: {[p for p in tree if p.is_running()]}"
    with running(asked) as again:
        again.well()
        assert again.stop() == 0


def test_a_daemon_killed_many_times_in_a_row_leaves_no_process(tmp_path: Path) -> None:
    """At random moments of its first second."""
    asked = settings(tmp_path, sticks(2), [synthetic()])
    for _ in range(5):
        daemon = Daemon(asked)
        try:
            daemon.listens()
            time.sleep(random.uniform(0.0, 0.8))
            tree = daemon.tree()
        finally:
            daemon.process.kill()
            daemon.process.wait()
        assert gone(tree, 4 * CHILDREN_GONE_S)


def test_a_folder_goes_on_where_its_results_end(tmp_path: Path) -> None:
    """The same command after kill -9, twice at random moments: each picture once, in order."""
    pictures, results = tmp_path / "pictures", tmp_path / "results.jsonl"
    pictures.mkdir()
    for number in range(150):
        (pictures / f"p{number}.ppm").write_bytes(b"P6 32 24 255\n" + bytes([number]) * (32 * 24 * 3))
    command = [
        *TIED,
        sys.executable,
        "-m",
        "ncs_cluster.cli.daemon",
        "--source",
        os.fspath(pictures),
        "--results",
        os.fspath(results),
    ]
    command += ["--backend", "simulated", "--sticks", "2", "--graph", "none", "--no-web", "--set", "simulated.latency_ms=50"]
    command += ["--runtime-dir", os.fspath(tmp_path / "run")]
    lines = 0
    for _ in range(2):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            enough, until_s = lines + random.randrange(5, 25), time.monotonic() + 60
            while lines < enough:
                assert process.poll() is None
                assert time.monotonic() < until_s
                time.sleep(0.01)
                lines = len(results.read_bytes().splitlines()) if results.exists() else 0
            process.kill()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert "of 150: " in done.stderr
    records = read_results(results)
    assert [(record["frame"], record["item"]) for record in records] == [(number, f"p{number}.ppm") for number in range(150)]
