"""Anonymous shared memory of a fixed size: a memfd sealed against shrinking and growing, so that no reader gets SIGBUS.

It has no name: the kernel frees it when the last process that holds it has ended. Runs on CPython 3.9.
"""

from __future__ import annotations

import fcntl
import mmap
import os

# linux/fcntl.h; the fcntl module has these names only where CPython was built against new headers
_F_ADD_SEALS = 1033
_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW = 1, 2, 4


def create(name: str, size: int) -> int:
    """A sealed memfd of `size` bytes; the caller owns the descriptor (close-on-exec)."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, _F_ADD_SEALS, _SEAL_SEAL | _SEAL_SHRINK | _SEAL_GROW)
    return fd


def attach(fd: int, size: int, *, writable: bool) -> mmap.mmap:
    """Map `size` bytes. Raises ValueError when the memory is smaller. The caller keeps the descriptor."""
    if os.fstat(fd).st_size < size:
        raise ValueError(f"shared memory of {os.fstat(fd).st_size} bytes is smaller than the {size} bytes of its layout")
    return mmap.mmap(fd, size, prot=mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0))
