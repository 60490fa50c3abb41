"""A file whose writes do not fail for the library that makes them. Runs on CPython 3.9.

HDF5 ends the process with a segmentation fault when it closes a file on a full disk. So the first error is kept here, and what is
written after it goes into memory: whoever writes the file asks for `error` now and then, and closes the file soon.
"""

from __future__ import annotations

import io
import os
from typing import List, Optional, Tuple, Union

_Buffer = Union[bytes, bytearray, memoryview]


class Shielded(io.RawIOBase):
    """A new file, for reading and writing."""

    _fd = -1

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        super().__init__()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        self._position = self._size = 0
        self._kept: List[Tuple[int, bytes]] = []
        """Offset and bytes of each write after the error."""
        self.error: Optional[OSError] = None

    def check(self) -> None:
        """Raises the first error."""
        if self.error is not None:
            raise self.error

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, into: bytearray) -> int:  # type: ignore[override]
        view = memoryview(into).cast("B")
        begin = self._position
        count = max(0, min(len(view), self._size - begin))
        view[:count] = bytes(count)
        done = 0
        while done < count and (some := os.pread(self._fd, count - done, begin + done)):
            view[done : done + len(some)] = some
            done += len(some)
        for offset, text in self._kept:
            first, last = max(offset, begin), min(offset + len(text), begin + count)
            if first < last:
                view[first - begin : last - begin] = text[first - offset : last - offset]
        self._position += count
        return count

    def write(self, text: _Buffer) -> int:  # type: ignore[override]
        view = memoryview(text).cast("B")
        done = 0
        try:
            while self.error is None and done < len(view):
                done += os.pwrite(self._fd, view[done:], self._position + done)
        except OSError as error:
            self.error = error
        if self.error is not None:
            self._kept.append((self._position, bytes(view)))
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def truncate(self, size: Optional[int] = None) -> int:
        self._size = self._position if size is None else size
        try:
            if self.error is None:
                os.ftruncate(self._fd, self._size)
        except OSError as error:
            self.error = error
        return self._size

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        super().close()
