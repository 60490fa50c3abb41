"""A file that a command writes whole or not at all, and that replaces another one only where that is wanted."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from ncs_cluster.errors import NcsClusterError


class NotWritten(NcsClusterError):
    """The file is there already, or cannot be written; the message is one line."""


def check(path: Path, *, force: bool) -> None:
    """Raises NotWritten where `write` would, as far as that is known now."""
    if path.is_dir():
        raise NotWritten(f"{str(path)!a} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise NotWritten(f"{str(path.parent)!a} is not a folder: make it first")
    if not force and os.path.lexists(path):
        raise _exists(path)


def write(path: Path, data: bytes, *, force: bool, mode: int = 0o666) -> None:
    """Write it, with the permissions `mode` less the umask. Raises NotWritten."""
    try:
        handle, name = tempfile.mkstemp(prefix=".ncsctl-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), mode & ~_umask())
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if force:
                os.replace(name, path)
            else:
                _link(name, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)
    except OSError as error:
        raise NotWritten(f"{str(path)!a} cannot be written: {error.strerror or error}") from error


def _link(name: str, path: Path) -> None:
    """Give the finished file its name; a file of that name that has come meanwhile is not replaced."""
    try:
        os.link(name, path)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError:
        # a file system without links, as on many memory cards
        if os.path.lexists(path):
            raise _exists(path) from None
        os.rename(name, path)


def _exists(path: Path) -> NotWritten:
    return NotWritten(f"{str(path)!a} is there already: choose another name, or --force")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
