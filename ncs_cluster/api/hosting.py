"""The program's side of its host: start, settings, end."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO

import msgspec

from ncs_cluster.api.environment import environment
from ncs_cluster.api.host import LENGTH, MARGIN_S
from ncs_cluster.core.shutdown import LONGEST_S
from ncs_cluster.errors import EX_CONFIG, ClusterClosed, ConfigError, NcsClusterError
from ncs_cluster.specs import Settings

TAIL = 4000
"""Bytes at the end of the log in which the last line is looked for."""


class Hosting:
    """A started host. `log` gets what it and its children log."""

    def __init__(self, log: IO[bytes]) -> None:
        """Raises OSError when no process can be started."""
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ncs_cluster.api.host", str(os.getpid())],
            stdin=subprocess.PIPE,
            bufsize=0,
            stdout=log,
            stderr=log,
            # the settings hold no relative path, and a file of the working folder may have the name of a module
            cwd="/",
            env=environment(),
            # a terminal's Ctrl-C is for the program alone
            start_new_session=True,
        )
        self.pidfd = os.pidfd_open(self._process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, settings: Settings) -> None:
        """New settings. Raises ClusterClosed when the host has ended."""
        data = msgspec.msgpack.encode(settings)
        rest = memoryview(LENGTH.pack(len(data)) + data)
        assert self._process.stdin is not None
        try:
            while rest:
                rest = rest[os.write(self._process.stdin.fileno(), rest) :]
        except OSError as error:
            raise self.ended() from error

    def ended(self) -> NcsClusterError:
        """The error of a host that has ended by itself: ConfigError when it refuses its settings."""
        try:
            code: int | None = self._process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            code = None
        line = self._last_line()
        if code == EX_CONFIG:
            return ConfigError(line or "the cluster's host refuses its settings")
        how = (
            "cannot be reached" if code is None else f"was killed by signal {-code}" if code < 0 else f"has ended with code {code}"
        )
        return ClusterClosed(
            f"the host of this Cluster (process {self.pid}) {how}; make another{f'. Its log: {line}' if line else ''}"
        )

    def close(self) -> None:
        """Stop the host and wait for its end; one that does not end is killed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(LONGEST_S + MARGIN_S + 1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def forget(self) -> None:
        """In a forked process: the host is the other process's."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        os.close(self.pidfd)
        self._process.returncode = 0

    def _last_line(self) -> str:
        try:
            size = os.fstat(self._log.fileno()).st_size
            text = os.pread(self._log.fileno(), TAIL, max(0, size - TAIL)).decode(errors="replace")
        except (OSError, ValueError):
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "".join(c if c.isprintable() else "?" for c in lines[-1]) if lines else ""
