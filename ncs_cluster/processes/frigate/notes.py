"""Notes for the log of events, bounded: a client can cause any number of different ones. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Callable

MOST = 30
"""Notes that are known at once. A further one is left out until the oldest is forgotten, so this is also how many there are in
AGAIN_S."""
AGAIN_S = 3600.0
"""A note that still holds is given again after so long."""
LEFT_OUT = "there is much to note about clients: further notes are left out for up to an hour"


class Notes:
    """`note` takes one line."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._until_s: dict[str, float] = {}
        """When each note is forgotten."""

    def once(self, text: str, now_s: float, *, about: str | None = None, again_s: float = AGAIN_S) -> None:
        """Give the note, unless it was given within `again_s`. `about`: notes about the same count as one."""
        self._until_s = {each: until_s for each, until_s in self._until_s.items() if until_s > now_s}
        known = about or text
        if known in self._until_s:
            return
        if len(self._until_s) < MOST:
            self._until_s[known] = now_s + again_s
            self._note(text)
        elif LEFT_OUT not in self._until_s:
            self._until_s[LEFT_OUT] = now_s + AGAIN_S
            self._note(LEFT_OUT)
