"""The folder of a job's outputs: one command at a time works in it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ncs_cluster.errors import ConfigError
from ncs_cluster.jobs.lock import hold


def folder_named(text: str) -> str:
    """The value of an option --out. Raises ArgumentTypeError for an empty one, as of an unset variable: it would mean the working
    folder."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty; name a folder")
    return text


def make(folder: Path) -> None:
    """With those above it, where it is not there. Raises ConfigError, OSError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(f"{folder}: a file is in its place; choose another folder") from error
    except PermissionError as error:
        raise ConfigError(
            f"{folder}: this user may not make it; choose another folder, or change the owner of its place"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}: this user may not write there; choose another folder, or change its owner")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, and hold it. Raises ConfigError, OSError."""
    make(folder)
    try:
        fd = hold(os.fspath(folder))
    except BlockingIOError as error:
        raise ConfigError(f"{folder}: another command works in it; wait for its end or choose another folder") from error
    try:
        yield
    finally:
        os.close(fd)
