"""The lock all plugins on a machine share: flock on /tmp/mvnc.mutex, a path built into the plugin.

The plugin holds the lock for up to 10 s while it boots, closes or loads a stick. It also takes the lock for every temperature, and
holds the GIL while it waits. A thread of ours therefore waits for the lock first, without the GIL. Runs on CPython 3.9.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager
from typing import Iterator, Optional

from ncs_cluster.errors import StickError

PATH = "/tmp/mvnc.mutex"


def prepare() -> None:
    """Create the file writable for all users, or check that it can be used. Raises StickError; the plugin would abort instead."""
    try:
        fd = os.open(PATH, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        detail = f"{PATH}, the lock of the vendor's plugin, cannot be used ({error.strerror}): another user made it, remove it"
        raise StickError("open", detail) from error
    try:
        # the plugin creates it with mode 0640, and aborts where another user has done so
        found = os.fstat(fd)
        if found.st_uid == os.geteuid() and stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            os.fchmod(fd, 0o666)
    finally:
        os.close(fd)


@contextmanager
def held() -> Iterator[None]:
    """Wait for the lock without the GIL; inside the block the plugin gets the lock at once.

    A flock belongs to the open file description: taken on the plugin's own descriptor, it is the plugin's.
    """
    fd = _plugins_own()
    if fd is None:
        yield
        return
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def _plugins_own() -> Optional[int]:
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}") == PATH:
                return int(name)
        except OSError:
            continue  # the descriptor of the directory listing itself
    return None
