"""Which changes of the daemon's state cause a notification: those that last. Pure: time is an argument. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence

OK = "ok"
LONGEST_REASON, MOST_REASONS = 300, 20


class Notification(NamedTuple):
    """One change, as command and webhook get it."""

    event: str
    """ "degraded", "down" or "recovered"."""
    state: str
    before: str
    """The state that was told before, "ok" at the start."""
    reasons: List[str]
    host: str
    version: str
    at: float
    """Unix time."""

    @property
    def title(self) -> str:
        """One line."""
        what = "has recovered" if self.event == "recovered" else f"is {self.state}"
        return f"ncs_cluster on {self.host} {what}"

    @property
    def text(self) -> str:
        return "\n".join([self.title, *(f"- {reason}" for reason in self.reasons)])

    def document(self) -> Dict[str, object]:
        """The body that a webhook gets. Fields may be added, not renamed."""
        return {"schema": 1, "text": self.text, **self._asdict()}


class Edges:
    """Reports a new state once it has lasted for `hold_off_s`, less the time in which the reported state was back: a short
    failure is not reported, and a short recovery does not hide a failure that recurs."""

    def __init__(self, hold_off_s: float) -> None:
        self._hold_off_s = hold_off_s
        self.told = OK
        self._away_s = 0.0
        self._looked_s: Optional[float] = None

    def look(self, state: str, now_s: float) -> Optional[str]:
        """`state`: of the daemon now. Returns the state reported before where this one is to be reported now, else None."""
        passed_s = 0.0 if self._looked_s is None else max(0.0, now_s - self._looked_s)
        self._looked_s = now_s
        self._away_s = max(0.0, self._away_s - passed_s) if state == self.told else self._away_s + passed_s
        if state == self.told or self._away_s < self._hold_off_s:
            return None
        before, self.told, self._away_s = self.told, state, 0.0
        return before


def notification(state: str, before: str, reasons: Sequence[str], host: str, version: str, at: float) -> Notification:
    """`reasons`: of the state; of many the first are told, each cut."""
    kept = [reason[:LONGEST_REASON] for reason in reasons[:MOST_REASONS]]
    if len(reasons) > MOST_REASONS:
        kept.append(f"and {len(reasons) - MOST_REASONS} more")
    return Notification("recovered" if state == OK else state, state, before, kept, host, version, at)
