"""The folder of a job's outputs: one command at a time works in it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ncs_cluster.errors import ConfigError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, and hold it. Raises ConfigError."""
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise ConfigError(f"{folder}: another command works in it; wait for its end or choose another folder") from error
    try:
        yield
    finally:
        os.close(fd)
