"""Runs a job's supervisor as a child and watches it. The child dies with this process, and its log goes into a file."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ncs_cluster.cli.run.progress import Progress
from ncs_cluster.client import Client
from ncs_cluster.errors import NcsClusterError
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.processes.child import die_with_parent
from ncs_cluster.specs import Settings
from ncs_cluster.status import Status

LOOK_S = 0.1
SHOW_S = 0.5


def run(settings: Settings, ledger: Ledger, log: Path, progress: Progress) -> bool:
    """Returns when the supervisor has ended; True after an interruption. The second interruption kills it."""
    pid = _start(settings, log)
    interrupted = 0

    def interrupt(_number: int, _frame: Any) -> None:
        nonlocal interrupted
        interrupted += 1
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM if interrupted == 1 else signal.SIGKILL)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    show_s = 0.0
    with progress:
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            now_s = time.monotonic()
            if now_s >= show_s:
                show_s = now_s + SHOW_S
                progress.update(_status(settings.runtime_dir))
            time.sleep(LOOK_S)
        progress.update(None)
    for number, handler in before.items():
        signal.signal(number, handler)
    return interrupted > 0


def _status(runtime_dir: str) -> Status | None:
    try:
        with Client(runtime_dir, timeout_s=2.0) as client:
            return client.status()
    except NcsClusterError:
        return None


def _start(settings: Settings, log: Path) -> int:
    parent = os.getpid()
    if pid := os.fork():
        return pid
    code = 1
    try:
        # a terminal's Ctrl-C is for the command alone
        os.setsid()
        die_with_parent(parent)
        null = os.open(os.devnull, os.O_RDWR)
        lines = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for fd, to in ((null, 0), (lines, 1), (lines, 2)):
            os.dup2(fd, to)
        os.environ.pop("NOTIFY_SOCKET", None)
        from ncs_cluster.processes import supervisor

        code = supervisor.run(settings)
    except BaseException as error:
        os.write(2, f"ncs-clusterd: {error}\n".encode("utf-8", "backslashreplace"))
    os._exit(code)
