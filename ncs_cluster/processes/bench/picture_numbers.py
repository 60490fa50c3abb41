"""Which picture is next, for threads and processes alike: a file of numbers whose read offset all of them share.

Whoever is free takes the next number, and each is taken once: a lock of the file keeps other processes out, one of the process its
other threads. Runs on CPython 3.9.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from typing import Iterator

from ncs_cluster import file_descriptors

_NUMBER = struct.Struct("<I")
_taking = threading.Lock()


def create(count: int) -> int:
    """The descriptor of the numbers from 0 to `count` - 1; the caller closes it."""
    fd = os.memfd_create("ncs-numbers", os.MFD_CLOEXEC)
    try:
        data = memoryview(b"".join(map(_NUMBER.pack, range(count))))
        while data:
            data = data[os.write(fd, data) :]
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError:
        file_descriptors.close([fd])
        raise
    return fd


def taken(fd: int) -> Iterator[int]:
    """Numbers of pictures that no other thread or process has taken, until all are taken."""
    while data := _read(fd):
        yield _NUMBER.unpack(data)[0]


def _read(fd: int) -> bytes:
    with _taking:
        # not flock(2): its locks belong to the open file, which all programs share
        fcntl.lockf(fd, fcntl.LOCK_EX)
        try:
            return os.read(fd, _NUMBER.size)
        finally:
            fcntl.lockf(fd, fcntl.LOCK_UN)


def until(end_s: float, first: int, step: int) -> Iterator[int]:
    """`first`, `first` + `step`, ... until time.monotonic() is `end_s`."""
    number = first
    while time.monotonic() < end_s:
        yield number
        number += step
