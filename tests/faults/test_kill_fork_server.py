"""kill -9 and SIGSTOP of the fork server: no worker notices, later ones start all the same, and another takes its place."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.testing.daemon import Status, gone, running, settings, sticks, synthetic

pytestmark = pytest.mark.slow

FORK_SERVER = "fork-server default"


def fork_server(status: Status) -> dict[str, Any]:
    return next(process for process in status["processes"] if process["name"] == FORK_SERVER)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_workers_live_and_new_ones_start_without_it(tmp_path: Path, how: signal.Signals) -> None:
    with running(settings(tmp_path, sticks(3, heat=False), [synthetic()])) as daemon:
        before = daemon.well()
        server = daemon.child(FORK_SERVER)
        os.kill(server, how)
        if how is signal.SIGKILL:
            daemon.until(lambda status: fork_server(status)["restarts"] == 1, "has seen its end")
        after = daemon.well() if how is signal.SIGKILL else daemon.status()
        assert [stick["pid"] for stick in after["sticks"]] == [stick["pid"] for stick in before["sticks"]]
        assert [stick["restarts"] for stick in after["sticks"]] == [0, 0, 0]
        os.kill(after["sticks"][1]["pid"], signal.SIGKILL)
        daemon.until(lambda status: status["sticks"][1]["restarts"] == 1, "has started the worker again")
        after = daemon.well()
        assert [stick["restarts"] for stick in after["sticks"]] == [0, 1, 0]
        daemon.until(lambda status: fork_server(status)["pid"] not in (None, server), "has another fork server")
        assert after["counters"]["frames_lost"] == after["counters"]["frames_doubled"] == 0
        tree = daemon.tree()
        assert daemon.stop() == 0
        assert gone(tree, 2.0)


def test_it_ends_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    """Also where it is stopped, and its workers where it was killed before."""
    for how in (signal.SIGSTOP, signal.SIGKILL):
        with running(settings(tmp_path, sticks(3), [synthetic()])) as daemon:
            daemon.well()
            tree = daemon.tree()
            os.kill(daemon.child(FORK_SERVER), how)
            daemon.process.kill()
            daemon.process.wait()
            assert gone(tree, 2.0)
