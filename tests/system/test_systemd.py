"""What the daemon tells systemd (sd_notify(3)), heard at a socket of the test's."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ncs_cluster.testing.daemon import START_S, running, settings, sticks, synthetic

WATCHDOG_S = 1.0
PING_S = 20.0
"""Generous: without a working loop no ping comes at all."""


class Listener:
    """The service manager's end."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.fspath(path))
        self.heard: list[str] = []

    def until(self, begins: str, timeout_s: float = START_S) -> str:
        """The next line that begins so."""
        until_s = time.monotonic() + timeout_s
        while True:
            self.socket.settimeout(max(0.001, until_s - time.monotonic()))
            for line in self.socket.recv(4096).decode().splitlines():
                self.heard.append(line)
                if line.startswith(begins):
                    return line

    def waiting(self) -> list[bytes]:
        """All that has come and was not read."""
        self.socket.setblocking(False)
        said = []
        try:
            while True:
                said.append(self.socket.recv(4096))
        except BlockingIOError:
            return said


def until_stopped(pid: int) -> None:
    """The signal is on its way for a moment."""
    until_s = time.monotonic() + START_S
    while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < until_s
        time.sleep(0.001)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(tmp_path / "notify")
    yield listener
    listener.socket.close()


def test_ready_status_watchdog_and_stopping_really_arrive(tmp_path: Path, manager: Listener) -> None:
    """READY comes once; the status says who works; pings come for as long as the loop turns, and not while it is stopped."""
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
    with running(settings(tmp_path, sticks(2), [synthetic()]), env) as daemon:
        manager.until("READY=1")
        manager.until("STATUS=active: sim-1, sim-2; sticks present: 2")
        manager.until("WATCHDOG=1", PING_S)
        manager.until("WATCHDOG=1", PING_S)
        os.kill(daemon.pid, signal.SIGSTOP)
        until_stopped(daemon.pid)
        while manager.waiting():
            pass
        time.sleep(2 * WATCHDOG_S)
        assert manager.waiting() == []
        os.kill(daemon.pid, signal.SIGCONT)
        manager.until("WATCHDOG=1", PING_S)
        daemon.process.terminate()
        manager.until("STOPPING=1")
        assert daemon.wait(20.0) == 0
    assert manager.heard.count("READY=1") == 1


def test_no_ping_where_no_watchdog_is_set(tmp_path: Path, manager: Listener) -> None:
    """Nor for another process's watchdog."""
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
    with running(settings(tmp_path, sticks(1), [synthetic()]), env) as daemon:
        daemon.well()
        assert daemon.stop() == 0
    said = b"\n".join(manager.waiting()).decode().splitlines()
    assert said.count("READY=1") == 1
    assert "WATCHDOG=1" not in said


def test_children_do_not_talk_to_systemd(tmp_path: Path, manager: Listener) -> None:
    """They do not even know where it listens."""
    with running(settings(tmp_path, sticks(1), [synthetic()]), {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as daemon:
        daemon.well()
        assert all("NOTIFY_SOCKET" not in child.environ() for child in daemon.tree()[1:])
