"""Draws while the job runs, in a thread behind the records: they never wait for it longer than a moment. Runs on CPython 3.9."""

from __future__ import annotations

import threading
from collections import deque
from typing import Deque, Optional

from ncs_cluster.sinks._video_draw import Drawing, Stopped
from ncs_cluster.sinks._video_records import FRAMES, Records, Segment
from ncs_cluster.sinks.base import Lost

RETRY_S = 1.0
MOST_BEHIND = 2 * FRAMES
"""Frames; with more each record waits for a frame that is drawn, so that the shown progress is that of the whole job."""


class Live:
    """Segments are drawn in the order in which they were told. What it does not do, `finish` does."""

    def __init__(self, records: Records, drawing: Drawing) -> None:
        self._records, self._drawing = records, drawing
        self._waiting: Deque[Segment] = deque()
        self._last: Optional[Segment] = None
        self._ended = False
        self._thread: Optional[threading.Thread] = None
        self.failure: Optional[OSError] = None
        """Why drawing fails at present, as with a full disk; it is tried again."""

    def tell(self, segment: Segment) -> None:
        """An outcome of this segment was written; those before it are complete."""
        if segment is self._last:
            return
        with self._records.changed:
            if self._last is not None:
                self._last.closed = True
            self._last = segment
            self._waiting.append(segment)
            self._records.changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="drawing", daemon=True)
            self._thread.start()

    def wait(self, most_s: float) -> None:
        """While it is far behind, wait for one more frame, at most so long."""
        behind = self._behind()
        if behind > MOST_BEHIND and self.failure is None:
            with self._records.changed:
                self._records.changed.wait_for(lambda: self._behind() < behind, most_s)

    def end(self) -> None:
        """No further records come: returns when everything told is drawn, or fails."""
        with self._records.changed:
            self._ended = True
            if self._last is not None:
                self._last.closed = True
            self._records.changed.notify_all()
        self._join()

    def stop(self) -> None:
        """Leave what is not done."""
        self._drawing.stopped = True
        with self._records.changed:
            self._records.changed.notify_all()
        self._join()

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def _behind(self) -> int:
        return sum(len(segment.shown) for segment in tuple(self._waiting)) - self._drawing.drawn

    def _run(self) -> None:
        changed = self._records.changed
        while True:
            with changed:
                while not self._waiting and not self._ended and not self._drawing.stopped:
                    changed.wait()
                if not self._waiting or self._drawing.stopped:
                    return
                segment = self._waiting[0]
            try:
                self._drawing.make(segment)
            except Stopped:
                return
            except Lost as lost:
                self._drawing.lose(segment.key.item, lost)
            except OSError as error:
                self.failure = error
                with changed:
                    if changed.wait_for(lambda: self._ended or self._drawing.stopped, RETRY_S):
                        return
                continue
            self.failure = None
            with changed:
                self._waiting.popleft()
                self._drawing.drawn = 0
                changed.notify_all()
