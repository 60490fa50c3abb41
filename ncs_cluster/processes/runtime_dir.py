"""The daemon's runtime directory and its lock: one daemon per directory.

The kernel releases the lock when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from ncs_cluster.errors import ConfigError

LOCK = "daemon.lock"
_OTHERS_WRITE = stat.S_IWOTH
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Not blocking: a FIFO under the lock's name is opened, and refused."""


def claim(folder: Path) -> int:
    """Create and lock the directory. Returns the descriptor of the lock, which must stay open. Raises ConfigError."""
    another = "choose another folder with --runtime-dir"
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.getuid(), 0):
            raise ConfigError(f"runtime directory {folder} belongs to another user; {another}")
        if found.st_mode & _OTHERS_WRITE:
            raise ConfigError(f"runtime directory {folder} can be written by everybody; chmod o-w {folder}, or {another}")
        lock = os.open(folder / LOCK, _FLAGS, 0o640)
    except OSError as error:
        raise ConfigError(f"runtime directory {folder} cannot be used ({error.strerror}); {another}") from error
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        os.close(lock)
        raise ConfigError(f"{folder / LOCK} is not a file; remove it, or {another}")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.read(lock, 20).decode(errors="replace").strip() or "?"
        os.close(lock)
        raise ConfigError(f"another ncs-clusterd (pid {pid}) uses {folder}; stop it, or {another}") from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock
