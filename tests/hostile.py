"""`python -m tests.hostile RUNTIME_DIR KIND...`: careless and hostile clients of the control socket, one thread for each KIND.

unread-status, unread-events: ask as fast as the socket takes it, read nothing. loop: status in a loop without a pause. reconnect:
a new connection for each status. silent: connects and says nothing. garbage: random bytes. They run until the process is killed,
and connect again when they are disconnected.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from ncs_cluster.ipc.control_socket import CONTROL_SOCKET
from ncs_cluster.messages import AskEvents, AskStatus
from tests.tied import TIED

KINDS = ("unread-status", "unread-events", "loop", "reconnect", "silent", "garbage")
SIXTEEN = (*["unread-status"] * 5, *["unread-events"] * 5, *["loop"] * 4, "reconnect", "garbage")
STATUS, EVENTS = msgspec.msgpack.encode(AskStatus()), msgspec.msgpack.encode(AskEvents(follow=True))
PAUSE_S = 0.01
"""Between two connections: the attacker shares the machine with what is measured."""


def act(kind: str, path: str) -> None:
    """One connection, until the daemon ends it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(60)
        sock.connect(path)
        if kind == "silent":
            sock.recv(1)
        elif kind == "garbage":
            sock.send(random.randbytes(random.choice((1, 50, 5000, 100_000))))
            sock.recv(1)
        elif kind == "reconnect":
            sock.send(STATUS)
            sock.recv(200_000)
        elif kind == "loop":
            while sock.send(STATUS) and sock.recv(200_000):
                pass
        else:
            while True:
                sock.send(STATUS if kind == "unread-status" else EVENTS)


def for_ever(kind: str, path: str) -> None:
    while True:
        with suppress(OSError):
            act(kind, path)
        time.sleep(PAUSE_S)


@contextmanager
def attack(runtime_dir: Path, kinds: tuple[str, ...] = SIXTEEN) -> Iterator[None]:
    """They are at work until the block is left."""
    command = [*TIED, sys.executable, "-m", "tests.hostile", os.fspath(runtime_dir), *kinds]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    for each in sys.argv[2:]:
        threading.Thread(target=for_ever, args=(each, os.path.join(sys.argv[1], CONTROL_SOCKET)), daemon=True).start()
    time.sleep(3600.0)
