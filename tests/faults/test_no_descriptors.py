"""No descriptor is left: clients go, sticks, cameras and results stay."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
from pathlib import Path

import psutil
import pytest

from ncs_cluster.ipc.control_socket import CONTROL_SOCKET
from ncs_cluster.testing.daemon import Daemon, read_results, running, settings, sticks, synthetic

pytestmark = pytest.mark.slow


def limited(daemon: Daemon, spare: int) -> int:
    """It may open `spare` more from now on. Returns the limit."""
    highest = max(int(name) for name in os.listdir(f"/proc/{daemon.pid}/fd"))
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (highest + 1 + spare, highest + 1 + spare))
    return highest + 1 + spare


def crowd(daemon: Daemon, stack: contextlib.ExitStack, count: int = 40) -> None:
    for _ in range(count):
        sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(os.fspath(daemon.runtime_dir / CONTROL_SOCKET))


@pytest.mark.parametrize("spare", [12, 3])
def test_silent_connections_without_end_leave_room_for_children_that_restart(tmp_path: Path, spare: int) -> None:
    """With `spare` descriptors: room for some clients, and for hardly what a restart needs."""
    results = tmp_path / "results.jsonl"
    camera = synthetic(ordered=True, frames=600, paced=False)
    with running(settings(tmp_path, sticks(2, latency_ms=20.0), [camera], results=results)) as daemon:
        with daemon.client() as client, contextlib.ExitStack() as stack:
            daemon.until(lambda status: status["sink"]["written"] > 20, "writes")
            pids = {process["name"]: process["pid"] for process in daemon.status()["processes"]}
            limited(daemon, spare)
            crowd(daemon, stack)
            for name in ("worker sim-1", "camera cam0", "sink"):
                os.kill(pids[name], signal.SIGKILL)
            with contextlib.suppress(Exception):
                client.status()
        assert daemon.wait(120.0) == 0
    assert [record["frame"] for record in read_results(results)] == list(range(600))
    assert not [record for record in read_results(results) if "error" in record]


def test_a_daemon_that_can_open_nothing_more_goes_on_and_recovers(tmp_path: Path) -> None:
    """Its status is refused meanwhile, its sticks work; a child that cannot be started is tried again."""
    with running(settings(tmp_path, sticks(2, latency_ms=10.0), [synthetic()])) as daemon:
        daemon.well()
        victim, supervisor = daemon.child("worker sim-1"), psutil.Process(daemon.pid)
        limit = max(int(name) for name in os.listdir(f"/proc/{daemon.pid}/fd"))
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (limit - 8, 4096))
        os.kill(victim, signal.SIGKILL)
        with contextlib.ExitStack() as stack:
            crowd(daemon, stack)
            cpu_s = sum(supervisor.cpu_times()[:2])
            with pytest.raises(TimeoutError):
                daemon.wait(4.0)
            assert sum(supervisor.cpu_times()[:2]) - cpu_s < 3.0, "it does not spin on connections that it cannot accept"
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (4096, 4096))
        daemon.well()
        assert daemon.stop() == 0
