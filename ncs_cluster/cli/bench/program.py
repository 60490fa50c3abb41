"""A program that is measured: a process of its own session, and the channel to it."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ncs_cluster.errors import ProtocolError, StickError
from ncs_cluster.ipc.channel import Channel, pair
from ncs_cluster.messages.bench import FromBench, Ready
from ncs_cluster.messages.child import Failed, Hello, Stop

READY_S = 300.0
END_S = 15.0
"""Longest wait for a program that was told to stop; then it is killed."""


class Program:
    """A started process and the channel to it."""

    def __init__(self, module: str, python: str, env: Mapping[str, str], log: Path, incoming: Any = FromBench) -> None:
        """`incoming`: the union of its messages. Raises StickError where it cannot be started."""
        ours, theirs = pair()
        with theirs, log.open("ab") as output:
            command = [python, "-m", module, "--channel", str(theirs.fileno()), "--parent", str(os.getpid())]
            try:
                self._process = subprocess.Popen(
                    [*command, "--log-level", "warning"],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=dict(env),
                    # a terminal's Ctrl-C is for the command alone
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise StickError("open", f"{python} cannot be started: {error.strerror}") from error
        self.channel: Channel[Any] = Channel(ours, incoming)
        self._log = log

    def send(self, message: object, *fds: int) -> None:
        try:
            self.channel.send(message, *fds)
        except BrokenPipeError as error:
            self.receive()
            raise StickError("gone", "the program has closed its channel") from error

    def receive(self) -> Any:
        """The next message but Hello, for which None is returned. Raises StickError where the program fails."""
        try:
            received = self.channel.receive()
        except (EOFError, ProtocolError) as error:
            raise StickError("gone", f"the program has ended unexpectedly: {self._last_line()}") from error
        assert received is not None
        if isinstance(received.message, Failed):
            raise StickError(received.message.reason, received.message.detail)
        return None if isinstance(received.message, Hello) else received.message

    def wait_ready(self) -> None:
        """Raises StickError also where its devices do not open within READY_S."""
        until_s = time.monotonic() + READY_S
        while select.select([self.channel.fileno()], [], [], max(0.0, until_s - time.monotonic()))[0]:
            if isinstance(self.receive(), Ready):
                return
        raise StickError("hang", f"its devices are not open after {READY_S:.0f} s")

    def stop(self) -> None:
        """Wait until its devices are closed."""
        try:
            self.channel.send(Stop())
            self._process.wait(END_S)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            pass

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self.channel.close()

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").split("\n") if self._log.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it has left no message")
