"""One child process as its parent holds it: the channel, the pidfd, the exit status."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess

from ncs_cluster.core.events import Endpoint
from ncs_cluster.ipc import channel
from ncs_cluster.messages import FromCamera, FromForkServer, FromGateway, FromIntakeProcess, FromSink, FromWorker

INCOMING = {
    "worker": FromWorker,
    "camera": FromCamera,
    "sink": FromSink,
    "gateway": FromGateway,
    "intake": FromIntakeProcess,
    "fork-server": FromForkServer,
}
"""The messages each kind of child may send."""
MAX_FROM_WORKER = channel.MAX_MESSAGE // 4
"""Bytes. A result grows on its way: distances are added, and it becomes a line of text."""
UNKNOWN = 256
"""In place of the exit code of a process that another one has started, which the kernel does not tell. None is as large."""


class Process:
    """A child, from the making of its channel to its reaping. It has no process id before `started`."""

    def __init__(self, endpoint: Endpoint, ends: tuple[socket.socket, socket.socket | None] | None = None) -> None:
        """`ends`: of its channel, ours and the child's; None: new ones. Raises OSError where no descriptor is left."""
        ours, self.child_end = ends or channel.pair()
        ours.setblocking(False)
        max_bytes = MAX_FROM_WORKER if endpoint.kind == "worker" else channel.MAX_MESSAGE
        self.endpoint = endpoint
        self.channel: channel.Channel[object] = channel.Channel(ours, INCOMING[endpoint.kind], max_bytes)
        self.pid: int | None = None
        self.pidfd = -1
        self._popen: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._code: int | None = None

    def started(self, pid: int, popen: subprocess.Popen[bytes] | None = None) -> None:
        """The process exists and holds its end of the channel. `popen` where this interpreter has started it itself. Raises OSError
        where it cannot be watched; then it is killed, and is not this process's any more."""
        self.abandon()
        try:
            self.pidfd = os.pidfd_open(pid)
        except OSError:
            # not reaped yet, so the number is still its own
            os.kill(pid, signal.SIGKILL)
            raise
        self.pid, self._popen = pid, popen
        if self._killed:
            self.kill()

    def kill(self) -> None:
        """SIGKILL; one that is still to be started is killed as soon as it is."""
        self._killed = True
        if self.pidfd >= 0:
            try:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass  # reaped already

    def poll(self) -> int | None:
        """The exit code as subprocess gives it (negative: a signal), or None while the process runs or was not started."""
        if self._code is None and self.pid is not None:
            self._code = self._popen.poll() if self._popen is not None else _reap(self.pidfd, os.WNOHANG)
        return self._code

    def reap(self) -> int:
        """Wait for the end of a started process, and close its pidfd. Returns the exit code."""
        if self._code is None:
            self._code = self._popen.wait() if self._popen is not None else _reap(self.pidfd, 0)
        os.close(self.pidfd)
        self.pidfd = -1
        assert self._code is not None
        return self._code

    def release(self) -> None:
        """It is watched no more, and may go on."""
        os.close(self.pidfd)
        self.pidfd = -1
        if self._popen is not None:
            # not an error of this program that it runs on: subprocess would warn of it
            self._popen.returncode = 0

    def abandon(self) -> None:
        """It was not started and will not be."""
        if self.child_end is not None:
            self.child_end.close()


def _reap(pidfd: int, flags: int) -> int | None:
    try:
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | flags)
    except ChildProcessError:
        # a resident that an earlier supervisor has started
        return UNKNOWN if select.select([pidfd], [], [], 0)[0] else None
    if ended is None:
        return None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def describe_exit(code: int) -> str:
    """ "exit code 7", "killed by SIGSEGV", or how a process has ended that another one started."""
    if code == UNKNOWN:
        return "an earlier daemon had started it: why is not known"
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
