"""How many requests one stick may have in flight: fewer on a stick that fails with several, more again with care.

Some sticks fail within minutes with four requests in flight, within hours with two, and never with one. After FAILURES failures
within WINDOW_S, each with more than one request in flight, the limit is halved. After a time without failure it is doubled on
trial; a failure within the trial takes it back, and the next trial comes after twice the time.
"""

from __future__ import annotations

FAILURES = 2
"""Failures that lower the limit: one alone has other causes."""
WINDOW_S = 4 * 3600.0
"""Failures further apart are not counted together. A trial lasts as long."""
FIRST_TRIAL_S, LAST_TRIAL_S = 3600.0, 24 * 3600.0
"""Time without failure before the limit is raised on trial, at first and at most."""

UNPLUGGED_S = 8.0
"""A stick that is gone from the bus is told to be unplugged within this time of its worker's error."""


class InFlightLimit:
    """The limit of one stick. It outlives its worker."""

    def __init__(self) -> None:
        self.limit: int | None = None
        """None: as many as the device takes."""
        self._device = 1
        self._failures_s: list[float] = []
        """Failures at the present limit."""
        self._trial_s: float | None = None
        """When the present limit was raised on trial."""
        self._wait_s = FIRST_TRIAL_S
        self._quiet_since_s = 0.0

    @property
    def allowed(self) -> int:
        return self._device if self.limit is None else min(self.limit, self._device)

    def failed(self, in_flight: int, now_s: float) -> None:
        """Record a failure with `in_flight` requests. `opened` lowers the limit when failures repeat."""
        self._quiet_since_s = now_s
        if in_flight > 1:
            self._failures_s = [each for each in self._failures_s if each > now_s - WINDOW_S] + [now_s]

    def unplugged(self, now_s: float) -> None:
        """The stick was pulled: a failure within UNPLUGGED_S before does not count."""
        self._failures_s = [each for each in self._failures_s if each < now_s - UNPLUGGED_S]

    def opened(self, device: int, now_s: float) -> str | None:
        """The stick is open and takes `device` requests. Returns the log line of a lowered limit; None: the limit is unchanged."""
        self._device, self._quiet_since_s = device, now_s
        on_trial = self._trial_s is not None and now_s - self._trial_s < WINDOW_S
        count, before = len(self._failures_s), self.allowed
        if before == 1 or count < (1 if on_trial else FAILURES):
            return None
        if on_trial:
            self._wait_s = min(2 * self._wait_s, LAST_TRIAL_S)
        self._failures_s, self._trial_s, self.limit = [], None, before // 2
        times = "once" if count == 1 else f"{count} times"
        return f"failed {times} with {before} requests in flight: {self.limit} at most from now on"

    def raise_due(self, now_s: float) -> str | None:
        """Raise the limit on trial when its time has come. Returns the log line of a raised limit."""
        if self._trial_s is not None and now_s - self._trial_s >= WINDOW_S:
            # the trial is passed
            self._trial_s, self._wait_s = None, FIRST_TRIAL_S
            self._quiet_since_s = max(self._quiet_since_s, now_s)
        if self._trial_s is not None or self.allowed >= self._device or now_s - self._quiet_since_s < self._wait_s:
            return None
        limit = min(2 * self.allowed, self._device)
        self.limit, self._trial_s, self._failures_s = (None if limit == self._device else limit), now_s, []
        return f"worked for {self._wait_s / 3600:.0f} h without failure: {limit} requests in flight at most, on trial"
