"""Keeps the history: the event loop sums statuses up to minutes, a thread writes them every few minutes.

    loop   -- tick: a status every SAMPLE_S --> Minutes --> what waits
    loop   -- every FLUSH_S: what waits ------> thread --> Store
    log    <-- tick: what the thread has said: a failure once, and its end

A disk that hangs holds up the thread alone; what waits is bounded. A power cut costs what was not written yet.
"""

from __future__ import annotations

import fcntl
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ncs_cluster.errors import format_os_error
from ncs_cluster.history.series import Minute, Minutes
from ncs_cluster.status import Event, Status

SAMPLE_S = 10.0
FLUSH_S = 600.0
FIRST_S = 600.0
"""Seconds after the start in which each minute is written at once, so that a new daemon's page soon has a history."""
MOST_MINUTES, MOST_EVENTS = 50_000, 2_000
"""Most that wait in memory while the disk does not write; minutes of 8 sticks for 8 hours."""
END_S = 1.5
LOCK = "history.lock"

Say = Callable[[str, str, str], None]


class Batch(NamedTuple):
    """What one commit writes. `now_s`, `wall_s`: the same moment by both clocks."""

    minutes: list[Minute]
    events: list[Event]
    now_s: float
    wall_s: float


class Recorder:
    """Keeps the history of one daemon. One daemon at a time writes the history of a folder."""

    def __init__(self, folder: Path | None, days: int, now_s: float, wall: Callable[[], float] = time.time) -> None:
        """`folder`: the state directory; None: no history. `now_s`, here and below: seconds of the monotonic clock."""
        self._wall = wall
        self._said: deque[tuple[str, str, str]] = deque()
        self._lock_fd = -1
        self._minutes = Minutes()
        self._waiting: deque[Minute] = deque(maxlen=MOST_MINUTES)
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._began_s = now_s
        self._sample_s, self._flush_s = now_s, now_s + FLUSH_S
        self._writer: Writer | None = None
        if folder is not None and self._claim(folder):
            self._writer = Writer(folder, days, lambda level, text: self._said.append((level, "history", text)))

    def event(self, event: Event) -> None:
        if self._writer is not None:
            self._events.append(event)

    def tick(self, now_s: float, status: Callable[[], Status], log: Say) -> None:
        """Called often. `log(level, origin, text)`."""
        while self._said:
            log(*self._said.popleft())
        if self._writer is None:
            return
        if now_s >= self._sample_s:
            self._sample_s = now_s + SAMPLE_S
            done = self._minutes.add(status(), now_s)
            self._waiting.extend(done)
            if done and now_s - self._began_s < FIRST_S:
                self._flush_s = now_s
        if now_s >= self._flush_s and not self._writer.busy:
            self._flush_s = now_s + FLUSH_S
            self._flush(now_s)

    def close(self) -> None:
        """Write what there is; waits END_S at most for a disk that hangs."""
        if self._writer is not None:
            now_s = time.monotonic()
            self._waiting.extend(self._minutes.end(now_s))
            if not self._writer.busy:
                self._flush(now_s)
            self._writer.end(END_S)
            self._writer = None
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _flush(self, now_s: float) -> None:
        assert self._writer is not None
        self._writer.write(Batch(list(self._waiting), list(self._events), now_s, self._wall()))
        self._waiting.clear()
        self._events.clear()

    def _claim(self, folder: Path) -> bool:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock_fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._said.append(("info", "history", f"is not written: another daemon writes that of {folder}"))
            return False
        except OSError as error:
            self._said.append(("warning", "history", f"is not written: {format_os_error(error)}"))
            return False
        return True


class Writer:
    """The thread."""

    def __init__(self, folder: Path, days: int, say: Callable[[str, str], None]) -> None:
        self._folder, self._days, self._say = folder, days, say
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._complained = False
        self._kept: Batch | None = None
        """The batch that could not be written; it is added to the next one."""
        self.busy = False
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def write(self, batch: Batch) -> None:
        self.busy = True
        self._queue.put(batch)

    def end(self, within_s: float) -> None:
        self._queue.put(None)
        self._thread.join(within_s)

    def _run(self) -> None:
        # the library is loaded beside the event loop
        from ncs_cluster.history.store import HistoryError, Store

        store: Store | None = None
        while (batch := self._queue.get()) is not None:
            batch = self._with_kept(batch)
            try:
                if store is None:
                    store = Store(self._folder, self._days)
                    if store.set_aside is not None:
                        self._say("warning", f"the file was damaged and is now {store.set_aside}: a new one begins")
                store.add(batch.minutes, batch.events, now_s=batch.now_s, wall_s=batch.wall_s)
            except HistoryError as error:
                self._kept = batch
                if store is not None:
                    store.close()
                    store = None
                if not self._complained:
                    self._say("warning", f"{error}; tried again every {FLUSH_S / 60:g} min")
                self._complained = True
            else:
                if self._complained:
                    self._say("info", "is written again")
                self._complained = False
            self.busy = False
        if store is not None:
            store.close()

    def _with_kept(self, batch: Batch) -> Batch:
        if (kept := self._kept) is None:
            return batch
        self._kept = None
        return batch._replace(
            minutes=[*kept.minutes, *batch.minutes][-MOST_MINUTES:], events=[*kept.events, *batch.events][-MOST_EVENTS:]
        )
