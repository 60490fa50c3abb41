"""Error-rate alarm: reports when every inference fails. Sticks that answer each frame with an error look healthy otherwise."""

from __future__ import annotations

from ncs_cluster.core.actions import Action, LogEvent

FAILING_S = 5.0
"""The alarm is raised after so long with errors only, the newest no older than this."""


class InferenceHealth:
    """The outcome of every inference of the daemon."""

    def __init__(self) -> None:
        self.last_good_s: float | None = None
        self._error = ""
        self._since_s: float | None = None
        self._last_s = 0.0
        self._reported = self._succeeded = False

    def succeeded(self, now_s: float) -> None:
        self.last_good_s, self._since_s, self._succeeded = now_s, None, True

    def failed(self, error: str, now_s: float) -> None:
        if self._since_s is None:
            self._since_s = now_s
        self._error, self._last_s = error, now_s

    def failing(self, now_s: float) -> str | None:
        """The alarm's text; None while inferences succeed, or while there are none."""
        fails = self._since_s is not None and now_s - self._since_s > FAILING_S and now_s - self._last_s < FAILING_S
        return f"every inference fails: {self._error}" if fails else None

    def report(self, now_s: float) -> list[Action]:
        """One event when the alarm begins, one when inferences succeed again."""
        reason = self.failing(now_s)
        if (reason is not None) == self._reported:
            return []
        self._reported = reason is not None
        if reason is not None:
            self._succeeded = False
            return [LogEvent("error", "daemon", reason)]
        # the alarm also ends when there are no inferences any more, which is no success
        return [LogEvent("info", "daemon", "inferences succeed again")] if self._succeeded else []
