"""Files get their final names when they are whole: written aside in the same folder, synced, renamed. Runs on CPython 3.9."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from contextlib import contextmanager
from typing import Iterator, Optional

MOST_SHARDS = 100_000
_NAME_BYTES = 200
"""Longest file name of results: the names of shards, drafts and companions, which are longer, fit into the 255 bytes of a name."""


def check_file(path: str, shard_size: int) -> None:
    """Judge the options that all forms have. Raises ValueError, one line."""
    if not os.path.isabs(path) or "\0" in path or not os.path.basename(path):
        raise ValueError("path must be the absolute path of a file")
    if len(os.fsencode(os.path.basename(path))) > _NAME_BYTES:
        raise ValueError(f"path must end in a name of at most {_NAME_BYTES} bytes")
    if shard_size < 0:
        raise ValueError("shard_size must be 0 or more frames")


def named(path: str, shard: Optional[int], ending: Optional[str] = None) -> str:
    """The name of a shard's file: results.csv, results-00007.csv. `ending` replaces ".csv" for a file that stands beside it."""
    root, own = os.path.splitext(path)
    return root + ("" if shard is None else f"-{shard:05d}") + (own if ending is None else ending)


@contextmanager
def aside(final: str) -> Iterator[str]:
    """The path of a draft, which is made by the body and gets its final name after it. Where the body fails, the draft is removed
    and the file of that name stays as it is. Raises OSError."""
    folder, name = os.path.split(final)
    draft = os.path.join(folder, f".{name}.tmp")
    remove(draft)
    try:
        yield draft
        sync_path(draft)
        os.rename(draft, final)
        # of two names of one file rename(2) leaves both
        remove(draft)
    except BaseException:
        remove(draft)
        raise
    sync_path(folder)


@contextmanager
def written_by_library() -> Iterator[None]:
    """Turns the errors of a library that writes a file, which may have many lines, into an OSError with one. Raises OSError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = getattr(error, "errno", None)
        text = os.strerror(number) if number else " ".join(str(error).split())
        raise OSError(number or errno.EIO, text) from error


def link_or_copy(path: str, draft: str, copy: bool) -> None:
    """A second name for the file `path`; its copy where `copy` is set or the file system has no links. Raises OSError."""
    if not copy:
        try:
            return os.link(path, draft)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EACCES):
                raise
    shutil.copyfile(path, draft)
    return None


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def sync_path(path: str) -> None:
    """A file or a folder survives a power cut. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        # file systems on a network may have no fsync for folders
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not os.path.isdir(path):
            raise
    finally:
        os.close(fd)


def sync_file_system(folder: str) -> None:
    """Everything written to the file system of `folder` survives a power cut: one call for many small files (syncfs(2)). Raises
    OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(fd):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(fd)
