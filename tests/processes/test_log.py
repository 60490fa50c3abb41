"""The supervisor's log, whose reader may stand still."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ncs_cluster.client import Client
from ncs_cluster.errors import NotRunning
from ncs_cluster.processes.child import OneLine
from ncs_cluster.processes.log import MAX_QUEUED_LINES, NonBlockingHandler
from ncs_cluster.status import StickStatus
from tests.tied import TIED


def test_a_message_is_one_line_whatever_it_quotes() -> None:
    record = logging.LogRecord("x", logging.WARNING, "x.py", 1, "no video at %s", ("a\nall is well\x1b[2K",), None)
    assert OneLine("camera: %(message)s").format(record) == "camera: no video at a\\nall is well\\x1b[2K"


def test_who_logs_waits_for_nobody_and_what_was_left_out_is_counted() -> None:
    readable, writable = os.pipe()
    handler = NonBlockingHandler(writable)
    logger = logging.Logger("test")
    logger.addHandler(handler)
    said = 5 * MAX_QUEUED_LINES
    for number in range(said):
        logger.info("%d %s", number, "x" * 100)
    text: list[bytes] = []
    with os.fdopen(readable, "rb") as reader:
        listener = threading.Thread(target=lambda: text.append(reader.read()))
        listener.start()
        handler.stop()
        handler._thread.join(60)
        os.close(writable)
        listener.join(60)
    lines = text[0].decode().splitlines()
    left_out = sum(int(line.split()[0]) for line in lines if line.endswith(" log lines dropped: nobody read standard error"))
    kept = [int(line.split()[0]) for line in lines if line.endswith("xxx")]
    assert kept == sorted(set(kept))
    assert left_out > 0
    assert MAX_QUEUED_LINES < len(kept) == said - left_out


def test_a_daemon_whose_log_nobody_reads_works_on_and_ends(tmp_path: Path) -> None:
    """A terminal stopped by Ctrl-S, a journal that waits for its disk."""
    readable, writable = os.pipe()
    asked = ["--backend", "simulated", "--sticks", "2", "--graph", "none", "--no-web", "--runtime-dir", str(tmp_path)]
    with subprocess.Popen([*TIED, sys.executable, "-m", "ncs_cluster.cli.daemon", *asked], stderr=writable) as daemon:
        until(tmp_path, lambda stick: stick.state == "active")
        fill(writable)
        with Client(tmp_path) as client:
            client.trouble("unplug", "sim-1")
        until(tmp_path, lambda stick: stick.state == "absent")
        until(tmp_path, lambda stick: stick.state == "active")
        daemon.terminate()
        assert daemon.wait(60) == 0
    os.close(readable)
    os.close(writable)


def until(runtime_dir: Path, holds: Callable[[StickStatus], bool]) -> None:
    """Until it holds for the first stick."""
    until_s = time.monotonic() + 60
    while True:
        try:
            with Client(runtime_dir) as client:
                if holds(client.status().sticks[0]):
                    return
        except NotRunning:
            pass
        assert time.monotonic() < until_s, "it did not come to pass"
        time.sleep(0.05)


def fill(pipe: int) -> None:
    """Opened anew, so that only this end does not wait."""
    end = os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(end, b"x")
    except BlockingIOError:
        os.close(end)
