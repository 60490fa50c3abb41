"""The lock of a job's folder: one program at a time works in it. It ends with the process that holds it. Runs on CPython 3.9."""

from __future__ import annotations

import fcntl
import os


def hold(folder: str) -> int:
    """A descriptor that holds the lock until it is closed. Raises BlockingIOError while another program holds it, OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd
