"""Whether inferences succeed: sticks that answer at once, each time with an error, look healthy by all other signs."""

from __future__ import annotations

from ncs_cluster.core.actions import Action, LogEvent

FAILING_S = 5.0
"""Nothing but errors for so long, and still going on."""


class InferenceHealth:
    """Told of each how it went."""

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
        """For people; None while inferences succeed, or where there are none."""
        fails = self._since_s is not None and now_s - self._since_s > FAILING_S and now_s - self._last_s < FAILING_S
        return f"every inference fails: {self._error}" if fails else None

    def report(self, now_s: float) -> list[Action]:
        """Once when it begins, once when it is over."""
        reason = self.failing(now_s)
        if (reason is not None) == self._reported:
            return []
        self._reported = reason is not None
        if reason is not None:
            self._succeeded = False
            return [LogEvent("error", "daemon", reason)]
        # they may also just have come to an end
        return [LogEvent("info", "daemon", "inferences succeed again")] if self._succeeded else []
