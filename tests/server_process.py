"""A server of another project, in a process that a test may kill or stop for a while, on this machine or on one of its hosts."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.tied import TIED

WAIT_S = 60.0
"""Generous: other tests run on the same processors."""


LISTENS = "0A"
"""A state of /proc/PID/net/tcp."""


class ServerProcess:
    """Listens on `port` once it is started. `before`: words of a command that becomes the server's process, see hosts.rig.Host."""

    def __init__(self, command: list[str], port: int, log: Path, before: Sequence[str] = TIED) -> None:
        self.port = port
        self._command, self._log, self._before = command, log, before
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the port answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*self._before, *self._command], stdout=log, stderr=log)
        until_s = time.monotonic() + WAIT_S
        while not self._listens():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < until_s, f"{self._command[0]} does not listen"
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _listens(self) -> bool:
        """Whether the port is listened on in the network of the process."""
        tables = [Path(f"/proc/{self.pid}/net/{name}") for name in ("tcp", "tcp6")]
        rows = [row.split() for table in tables if table.exists() for row in table.read_text().splitlines()[1:]]
        return any(row[3] == LISTENS and int(row[1].rpartition(":")[2], 16) == self.port for row in rows)

    def kill(self) -> None:
        """What the server keeps in memory is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
