"""The lock on a place of results: one process writes to it. Runs on CPython 3.9."""

from __future__ import annotations

import errno
import fcntl
import time

OTHER_S, LOOK_AGAIN_S = 2.0, 0.05
"""How long the lock of another process is waited for (a killed daemon's sink exits after a moment), and how often it is tried."""


def lock(fd: int) -> None:
    """Lock the open file or folder until it is closed. Raises OSError (EBUSY) while another process holds the lock."""
    until_s = time.monotonic() + OTHER_S
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until_s:
                raise OSError(errno.EBUSY, "another daemon writes to it; choose another file") from error
            time.sleep(LOOK_AGAIN_S)
        except OSError as error:
            # a file system without locks
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
                raise
            return None
