"""A file of lines, or standard output. A crash of the writing process leaves whole lines only. Runs on CPython 3.9.

A line is complete with its line end. A partial last line is cut off at the next opening, so that no reader gets half a line
followed by another; a file whose last line is not a result is refused, not cut, and so is a file that another daemon writes. A file
that was moved or removed is created again under its name. Standard output cannot be read back: a killed sink may repeat records
there that were not acknowledged. A reader that pauses blocks no write for longer than READER_S.
"""

from __future__ import annotations

import errno
import json
import os
import select
import stat
import time
from typing import NamedTuple, Optional

from ncs_cluster.sinks._lock import lock

STDOUT = "-"
_BLOCK = 1 << 20
LONGEST_TAIL = 2 << 20
"""Bytes; no line is longer: a message has at most 200,000 bytes, and JSON uses at most six bytes for one."""
MOST_ZEROS = 64 << 20
READER_S = 1.0
"""Longest wait of a write for its reader: well below Limits.silent_s, after which a child is killed."""
LOOK_S = 1.0
"""How often is checked whether the file still has its name."""


class Found(NamedTuple):
    """The content of an opened file."""

    written: int
    """Whole lines after the given offset; 0 without an offset."""
    offset: int
    """Bytes: where the next line begins."""


class LineFile:
    """One open file, or standard output."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._offset = 0
        """Where the present line begins; read again before each line, since other processes may cut the file or append to it."""
        self._look_s = 0.0
        self._regular = False
        self._seekable = False
        """It can be read back and cut."""
        self._done = 0
        """Bytes of the present line written before a write failed."""

    def open(self, offset: Optional[int]) -> Found:
        """Raises OSError when the file cannot be opened for appending, or its content is not results."""
        if self._path == STDOUT:
            self._fd = 1
        else:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        self._seekable = self._regular and self._path != STDOUT
        if not self._seekable:
            self._offset = offset or 0
            return Found(0, self._offset)
        try:
            return self._found(offset)
        except OSError:
            # a refused file must not be written to later
            self.close()
            raise

    def _found(self, offset: Optional[int]) -> Found:
        lock(self._fd)
        size = os.fstat(self._fd).st_size
        end = self._end_of_text(size)
        whole = self._end_of_last_line(end)
        if whole < end and offset is None and self._is_whole_but_for_its_end(whole, end):
            os.ftruncate(self._fd, end)
            os.write(self._fd, b"\n")
            whole = end + 1
        elif whole < size:
            os.ftruncate(self._fd, whole)
        self._offset = whole
        written = 0 if offset is None or offset > whole else self._count_lines(offset, whole)
        return Found(written, whole)

    def follow(self) -> Optional[int]:
        """The offset in a new file once the open one has lost its name, else None. Checked once per second."""
        now_s = time.monotonic()
        if self._fd >= 0:
            if not self._seekable or now_s < self._look_s:
                return None
            self._look_s = now_s + LOOK_S
            if self._has_its_name():
                return None
            self.close()
        self._done = 0
        return self.open(None).offset

    def write(self, text: bytes) -> int:
        """Append `text` as a line; returns the offset after it. After an OSError call it again with the same text: a partial line
        is cut off, or completed where it cannot be cut."""
        line = text + b"\n"
        if self._seekable:
            self._take_back()
            self._offset = os.fstat(self._fd).st_size
        try:
            while self._done < len(line):
                self._done += os.write(self._fd, self._piece(line))
        except OSError:
            if self._seekable:
                self._take_back()
            raise
        self._done = 0
        self._offset += len(line)
        return self._offset

    def close(self) -> None:
        if self._fd > 2:
            os.close(self._fd)
        self._fd = -1

    def _take_back(self) -> None:
        """Cut off a partial line, if it is still at the end of the file."""
        if self._done and os.fstat(self._fd).st_size == self._offset + self._done:
            os.ftruncate(self._fd, self._offset)
        self._done = 0

    def _has_its_name(self) -> bool:
        ours = os.fstat(self._fd)
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _piece(self, line: bytes) -> bytes:
        """The bytes to write now. To a pipe at most PIPE_BUF, which a writable pipe takes without blocking."""
        if self._regular:
            return line[self._done :]
        if not select.select([], [self._fd], [], READER_S)[1]:
            raise BlockingIOError(errno.EAGAIN, "its reader has paused")
        return line[self._done : self._done + select.PIPE_BUF]

    def _is_whole_but_for_its_end(self, begin: int, size: int) -> bool:
        """Whether the last line, which has no line end, is a whole JSON object (True) or a partial one (False). Raises OSError when
        it is neither, so that a file named by mistake is not damaged."""
        tail = os.pread(self._fd, min(LONGEST_TAIL + 1, size - begin), begin)
        if size - begin > LONGEST_TAIL or tail[:1] not in (b"{", b""):
            raise OSError(errno.EINVAL, "its last line is not a result; choose another file")
        try:
            json.loads(tail)
        except ValueError:
            return False
        return True

    def _end_of_text(self, size: int) -> int:
        """Offset of the zero bytes that a power cut may leave at the end of a file. Raises OSError for more than MOST_ZEROS."""
        end = size
        while end > 0:
            begin = max(0, end - _BLOCK)
            words = os.pread(self._fd, end - begin, begin).rstrip(b"\0")
            end = begin + len(words)
            if words:
                break
            if size - end > MOST_ZEROS:
                raise OSError(errno.EINVAL, "it ends in zero bytes, which are not results; choose another file")
        return end

    def _end_of_last_line(self, size: int) -> int:
        """Offset after the last line end of the file."""
        end = size
        while end > 0:
            begin = max(0, end - _BLOCK)
            found = os.pread(self._fd, end - begin, begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
        return 0

    def _count_lines(self, begin: int, end: int) -> int:
        lines = 0
        while begin < end:
            block = os.pread(self._fd, min(_BLOCK, end - begin), begin)
            lines += block.count(b"\n")
            begin += len(block)
        return lines
