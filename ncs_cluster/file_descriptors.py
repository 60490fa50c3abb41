"""File descriptors that come with a message over AF_UNIX (SCM_RIGHTS, unix(7)). Runs on CPython 3.9."""

from __future__ import annotations

import array
import os
import socket
from typing import Any, List


def received(ancillary: Any) -> List[int]:
    """The descriptors in the ancillary data of `recvmsg`, which the caller owns now."""
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def close(fds: List[int]) -> None:
    for fd in fds:
        os.close(fd)
