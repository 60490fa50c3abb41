"""What a video is made of while its job runs: the outcomes of its frames, and finished segments. Runs on CPython 3.9.

Frames of a film are cut into segments of FRAMES frames by their numbers alone, so a segment is the same whenever it is made. An
outcome is appended to its segment's file before the record is acknowledged; one that comes again takes the place of the first.

In the folder of an item, `N.records` are the outcomes of segment N, `N.nut` its video once it is whole, and `joined` says that the
film has its final form. `ITEM.done` takes the folder's place when no later pass can change the film.
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
import threading
from typing import Dict, List, NamedTuple, Optional, Set

import msgspec
from msgspec import Struct

from ncs_cluster.sinks._final import remove, sync_path
from ncs_cluster.sinks._lock import lock
from ncs_cluster.types import Outcome, Record

FRAMES = 250
"""Of one segment: what a kill costs at most. 10 s of a film of 25 fps."""
JOINED, DONE, VIDEO, RECORDS = "joined", ".done", ".nut", ".records"
_LENGTH = struct.Struct("<I")
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class Shown(Struct, frozen=True, array_like=True):
    """What is drawn on one frame."""

    frame: int
    """Its number in the film."""
    graph: str
    outcome: Outcome


class Key(NamedTuple):
    """Names a segment."""

    item: int
    number: int

    @property
    def first(self) -> int:
        """The number in the film of its first frame."""
        return self.number * FRAMES

    @property
    def behind(self) -> int:
        """The number of the first frame behind it."""
        return self.first + FRAMES


class Segment:
    """The outcomes of one segment, by frame. Shared by the thread that writes records and the one that draws them."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.shown: Dict[int, Shown] = {}
        self.changes = 0
        """How often an outcome has replaced another one."""
        self.closed = False
        """No further frame is expected."""


class Records:
    """The folder of all this. Its methods raise OSError."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.changed = threading.Condition()
        """Held to look at or change a segment's outcomes; notified when there is a new one."""
        self._lock_fd = self._fd = -1
        self._end = 0
        """Bytes of the open file that are whole outcomes."""
        self._segment: Optional[Segment] = None
        self._done: Set[int] = set()
        self._unsynced: Set[str] = set()

    def open(self, *, anew: bool) -> None:
        """`anew`: what another job has left is removed."""
        self.close()
        if not os.path.isdir(self.folder):
            if not anew:
                raise OSError(errno.ENOENT, f"{self.folder}, which holds what is done, is gone; begin the job anew")
            os.mkdir(self.folder)
        self._lock_fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            lock(self._lock_fd)
        except OSError:
            self.close()
            raise
        for name in os.listdir(self.folder) if anew else ():
            path = os.path.join(self.folder, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        self._done = {int(name[: -len(DONE)]) for name in os.listdir(self.folder) if name.endswith(DONE)}

    def put(self, item: int, record: Record) -> Optional[Segment]:
        """Keep the outcome of a frame of a film. Returns its segment; None where the film has its final form with it."""
        assert record.item_frame is not None
        if item in self._done:
            return None
        frame = record.item_frame
        shown = Shown(frame, record.graph, msgspec.structs.replace(record.outcome, features=None))
        segment = self._opened(Key(item, frame // FRAMES))
        before = segment.shown.get(frame)
        if before == shown:
            return None if self.is_joined(item) else segment
        if before is not None or os.path.exists(self.video(segment.key)) or self.is_joined(item):
            # a video of other outcomes, or, after a power cut, one newer than those on the disk
            with self.changed:
                segment.changes += 1
                for path in (self.video(segment.key), self._path(item, JOINED)):
                    remove(path)
        text = msgspec.msgpack.encode(shown)
        self._append(_LENGTH.pack(len(text)) + text)
        with self.changed:
            segment.shown[frame] = shown
            self.changed.notify_all()
        return segment

    def sync(self) -> None:
        """Outcomes kept so far survive a power cut."""
        if self._fd >= 0:
            os.fsync(self._fd)
        while self._unsynced:
            path = next(iter(self._unsynced))
            if os.path.isdir(path):
                # that of a film is gone when it is done
                sync_path(path)
            self._unsynced.discard(path)

    def close(self) -> None:
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1
        self._segment = None

    # -- what is there

    def items(self) -> List[int]:
        """Films that are not done, in order."""
        return sorted(int(name) for name in os.listdir(self.folder) if name.isdigit())

    def films(self) -> int:
        """How many there are, done or not."""
        return len(self._done.union(self.items()))

    def segments(self, item: int) -> List[Key]:
        """In order. A gap, which a job does not leave, is filled by segments without outcomes."""
        found = [int(name[: -len(RECORDS)]) for name in os.listdir(self._path(item)) if name.endswith(RECORDS)]
        return [Key(item, number) for number in range(max(found, default=-1) + 1)]

    def load(self, key: Key) -> Segment:
        """A segment as it is on the disk."""
        segment = Segment(key)
        _read(self._path(key.item, f"{key.number}{RECORDS}"), segment)
        return segment

    def video(self, key: Key) -> str:
        """Where its video is, or will be."""
        return self._path(key.item, f"{key.number}{VIDEO}")

    # -- the end of a film

    def is_joined(self, item: int) -> bool:
        return os.path.exists(self._path(item, JOINED))

    def joined(self, item: int, *, failed: bool) -> None:
        """The film has its final form. With frames that failed their outcomes stay, for a retry."""
        folder = self._path(item)
        if not failed:
            _touch(os.path.join(self.folder, f"{item}{DONE}"))
            self._done.add(item)
            shutil.rmtree(folder)
            return
        _touch(os.path.join(folder, JOINED))
        for name in os.listdir(folder):
            if name.endswith(VIDEO):
                os.unlink(os.path.join(folder, name))

    # -- files

    def _path(self, item: int, *names: str) -> str:
        return os.path.join(self.folder, str(item), *names)

    def _opened(self, key: Key) -> Segment:
        if self._segment is not None and self._segment.key == key:
            return self._segment
        if self._fd >= 0:
            os.fsync(self._fd)
            os.close(self._fd)
        self._fd, self._segment = -1, None
        folder = self._path(key.item)
        if not os.path.isdir(folder):
            os.mkdir(folder)
            self._unsynced.add(self.folder)
        segment, path = Segment(key), self._path(key.item, f"{key.number}{RECORDS}")
        self._fd = os.open(path, _APPEND, 0o644)
        self._end = _read(path, segment)
        os.ftruncate(self._fd, self._end)
        self._unsynced.add(folder)
        self._segment = segment
        return segment

    def _append(self, data: bytes) -> None:
        try:
            done = 0
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except OSError:
            os.ftruncate(self._fd, self._end)
            raise
        self._end += len(data)


def _read(path: str, segment: Segment) -> int:
    """Take the outcomes of a file; returns the bytes that are whole ones. A power cut may leave half of one, or zeros."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return 0
    at = 0
    while at + _LENGTH.size <= len(data):
        begin = at + _LENGTH.size
        end = begin + _LENGTH.unpack_from(data, at)[0]
        try:
            if end > len(data):
                break
            shown = msgspec.msgpack.decode(data[begin:end], type=Shown)
        except msgspec.DecodeError:
            break
        segment.shown[shown.frame] = shown
        at = end
    return at


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644))
    sync_path(os.path.dirname(path))
