"""The results of a job while it runs: rows appended to parts, which survive kills and power cuts. Runs on CPython 3.9.

A part is a run of rows with rising frame numbers, see _merge. A row whose frame is not newer than the one before, as in a retry,
begins a part; so does the first row of a shard. The resume token is the newest part, its length and the ends of its files: what
was written behind them is cut off when the token is opened. Parts lie in a folder of their own, `.parts/NAME` beside the results.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from typing import Dict, Iterator, List, Sequence

import msgspec
from msgspec import Struct

from ncs_cluster.sinks._final import sync_path
from ncs_cluster.sinks._lock import lock
from ncs_cluster.sinks._merge import INDEX, PartFile, Shard

PARTS = ".parts"
_DONE = ".done"


class Token(Struct, forbid_unknown_fields=True):
    """The state after a row."""

    part: int = -1
    """The newest part; -1 before the first row."""
    rows: int = 0
    """Rows in it."""
    frame: int = -1
    """The frame of its last row."""
    ends: List[int] = []
    """Bytes: the end of each column in it."""


class Parts:
    """The parts of one job. `heads`: the bytes with which the file of each column begins."""

    def __init__(self, path: str, columns: Sequence[str], heads: Sequence[bytes], shard_size: int) -> None:
        folder, name = os.path.split(path)
        self.folder = os.path.join(folder, PARTS, name)
        self._columns, self._heads, self._shard_size = tuple(columns), tuple(heads), shard_size
        self._entry = self._part(0).entry
        self._lock_fd = -1
        self._fds: List[int] = []
        """Of the newest part: its columns, then its index. Empty where the next row begins a part."""
        self._at = Token()
        self._folder_is_new = False

    # -- one life

    def exist(self) -> bool:
        return os.path.isdir(self.folder)

    def begin(self) -> bytes:
        """Without rows; those of an earlier job are removed. Returns the token. Raises OSError."""
        self.close()
        shutil.rmtree(self.folder + _DONE, ignore_errors=True)
        # not their parents: a folder whose disk is not mounted is missing
        for folder in (os.path.dirname(self.folder), self.folder):
            try:
                os.mkdir(folder)
            except FileExistsError:
                pass
        self._take()
        for name in os.listdir(self.folder):
            os.unlink(os.path.join(self.folder, name))
        for folder in (self.folder, os.path.dirname(self.folder), os.path.dirname(os.path.dirname(self.folder))):
            sync_path(folder)
        self._at = Token()
        return self.token()

    def resume(self, token: bytes) -> bytes:
        """With the rows that the token tells; later ones are removed. Returns the token. Raises OSError."""
        self.close()
        try:
            at = msgspec.json.decode(token, type=Token)
        except msgspec.DecodeError as error:
            raise OSError(errno.EINVAL, "its resume token is damaged; begin the job anew") from error
        self._take()
        for name in os.listdir(self.folder):
            number = name.partition(".")[0]
            if not number.isdigit() or int(number) > at.part:
                os.unlink(os.path.join(self.folder, name))
        self._at = at
        if at.part >= 0:
            self._cut()
        return self.token()

    def append(self, frame: int, failed: bool, pieces: Sequence[bytes]) -> bytes:
        """One row, whole or not at all. Returns the token after it. Raises OSError."""
        at = self._at
        if not self._fds or (at.rows and (frame <= at.frame or self._shard(frame) != self._shard(at.frame))):
            self._next_part()
            at = self._at
        ends = [end + len(piece) for end, piece in zip(at.ends, pieces)]
        entry = self._entry.pack(2 * frame + failed, *ends)
        try:
            for fd, piece in zip(self._fds, (*pieces, entry)):
                if piece:
                    _write(fd, piece)
        except OSError:
            self._take_back()
            raise
        self._at = Token(at.part, at.rows + 1, frame, ends)
        return self.token()

    def sync(self) -> None:
        """Rows written so far survive a power cut. Raises OSError."""
        for fd in self._fds:
            os.fsync(fd)
        if self._folder_is_new:
            sync_path(self.folder)
            self._folder_is_new = False

    def settle(self) -> None:
        """Sync; the next row begins a part. Raises OSError."""
        self.sync()
        self._close_part()

    def remove(self) -> None:
        """Remove all parts: from one moment to the next there are none. Raises OSError."""
        self.close()
        done = self.folder + _DONE
        shutil.rmtree(done, ignore_errors=True)
        os.rename(self.folder, done)
        # else a power cut could leave some of the files under the old name
        sync_path(os.path.dirname(self.folder))
        shutil.rmtree(done)
        try:
            os.rmdir(os.path.dirname(self.folder))
        except OSError as error:
            # parts of another place of results, which may remove its own at this moment
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise

    def close(self) -> None:
        self._close_part()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
        self._lock_fd = -1

    # -- what is there

    def token(self) -> bytes:
        return msgspec.json.encode(self._at)

    def parts(self) -> List[PartFile]:
        """Parts that have rows, in the order in which they were begun. Raises OSError."""
        numbers = sorted(int(name.partition(".")[0]) for name in os.listdir(self.folder) if name.endswith(f".{INDEX}"))
        parts = [self._part(number) for number in numbers if number <= self._at.part]
        return [part for part in parts if part.length()]

    def shards(self) -> Iterator[Shard]:
        """All shards in order; one without parts where there are no rows. Raises OSError."""
        parts = self.parts()
        if not self._shard_size:
            yield Shard(None, parts)
            return
        found: Dict[int, List[PartFile]] = {}
        for part in parts:
            found.setdefault(self._shard(part.at(0)[0] >> 1), []).append(part)
        for number in sorted(found) or [0]:
            yield Shard(number, found.get(number, []))

    def column(self, name: str) -> Iterator[bytes]:
        """What a small column holds, part by part. Raises OSError."""
        which = self._columns.index(name)
        for part in self.parts():
            begin = len(self._heads[which])
            with open(part.path(name), "rb") as file:
                file.seek(begin)
                yield file.read(part.at(part.length() - 1)[1 + which] - begin)

    # -- files

    def _part(self, number: int) -> PartFile:
        return PartFile(self.folder, number, self._columns, self._heads)

    def _shard(self, frame: int) -> int:
        return frame // self._shard_size if self._shard_size else 0

    def _take(self) -> None:
        self._lock_fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            lock(self._lock_fd)
        except OSError:
            self.close()
            raise

    def _cut(self) -> None:
        """Remove what stands behind the token in the newest part, and go on with it."""
        part, at = self._part(self._at.part), self._at
        wanted = [*at.ends, at.rows * part.entry.size]
        if len(wanted) != len(self._columns) + 1:
            raise OSError(errno.EINVAL, "its resume token is another form's; begin the job anew")
        paths = [part.path(name) for name in (*self._columns, INDEX)]
        found = [os.stat(path, follow_symlinks=False) for path in paths]
        if any(each.st_size < size or not stat.S_ISREG(each.st_mode) for each, size in zip(found, wanted)):
            raise OSError(errno.EIO, f"part {at.part} in {self.folder} is shorter than its token says; begin the job anew")
        if any(each.st_nlink > 1 for each in found):
            # a column has its final name too: it must not change, and the index says which rows count
            os.truncate(paths[-1], wanted[-1])
            return
        for path, size in zip(paths, wanted):
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            self._fds.append(fd)
            os.ftruncate(fd, size)

    def _next_part(self) -> None:
        for fd in self._fds:
            os.fsync(fd)
        self._close_part()
        number = self._at.part + 1
        part = self._part(number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            for name, head in zip((*self._columns, INDEX), (*self._heads, b"")):
                fd = os.open(part.path(name), flags, 0o644)
                self._fds.append(fd)
                _write(fd, head)
        except OSError:
            self._close_part()
            raise
        self._folder_is_new = True
        self._at = Token(number, 0, -1, [len(head) for head in self._heads])

    def _take_back(self) -> None:
        """Remove a row that was written in part."""
        for fd, size in zip(self._fds, (*self._at.ends, self._at.rows * self._entry.size)):
            os.ftruncate(fd, size)

    def _close_part(self) -> None:
        fds, self._fds = self._fds, []
        for fd in fds:
            os.close(fd)


def _write(fd: int, text: bytes) -> None:
    """All of it. A write that does not take all fails, as a disk that fills up makes it, when the rest is tried. Raises OSError."""
    done = os.write(fd, text)
    while done < len(text):
        done += os.write(fd, text[done:])
