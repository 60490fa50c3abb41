"""The items of a job: pictures and films in the order of its ledger, each frame once, as fast as slots come.

Threads decode the next pictures meanwhile; OpenCV releases the interpreter's lock. A film is read by one thread, since its frames
depend on each other, and its length is noted in the ledger once its end was reached. Runs on CPython 3.9.
"""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Deque, Dict, Iterator, NamedTuple, Optional, Union

import msgspec

from ncs_cluster.errors import SourceError, format_os_error
from ncs_cluster.jobs.ledger import EDGES, Item, Ledger
from ncs_cluster.jobs.lock import hold
from ncs_cluster.jobs.schema import LedgerError
from ncs_cluster.plugins import reason
from ncs_cluster.sources._item_film import ItemFilm, Written
from ncs_cluster.sources._item_kind import is_film
from ncs_cluster.sources._opencv import need_opencv
from ncs_cluster.sources._part_film import PartFilm, opened, part_of
from ncs_cluster.sources._picture import Decoded, Unreadable, scaled
from ncs_cluster.sources._planes import colour_room
from ncs_cluster.sources.base import Captured, Find, Parsed, Planes, Progress, SourceInfo

AHEAD = 2
"""Pictures decoded in advance for each reader."""
MOST_READERS = 64
LOCK_S = 5.0


@dataclass(frozen=True)
class Options:
    """Where the items are, and how they are read. Larger frames are scaled down to `max_width` x `max_height`."""

    __pydantic_config__ = {"extra": "forbid"}

    ledger: str
    max_width: int = 1280
    max_height: int = 720
    readers: int = 0
    """Threads that decode pictures; 0: one for each core."""
    strict: bool = False
    """End behind the first item that cannot be read."""
    lock: bool = False
    """Take the lock of the job's folder: no command holds it while the job runs."""
    part: Optional[Dict[str, Any]] = None
    """The only item is a film, and these frames of it are the job: the fields of fleet.film_part.FilmPart."""

    def __post_init__(self) -> None:
        if self.part is not None:
            part_of(self.part)
        if not (0 < self.max_width <= 8192 and 0 < self.max_height <= 8192):
            raise ValueError("max_width and max_height must be within 1..8192")
        if not 0 <= self.readers <= MOST_READERS:
            raise ValueError(f"readers must be 0 to {MOST_READERS}")


def parse(spec: str, find: Find) -> Parsed:
    """No SPEC means a job: `ncsctl run` makes one."""
    raise ValueError("a job is started with: ncsctl run")


class _Turn(NamedTuple):
    """A frame to read."""

    item: Item
    frame: int
    """Its number in the item."""


class _Reading(NamedTuple):
    """A picture that a thread decodes."""

    turn: _Turn
    began_s: float
    began: float
    picture: Future[Decoded]


class Job:
    """See base.Source. Turns are those of the ledger's present pass; `skip` goes on behind those that are done."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._most = (options.max_width, options.max_height)
        self._ledger: Optional[Ledger] = None
        self._threads: Optional[ThreadPoolExecutor] = None
        self._closed = threading.Event()
        self._turn = 0
        """The next turn to be read."""
        self._items: Iterator[Item] = iter(())
        self._next: Optional[_Turn] = None
        """The turn behind those being decoded; None at the end."""
        self._ahead: Deque[_Reading] = deque()
        self._film: Optional[ItemFilm] = None
        self._failed = False
        self._lock_fd = -1
        self._counted: Optional[Ledger] = None
        """For `progress`, which another thread calls."""

    def open(self) -> SourceInfo:
        need_opencv()
        options = self._options
        try:
            if options.lock:
                self._take_lock()
            self._ledger = Ledger(options.ledger)
            written = self._ledger.written
            description = f"{self._ledger.items} items" if not self._ledger.retry else f"{self._ledger.end} frames to try again"
            self._go_to(0)
        except (OSError, LedgerError) as error:
            # a daemon that starts with the machine may be ahead of the disk with the job's folder
            late = isinstance(error, FileNotFoundError) and options.lock
            raise SourceError(_text(error), permanent=not late) from error
        readers = options.readers or os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(readers, "reader")
        self._room = readers * AHEAD
        self._closed.clear()
        return SourceInfo(*self._most, fps=None, finite=True, ordered=True, description=description, first=written)

    def progress(self) -> Optional[Progress]:
        """From the ledger, which earlier runs have written too."""
        try:
            if self._counted is None:
                self._counted = Ledger(self._options.ledger)
            return Progress(self._counted.expected, self._counted.failed)
        except (OSError, LedgerError):
            return None

    def skip(self, frames: int) -> None:
        with _ledger_errors():
            self._go_to(self._turn + frames)

    def read(self, into: Planes) -> Optional[Captured]:
        """The next frame; None after the last, or behind the first failure of a strict job."""
        if self._closed.is_set():
            raise SourceError("the source is closed")
        with _ledger_errors():
            captured = self._read(into)
        self._turn += captured is not None
        return captured

    def close(self) -> None:
        """From any thread, any number of times."""
        self._closed.set()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        fd, self._lock_fd = self._lock_fd, -1
        if fd >= 0:
            os.close(fd)

    def _take_lock(self) -> None:
        """A command that has handed the job over may hold it a moment longer. Raises OSError."""
        folder = os.path.dirname(self._options.ledger)
        until_s = time.monotonic() + LOCK_S
        while True:
            try:
                self._lock_fd = hold(folder)
                return
            except BlockingIOError:
                if time.monotonic() >= until_s:
                    raise SourceError(f"another command works in {folder}", permanent=True) from None
                self._closed.wait(0.1)

    def _read(self, into: Planes) -> Optional[Captured]:
        if self._failed and self._options.strict:
            return None
        self._decode_ahead()
        if self._ahead:
            return self._picture(self._ahead.popleft(), into)
        if self._next is None:
            self._open_ledger.set_end(self._turn)
            return None
        return self._film_frame(self._next, into)

    # -- turns

    @property
    def _open_ledger(self) -> Ledger:
        assert self._ledger is not None
        return self._ledger

    def _go_to(self, turn: int) -> None:
        self._turn = turn
        self._ahead.clear()
        self._close_film()
        self._next = self._turn_at(turn)

    def _turn_at(self, turn: int) -> Optional[_Turn]:
        frame = self._open_ledger.frame_of(turn)
        if frame is None:
            return None
        place = self._open_ledger.place(frame)
        self._items = self._all_items(place.item)
        item = next(self._items, None)
        return None if item is None else _Turn(item, place.frame)

    def _all_items(self, number: int) -> Iterator[Item]:
        while True:
            count = 0
            for item in self._open_ledger.items_from(number):
                count += 1
                yield item
            if not count:
                return
            number += count

    def _advance(self, behind: int) -> None:
        """Go on behind the present item; its last turn is `behind`."""
        if self._open_ledger.retry:
            self._next = self._turn_at(behind + 1)
            return
        item = next(self._items, None)
        self._next = None if item is None else _Turn(item, 0)

    # -- pictures

    def _decode_ahead(self) -> None:
        assert self._threads is not None
        while self._next is not None and len(self._ahead) < self._room and not is_film(self._next.item):
            turn = self._next
            picture = self._threads.submit(scaled, turn.item.path, self._most, turn.item.home)
            self._ahead.append(_Reading(turn, time.monotonic(), time.time(), picture))
            self._advance(self._turn + len(self._ahead) - 1)

    def _picture(self, reading: _Reading, into: Planes) -> Captured:
        item = reading.turn.item
        try:
            picture = reading.picture.result()
        except Unreadable as error:
            return self._failure(item, str(error), reading.began_s, reading.began)
        except Exception as error:
            # one file must not end the job, as when its memory cannot be had
            return self._failure(item, f"cannot be decoded ({reason(error)})", reading.began_s, reading.began)
        height, width = picture.pixels.shape[:2]
        colour_room(into.colour, width, height)[:] = picture.pixels
        return Captured(reading.began_s, reading.began, width, height, item=item.name, size=picture.size)

    def _failure(self, item: Item, why: str, began_s: float, began: float) -> Captured:
        self._failed = True
        return Captured(began_s, began, 0, 0, item=item.name, error=f"{item.name}: {why}")

    # -- films

    def _film_frame(self, turn: _Turn, into: Planes) -> Optional[Captured]:
        """The next frame of a film; where the film has ended, the next frame of the job."""
        item, began_s, began = turn.item, time.monotonic(), time.time()
        retries = self._open_ledger.retry > 0
        if self._film is None:
            try:
                self._film = opened(item, self._most, self._options.part)
            except Unreadable as error:
                self._film_begins(turn, 1)
                if not retries:
                    self._open_ledger.film_ends(item.number, 1)
                self._advance(self._turn)
                return self._failure(item, str(error), began_s, began)
            self._film_begins(turn, self._film.declared)
        frame = self._film.next(into) if self._film.go_to(turn.frame) else None
        if retries:
            return self._retried(turn, frame, began_s, began)
        if frame is None:
            self._film_ends(item, self._film)
            self._close_film()
            self._advance(self._turn - 1)
            return self._read(into)
        self._next = _Turn(item, turn.frame + 1)
        return self._seen(turn, frame, self._film.fps, began_s, began)

    def _film_ends(self, item: Item, film: ItemFilm) -> None:
        if isinstance(film, PartFilm):
            self._open_ledger.keep(EDGES, msgspec.json.encode(film.edges).decode())
        self._open_ledger.film_ends(item.number, film.passed if isinstance(film, PartFilm) else max(1, film.passed))

    def _film_begins(self, turn: _Turn, declared: int) -> None:
        if not self._open_ledger.retry:
            self._open_ledger.film_begins(turn.item.number, self._turn - turn.frame, declared)

    def _retried(self, turn: _Turn, frame: Union[Written, str, None], began_s: float, began: float) -> Captured:
        """A frame of a film that is read again; the next one may be of the same film, which stays open then."""
        assert self._film is not None
        fps = self._film.fps
        if frame is None:
            frame = f"has no frame {turn.frame} any more"
        elif not isinstance(frame, str) and self._open_ledger.frames_of(turn.item.number) == 1 and self._film.go_to(2):
            # it could not be opened before, and the frames behind it have their numbers in the outputs
            path = shlex.quote(turn.item.path).encode("utf-8", "backslashreplace").decode()
            own = f"ncsctl run {path} --graph SAME --out OTHER"
            frame = f"can be read now, but this job has one frame for it; give it a job of its own: {own}"
        following = self._turn_at(self._turn + 1)
        if following is None or following.item.number != turn.item.number:
            self._close_film()
        self._next = following
        return self._seen(turn, frame, fps, began_s, began)

    def _seen(self, turn: _Turn, frame: Union[Written, str], fps: float, began_s: float, began: float) -> Captured:
        if isinstance(frame, str):
            seen = self._failure(turn.item, frame, began_s, began)
        else:
            seen = Captured(began_s, began, frame.width, frame.height, item=turn.item.name, size=frame.size)
        return seen._replace(item_frame=turn.frame, item_fps=fps or None)

    def _close_film(self) -> None:
        if self._film is not None:
            self._film.close()
            self._film = None


@contextmanager
def _ledger_errors() -> Iterator[None]:
    """A full disk is waited for; a damaged ledger stays so."""
    try:
        yield
    except (OSError, LedgerError) as error:
        raise SourceError(_text(error), permanent=isinstance(error, LedgerError)) from error


def _text(error: Union[OSError, LedgerError]) -> str:
    return str(error) if isinstance(error, LedgerError) else format_os_error(error)
