"""Draws and encodes segments of films. Runs on CPython 3.9."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, NamedTuple, Optional, Set, Tuple

import msgspec

from ncs_cluster.jobs.ledger import Item, Ledger
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._final import sync_path
from ncs_cluster.sinks._video_encode import Look, SegmentEncoder, look
from ncs_cluster.sinks._video_records import Records, Segment, Shown
from ncs_cluster.sinks.base import FilmAgain, FilmFrame, Imagery, Lost

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

BEFORE = 8
"""Frames read before the first of a segment: a damaged one shows the picture before it."""
SKIP_S = 0.2
WAIT_S = 0.5


class Stopped(Exception):
    """The sink is closed."""


class _Open(NamedTuple):
    item: Item
    film: FilmAgain
    look: Look


class Drawing:
    """Used by one thread at a time. One film is open."""

    def __init__(self, records: Records, imagery: Imagery, ledger: Ledger) -> None:
        self._records, self._imagery, self._ledger = records, imagery, ledger
        self._open: Optional[_Open] = None
        self._before: Optional[NDArray[np.uint8]] = None
        """The last picture of the open film that could be decoded, without drawing."""
        self._time_s = 0.0
        """Of the last frame, from the start of the video."""
        self._lost: Set[int] = set()
        self.stopped = False
        self.drawn = 0
        """Frames of the present segment."""

    def make(self, segment: Segment) -> None:
        """The video of a segment, if it is lacking: waits for outcomes until it is closed. Raises OSError, Lost, Stopped."""
        self.drawn = 0
        path = self._records.video(segment.key)
        if os.path.exists(path):
            return
        with self._records.changed:
            changes = segment.changes
        draft = f"{path}.{os.getpid()}.tmp"
        encoder: Optional[SegmentEncoder] = None
        try:
            while self._wait(segment, segment.key.first + self.drawn):
                opened = self._at(segment.key.item, segment.key.first + self.drawn)
                if encoder is None:
                    encoder = SegmentEncoder(draft, opened.film.size, opened.look)
                encoder.add(*self._picture(opened, segment.shown.get(opened.film.next)))
                self.drawn += 1
            if encoder is None:
                return
            encoder.close()
            encoder = None
            sync_path(draft)
            with self._records.changed:
                if changes == segment.changes:
                    os.rename(draft, path)
            sync_path(os.path.dirname(path))
        except BaseException as error:
            self._close()
            if encoder is not None:
                encoder.abandon()
            if isinstance(error, (Lost, Stopped)) or is_of_disk(error) or not isinstance(error, Exception):
                raise
            # one film must not end the job
            raise Lost(f"{self.name(segment.key.item)}: cannot be encoded ({reason(error)})") from error
        finally:
            if os.path.exists(draft):
                os.unlink(draft)

    def film(self, item: int) -> Tuple[Optional[Item], Look]:
        """The film and what its file says; None where it cannot be read again."""
        try:
            opened = self._at(item, None)
        except Lost as lost:
            self.lose(item, lost)
            return None, Look()
        return opened.item, opened.look

    def name(self, item: int) -> str:
        found = self._ledger.item(item)
        assert found is not None
        return found.name

    def lose(self, item: int, lost: Lost) -> None:
        """Tell once that a film cannot be read again."""
        if item not in self._lost:
            self._lost.add(item)
            log.warning("its video is not complete: %s", lost)

    def close(self) -> None:
        self.stopped = True
        self._close()
        self._ledger.close()

    def _wait(self, segment: Segment, frame: int) -> bool:
        """False behind the last frame of the segment."""
        if frame >= segment.key.behind:
            return False
        changed = self._records.changed
        with changed:
            while frame not in segment.shown and not segment.closed:
                if self.stopped:
                    raise Stopped
                changed.wait(WAIT_S)
            if self.stopped:
                raise Stopped
            return frame <= max(segment.shown, default=-1)

    def _at(self, number: int, frame: Optional[int]) -> _Open:
        """The open film, its next frame the given one; None: whichever. Raises Lost, Stopped."""
        opened = self._open
        if opened is None or opened.item.number != number or (frame is not None and opened.film.next > frame):
            self._close()
            item = self._ledger.item(number)
            assert item is not None
            film = self._imagery.film(item)
            opened = self._open = _Open(item, film, look(item.path, film.fps))
        if frame is None or opened.film.next == frame:
            return opened
        while not opened.film.skip(max(opened.film.next, frame - BEFORE), time.monotonic() + SKIP_S):
            if self.stopped:
                raise Stopped
        while opened.film.next < frame and (read := opened.film.read()) is not None:
            self._take(opened, read)
        if opened.film.next < frame:
            raise Lost(f"{opened.item.name}: has no frame {frame} any more")
        return opened

    def _take(self, opened: _Open, read: Optional[FilmFrame]) -> None:
        if read is None or read.time_s is None:
            self._time_s += float(1 / opened.look.rate)
        else:
            self._time_s = float(opened.look.start) + read.time_s
        if read is not None and read.pixels is not None:
            self._before = read.pixels.copy()

    def _picture(self, opened: _Open, shown: Optional[Shown]) -> Tuple[NDArray[np.uint8], float]:
        """The next frame with its results, and its time."""
        import numpy as np

        first = opened.film.next == 0
        read = opened.film.read()
        if read is None:
            raise Lost(f"{opened.item.name}: has no frame {opened.film.next} any more")
        self._take(opened, read)
        if first and read.time_s is None:
            self._time_s = float(opened.look.start)
        width, height = opened.film.size
        picture = np.zeros((height, width, 3), np.uint8) if self._before is None else self._before.copy()
        if shown is not None:
            outcome = shown.outcome
            if outcome.error is not None:
                why = outcome.error
                prefix = f"{opened.item.name}: "
                outcome = msgspec.structs.replace(outcome, error=why[len(prefix) :] if why.startswith(prefix) else why)
            self._imagery.draw(picture, shown.graph, outcome)
        return picture, self._time_s

    def _close(self) -> None:
        if self._open is not None:
            self._open.film.close()
        self._open, self._before, self._time_s = None, None, 0.0


def is_of_disk(error: BaseException) -> bool:
    """Writing failed, which may go better later: a full disk. FFmpeg's errors that are none of the system's are no such."""
    return isinstance(error, OSError)
