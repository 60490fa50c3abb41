"""The folder of a job's outputs: one command at a time works in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ncs_cluster.errors import ConfigError
from ncs_cluster.jobs.lock import hold


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, and hold it. Raises ConfigError."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        fd = hold(os.fspath(folder))
    except BlockingIOError as error:
        raise ConfigError(f"{folder}: another command works in it; wait for its end or choose another folder") from error
    try:
        yield
    finally:
        os.close(fd)
