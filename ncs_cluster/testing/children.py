"""Start a real child process at the end of a real channel, as the supervisor does, or fork it from this process.

PR_SET_PDEATHSIG fires when the *thread* that started the child ends, so start children from a thread that stays.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, Union

from ncs_cluster.ipc.channel import Channel, pair
from ncs_cluster.testing.forked import Forked

M = TypeVar("M")

WAIT_S = 60.0
"""Generous: a machine that runs other tests may stand still for seconds."""


class Child:
    """A running child and the channel to it."""

    def __init__(self, process: Union[subprocess.Popen[bytes], Forked], channel: Channel[Any]) -> None:
        self.process, self.channel = process, channel
        self.received: list[Any] = []
        """Every message received so far, in order."""

    def send(self, message: Any, *fds: int) -> None:
        self.channel.send(message, *fds)

    def receive(self, timeout_s: float = WAIT_S) -> Any:
        """The next message. Raises TimeoutError, and EOFError when the child has closed its end."""
        if not select.select([self.channel.fileno()], [], [], max(0.0, timeout_s))[0]:
            raise TimeoutError(f"no message for {timeout_s} s; the last ones: {self.received[-5:]}")
        received = self.channel.receive()
        assert received is not None
        self.received.append(received.message)
        return received.message

    def expect(self, kind: type[M], timeout_s: float = WAIT_S) -> M:
        """The next message of one kind; messages of other kinds before it are kept in `received`."""
        until_s = time.monotonic() + timeout_s
        while True:
            message = self.receive(until_s - time.monotonic())
            if isinstance(message, kind):
                return message

    def drain(self) -> list[Any]:
        """Receive all messages until the child has closed its end."""
        before = len(self.received)
        try:
            while True:
                self.receive()
        except EOFError:
            return self.received[before:]


def start_child(
    module: str,
    incoming: Any,
    *,
    python: str = sys.executable,
    env: Mapping[str, str] | None = None,
    log_level: str = "warning",
    stdout: int | None = None,
    options: Sequence[str] = (),
) -> Child:
    """Start `python -m module`; `incoming`: the union of its messages. `stdout`: a descriptor. The caller kills it."""
    ours, theirs = pair()
    with theirs:
        command = [python, "-m", module, "--channel", str(theirs.fileno()), "--parent", str(os.getpid()), "--log-level", log_level]
        process = subprocess.Popen(
            [*command, *options],
            pass_fds=[theirs.fileno()],
            env=dict(env) if env is not None else None,
            stdout=stdout,
        )
    return Child(process, Channel(ours, incoming))


@contextmanager
def running(module: str, incoming: Any, **settings: Any) -> Iterator[Child]:
    """`start_child`; the child is killed when the block is left."""
    with _killed(start_child(module, incoming, **settings)) as child:
        yield child


@contextmanager
def forked(main: Callable[[], object], incoming: Any) -> Iterator[Child]:
    """As `running`, with the `main` of a module that this process has imported; its standard streams are those of this process."""
    ours, theirs = pair()
    with theirs:
        options = ["--channel", str(theirs.fileno()), "--parent", str(os.getpid()), "--log-level", "warning"]
        process = Forked(main, [main.__module__, *options], kept=[theirs.fileno()])
    with _killed(Child(process, Channel(ours, incoming))) as child:
        yield child


@contextmanager
def _killed(child: Child) -> Iterator[Child]:
    try:
        yield child
    finally:
        child.process.kill()
        child.process.wait()
        child.channel.close()
