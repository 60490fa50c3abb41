"""Every picture of a job with its results drawn on it, as a JPEG file; frames of films too. Runs on CPython 3.9.

A picture is read again in its own size, drawn, written aside and renamed, before its record is acknowledged: so there is nothing to
resume. Items that failed have none.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterable, Iterator, List, Optional, Sequence, Set

from ncs_cluster.jobs.ledger import Item, Ledger
from ncs_cluster.sinks._final import link_or_copy, sync_file_system, sync_path
from ncs_cluster.sinks._safe_names import safe
from ncs_cluster.sinks.base import FilmAgain, Imagery, Lost, Opened, Parsed, Part, Place
from ncs_cluster.types import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

SKIP_S = 0.5
"""Longest time to skip frames of a film in one call, so that heartbeats are sent."""
TOKEN = b"1"
FOLDER = "images"
MARK = ".ncs-cluster-job"
"""The file that marks a folder as a job's."""
_MODE = 0o644


@dataclass(frozen=True)
class Options:
    """Where the pictures go."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str
    """The folder of the pictures."""
    ledger: str = ""
    """The job's ledger. The job sets it."""


def parse(spec: str, place: Place) -> Parsed:
    """`spec` is the folder in which `images` lies."""
    folder = os.path.join(str(place(os.path.join(spec, f"{FOLDER}.jpg")).parent), FOLDER)
    return Parsed({"path": folder}, folder)


class Images:
    """See base.Sink and base.Finishing."""

    def __init__(self, options: Options, imagery: Imagery) -> None:
        self._folder = options.path
        self._ledger_path = options.ledger
        self._imagery = imagery
        self._ledger: Optional[Ledger] = None
        self._film: Optional[FilmAgain] = None
        self._film_item = -1
        self._unsynced: List[str] = []
        self._folders: Set[str] = set()
        """In which files are that are not synced."""

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        """Raises OSError, LedgerError."""
        self.close()
        self._ledger = Ledger(self._ledger_path)
        self._take()
        return Opened(first, TOKEN)

    def follow(self) -> Optional[bytes]:
        return None

    def write(self, record: Record) -> bytes:
        """Raises OSError; BlockingIOError while frames before it are skipped."""
        if record.outcome.error is not None:
            return TOKEN
        assert self._ledger is not None
        item = self._ledger.item(self._ledger.place(record.frame).item)
        assert item is not None
        try:
            pixels = self._pixels(item, record.item_frame)
        except Lost as lost:
            # as when its file was removed while the job ran
            log.warning("frame %d has no picture: %s", record.frame, lost)
            return TOKEN
        self._imagery.draw(pixels, record.graph, record.outcome)
        name = safe(item.name, ".jpg") if record.item_frame is None else safe(f"{item.name}_{record.item_frame:06d}", ".jpg")
        self._put(os.path.join(self._folder, name), self._imagery.jpeg(pixels))
        return TOKEN

    def sync(self) -> None:
        """Raises OSError."""
        for path in (*self._unsynced, *sorted(self._folders, key=len, reverse=True)):
            try:
                sync_path(path)
            except FileNotFoundError:
                # its owner has taken it away
                continue
        self._unsynced.clear()
        self._folders.clear()

    def finish(self) -> None:
        self.sync()

    def join(self, parts: Sequence[Part], order: Iterable[int]) -> None:
        """One folder of the pictures of all parts, which share their bytes with those where the file system has links. Raises
        OSError."""
        stage, before = [os.path.join(os.path.dirname(self._folder), f".{FOLDER}.{what}") for what in ("tmp", "old")]
        for folder in (stage, before):
            shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(stage)
        for part in parts:
            for path in _pictures(part.sink._folder):
                to = os.path.join(stage, os.path.relpath(path, part.sink._folder))
                os.makedirs(os.path.dirname(to), exist_ok=True)
                if not os.path.exists(to):
                    link_or_copy(path, to, copy=False)
        open(os.path.join(stage, MARK), "w").close()
        sync_file_system(stage)
        if os.path.isdir(self._folder):
            # of the same command before
            os.rename(self._folder, before)
        os.rename(stage, self._folder)
        sync_path(os.path.dirname(self._folder))
        shutil.rmtree(before, ignore_errors=True)

    def close(self) -> None:
        self._close_film()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def _pixels(self, item: Item, frame: Optional[int]) -> NDArray[np.uint8]:
        if frame is None:
            return self._imagery.picture(item)
        if self._film is None or self._film_item != item.number or self._film.next > frame:
            self._close_film()
            self._film, self._film_item = self._imagery.film(item), item.number
        if not self._film.skip(frame, time.monotonic() + SKIP_S):
            raise BlockingIOError(errno.EAGAIN, f"{item.name}: frames that have their pictures are passed")
        read = self._film.read()
        if read is None or read.pixels is None:
            raise Lost(f"{item.name}: frame {frame} cannot be read again")
        return read.pixels

    def _take(self) -> None:
        """The folder must be new or a job's: a picture of the user's own, perhaps an item, must not be written over."""
        self._make(self._folder)
        mark = os.path.join(self._folder, MARK)
        if not os.path.lexists(mark) and os.listdir(self._folder):
            raise OSError(errno.EEXIST, "it holds files that are no output of this job; choose another folder for --out")
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE))

    def _put(self, path: str, data: bytes) -> None:
        """Written aside and renamed. Raises OSError."""
        folder, name = os.path.split(path)
        self._make(folder)
        draft = os.path.join(folder, f".{name}.tmp")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE), "wb") as file:
            file.write(data)
        os.replace(draft, path)
        self._unsynced.append(path)
        self._folders.add(folder)

    def _make(self, folder: str) -> None:
        """Not the job's own folder: where its disk is not mounted any more, it is missing."""
        if os.path.isdir(folder):
            return
        if folder != self._folder:
            self._make(os.path.dirname(folder))
        try:
            os.mkdir(folder)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise
        self._folders.add(os.path.dirname(folder))

    def _close_film(self) -> None:
        if self._film is not None:
            self._film.close()
        self._film, self._film_item = None, -1


def _pictures(folder: str) -> Iterator[str]:
    """Those below a folder of drawn pictures: their names never begin with a dot, see _safe_names."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _pictures(entry.path)
            elif entry.is_file(follow_symlinks=False):
                yield entry.path
