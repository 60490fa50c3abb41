"""Signals that reach ncs-clusterd while it starts, and SIGHUP while it runs: no traceback, no process left."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ncs_cluster.client import Client
from ncs_cluster.errors import NotRunning, Starting
from ncs_cluster.ipc import starting
from ncs_cluster.testing.daemon import gone
from tests.tied import TIED

pytestmark = pytest.mark.slow

SMALL = ["--backend", "simulated", "--graph", "none", "--no-web"]
SLOW_GRAPHS = """
import sys, time
from ncs_cluster.processes import preflight
preflight.check = lambda *given, **more: time.sleep(60)
from ncs_cluster.cli.daemon import main
sys.argv[1:] = {argv!r}
main()
"""
"""The daemon, whose graphs take a minute to be tried."""
SIGHUP_IN_THE_START = """
import os, signal, sys
from ncs_cluster.cli import daemon
read = daemon.loaded
def signalled(*given):
    os.kill(os.getpid(), signal.SIGHUP)
    return read(*given)
daemon.loaded = signalled
sys.argv[1:] = {argv!r}
daemon.main()
"""
"""The daemon, which gets SIGHUP while it reads its settings."""


def slow(runtime_dir: Path) -> subprocess.Popen[str]:
    """A daemon that tries its graphs."""
    script = SLOW_GRAPHS.format(argv=[*SMALL[:2], "--no-web", "--runtime-dir", str(runtime_dir)])
    process = subprocess.Popen([*TIED, sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    until_s = time.monotonic() + 60
    while starting.read(str(runtime_dir)) is None:
        assert process.poll() is None
        assert time.monotonic() < until_s
        time.sleep(0.01)
    return process


def heed_sighup() -> None:
    """In a new process: what is started under nohup ignores SIGHUP, and so do its children."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextlib.contextmanager
def killed_at_last(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    with process:
        try:
            yield process
        finally:
            process.kill()


def answers(runtime_dir: Path) -> list[psutil.Process]:
    """Wait for the daemon; returns it and its children."""
    until_s = time.monotonic() + 60
    while True:
        try:
            with Client(runtime_dir) as client:
                status = client.status()
            if status.daemon.ready and all(process.state == "running" for process in status.processes):
                daemon = psutil.Process(status.daemon.pid)
                return [daemon, *daemon.children(recursive=True)]
        except NotRunning:
            pass
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_a_daemon_that_tries_its_graphs_says_so_to_those_who_ask_and_in_the_log(tmp_path: Path) -> None:
    runtime_dir = tmp_path / "run"
    with slow(runtime_dir) as process:
        with pytest.raises(Starting, match=r"^ncs-clusterd is starting: checking graphs demo$"):
            Client(runtime_dir)
        command = [sys.executable, "-m", "ncs_cluster.cli.ncsctl", "--runtime-dir", str(runtime_dir), "status"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (1, "ncsctl: ncs-clusterd is starting: checking graphs demo\n")
        assert process.stderr is not None
        assert process.stderr.readline() == "ncs-clusterd: checking graphs demo ...\n"
        tree = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        assert gone(tree, 10.0)
    until_s = time.monotonic() + 60
    while starting.read(str(runtime_dir)) is not None:
        assert time.monotonic() < until_s, "the kernel releases its lock"
        time.sleep(0.01)
    with pytest.raises(NotRunning, match="is not running"):
        Client(runtime_dir)


def test_a_stop_while_graphs_are_tried_ends_at_once_in_one_line(tmp_path: Path) -> None:
    with slow(tmp_path / "run") as process:
        tree = psutil.Process(process.pid).children(recursive=True)
        assert tree
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0
        assert [line for line in said.splitlines() if "checking graphs" not in line] == [
            "ncs-clusterd: stopped before it was ready"
        ]
        assert gone(tree, 10.0)


def test_sighup_has_the_settings_read_again_and_no_child_minds_it(tmp_path: Path) -> None:
    command = [*TIED, sys.executable, "-m", "ncs_cluster.cli.daemon", *SMALL, "--runtime-dir", str(tmp_path)]
    with killed_at_last(
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heed_sighup)
    ) as process:
        tree = answers(tmp_path)
        for each in tree:
            each.send_signal(signal.SIGHUP)
        with Client(tmp_path) as client:
            until_s = time.monotonic() + 60
            while not any("new settings" in event.text for event in client.events()):
                assert time.monotonic() < until_s
                time.sleep(0.05)
        assert {each.pid for each in answers(tmp_path)} == {each.pid for each in tree}
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said.count("new settings: no difference") == 1


def test_sighup_while_the_daemon_starts_is_not_lost(tmp_path: Path) -> None:
    with killed_at_last(
        subprocess.Popen(
            [*TIED, sys.executable, "-c", SIGHUP_IN_THE_START.format(argv=[*SMALL, "--runtime-dir", str(tmp_path)])],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=heed_sighup,
        )
    ) as process:
        answers(tmp_path)
        with Client(tmp_path) as client:
            until_s = time.monotonic() + 60
            while not any("new settings" in event.text for event in client.events()):
                assert time.monotonic() < until_s
                time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_terminal_that_is_closed_ends_the_daemon_in_order_and_leaves_nothing(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    argv = ["ncs-clusterd", *SMALL, "--runtime-dir", str(tmp_path / "run"), "--results", str(results)]
    script = f"import sys; sys.argv = {argv!r}; from ncs_cluster.cli.daemon import main; main()"
    pid, terminal = pty.fork()
    if pid == 0:
        heed_sighup()
        os.execv(sys.executable, [sys.executable, "-c", script])
    tree = answers(tmp_path / "run")
    until_s = time.monotonic() + 60
    while not results.exists() or not results.stat().st_size:
        assert time.monotonic() < until_s
        time.sleep(0.05)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert gone(tree, 10.0)
    assert results.read_bytes().endswith(b"\n")
