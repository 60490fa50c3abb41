"""A server of another project, in a process that a test may kill or stop for a while."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from socket import create_connection

from tests.tied import TIED

WAIT_S = 60.0
"""Generous: other tests run on the same processors."""


class ServerProcess:
    """Listens on `port` of this machine once it is started."""

    def __init__(self, command: list[str], port: int, log: Path) -> None:
        self.port = port
        self._command, self._log = command, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the port answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*TIED, *self._command], stdout=log, stderr=log)
        until_s = time.monotonic() + WAIT_S
        while True:
            try:
                create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < until_s, f"{self._command[0]} does not listen"
                time.sleep(0.02)

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
