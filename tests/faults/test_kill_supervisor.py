"""kill -9 of the supervisor, whatever it was doing: its children go with it, nothing stays, and the next one starts."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from ncs_cluster.testing.daemon import Daemon, gone, running, settings, sticks, synthetic

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
