"""What a daemon does before it listens, for those who look for it: a locked file in its runtime directory.

The kernel releases the lock when the process ends, however it ends; a file that nobody has locked says nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

STARTING = "starting"
"""Its name in the runtime directory."""
LONGEST = 1000


@contextmanager
def told(runtime_dir: str, text: str) -> Iterator[None]:
    """Others may read `text` while the block runs. Where the directory cannot be written, nobody reads it."""
    path, fd, made = os.path.join(runtime_dir, STARTING), -1, False
    try:
        with suppress(OSError):
            with suppress(FileExistsError):
                os.mkdir(runtime_dir, 0o750)
                made = True
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
            # another daemon may start in the same directory: the later one is refused when it claims that
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, text.encode(errors="replace")[:LONGEST], 0)
        yield
    finally:
        if fd >= 0:
            with suppress(OSError):
                os.unlink(path)
            os.close(fd)
        if made:
            with suppress(OSError):
                os.rmdir(runtime_dir)


def read(runtime_dir: str) -> str | None:
    """The text of a daemon that starts now; None where there is none."""
    try:
        fd = os.open(os.path.join(runtime_dir, STARTING), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(fd, LONGEST).decode(errors="replace")
    except OSError:
        return None
    finally:
        os.close(fd)
    return None
