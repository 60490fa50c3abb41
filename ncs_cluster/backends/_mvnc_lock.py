"""The one lock of all the plugin's sticks on a machine: flock on /tmp/mvnc.mutex, whose name is built into the plugin.

The plugin holds it while it boots, closes or fills a stick, for up to 10 s, and takes it for every temperature, waiting as long as
it takes with Python stopped. So it is waited for here first, in a thread that stops nobody. Runs on CPython 3.9.
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
    """Make the file for everybody, or see that it can be used. Raises StickError: the plugin would end the process instead."""
    try:
        fd = os.open(PATH, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        detail = f"{PATH}, the lock of the vendor's plugin, cannot be used ({error.strerror}): another user made it, remove it"
        raise StickError("open", detail) from error
    try:
        # the plugin's own would be 0640, and the next user's program would end with it
        found = os.fstat(fd)
        if found.st_uid == os.geteuid() and stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            os.fchmod(fd, 0o666)
    finally:
        os.close(fd)


@contextmanager
def held() -> Iterator[None]:
    """Waits for the lock while other threads go on; for the block's length the plugin gets it without waiting.

    A flock belongs to the open file, not to the process: taken on the plugin's own descriptor, it is the plugin's.
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
            continue  # the descriptor of this very listing
    return None
