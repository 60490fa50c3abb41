"""Groups events that repeat, so that a flapping cable or a heat wave does not push everything else out of the log and the page.

The first FREE events of a kind within WINDOW_S pass; the rest are counted, and told in one line when the window ends. Pure: time is
an argument.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ncs_cluster.core.actions import LogEvent

FREE, WINDOW_S = 2, 30.0
MOST_KINDS = 500
"""Kinds that are followed at once: texts of children may be of any kind."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class Kind(NamedTuple):
    """The key of a group of repeated events."""

    level: str
    origin: str
    text: str


class Window:
    """The events of one kind since its first one."""

    def __init__(self, end_s: float) -> None:
        self.end_s = end_s
        self.count = 0
        self.last = ""


class Repeats:
    """The kinds of events of the last WINDOW_S."""

    def __init__(self) -> None:
        self._windows: dict[Kind, Window] = {}

    def passes(self, event: LogEvent, now_s: float) -> bool:
        """Whether the event is logged now; else it is counted, for `due`."""
        if event.group == "":
            return True
        kind = Kind(event.level, "", event.group) if event.group else Kind(event.level, event.origin, _NUMBER.sub("#", event.text))
        window = self._windows.get(kind)
        if window is None:
            if len(self._windows) >= MOST_KINDS:
                return True
            window = self._windows[kind] = Window(now_s + WINDOW_S)
        window.count += 1
        window.last = event.text
        return window.count <= FREE

    def due(self, now_s: float) -> list[LogEvent]:
        """One summary for each group whose window has ended with counted events. The group's next window begins."""
        events = []
        for kind, window in [each for each in self._windows.items() if now_s >= each[1].end_s]:
            if window.count <= FREE:
                del self._windows[kind]
                continue
            if kind.origin:
                text, origin = f"{window.count} times in {WINDOW_S:.0f} s: {window.last}", kind.origin
            else:
                text, origin = f"{window.count} {kind.text} in {WINDOW_S:.0f} s", "clusters"
            events.append(LogEvent(kind.level, origin, text, group=""))
            # a group that goes on is summed up once per window
            again = self._windows[kind] = Window(now_s + WINDOW_S)
            again.count = FREE
        return events
