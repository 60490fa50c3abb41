"""A moment in the past as an operator writes it: "2h" (ago), "22:30", "2025-01-31", "2025-01-31 22:30"."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from ncs_cluster.errors import WrongUsage

UNITS_S = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
FORMS = "write it as 90s, 15m, 2h, 3d, 22:30, 2025-01-31 or 2025-01-31T22:30"
_AGO = re.compile(r"(\d{1,9})\s*(s|min|m|h|d|w)")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")


class NoMoment(WrongUsage):
    """The text names no moment; the message is one line."""


def earlier(text: str, now_at: float) -> float:
    """Unix seconds. A time of day means today in the machine's time zone, or yesterday where today's is still to come. Raises
    NoMoment."""
    word = text.strip()
    if found := _AGO.fullmatch(word):
        return now_at - int(found[1]) * UNITS_S[found[2]]
    try:
        now = datetime.fromtimestamp(now_at)
        if _CLOCK.fullmatch(word):
            clock = datetime.strptime(word, "%H:%M:%S" if word.count(":") == 2 else "%H:%M").time()
            then = datetime.combine(now.date(), clock)
            return (then if then <= now else then - timedelta(days=1)).timestamp()
        return datetime.fromisoformat(word).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise NoMoment(f"{text[:40]!a} is no moment in the past; {FORMS}") from error
