"""The events of the daemon: each is a line of the log and is kept for `ncsctl events`."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from ncs_cluster.core.actions import LogEvent
from ncs_cluster.errors import one_line
from ncs_cluster.processes.repeats import Repeats
from ncs_cluster.status import Event

KEPT = 500
"""Of level info, and of the other levels: routine events must not push out what went wrong last night."""
PER_REPLY = 300
LONGEST_TEXT = 400
"""Bytes of an event's text: some come from children, and PER_REPLY events must fit into one reply."""
LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}

log = logging.getLogger("ncs_cluster.processes.supervisor")


class EventLog:
    """The newest events of each level."""

    def __init__(self, name_of: Callable[[str], str | None] = lambda origin: None) -> None:
        """`name_of`: the operator's name of the stick that an origin means."""
        self._name_of = name_of
        self._routine: deque[Event] = deque(maxlen=KEPT)
        self._important: deque[Event] = deque(maxlen=KEPT)
        self._next_id = 1
        self._repeats = Repeats()
        self.followers: list[Callable[[Event], None]] = []
        """Called with each event as it happens."""

    def add(self, level: str, origin: str, text: str, group: str | None = None) -> None:
        """Log a line about `origin` and keep it, unless it repeats: see actions.LogEvent. A text that is too long is cut."""
        if self._repeats.passes(LogEvent(level, origin, text, group), time.monotonic()):
            self._tell(level, origin, text)

    def tick(self, now_s: float) -> None:
        """Log one line for each group of repeated events whose window has ended."""
        for event in self._repeats.due(now_s):
            self._tell(event.level, event.origin, event.text)

    def _tell(self, level: str, origin: str, text: str) -> None:
        # a text may quote the name of a file
        text = one_line(text)
        data = text.encode(errors="replace")
        if len(data) > LONGEST_TEXT:
            text = data[:LONGEST_TEXT].decode(errors="ignore") + "..."
        name = self._name_of(origin)
        log.log(LEVELS.get(level, logging.INFO), "%s: %s", f"{origin} ({name})" if name else origin, text)
        if level == "debug":
            return
        event = Event(self._next_id, round(time.time(), 3), level, origin, text, name)
        self._next_id += 1
        (self._routine if level == "info" else self._important).append(event)
        for follower in list(self.followers):
            follower(event)

    def newer(self, after: int, before: int | None = None) -> list[Event]:
        """The newest PER_REPLY events with an id above `after`, and below `before` where it is given, oldest first."""
        end = self._next_id if before is None else before
        events = [event for event in (*self._routine, *self._important) if after < event.id < end]
        events.sort(key=lambda event: event.id)
        return events[-PER_REPLY:]
