"""What follows for one stick from inferences that take longer: a lower limit where it has a sensor, else a smaller duty.

With a sensor that reads within NEAR_K of the switch temperature, the stick throttles earlier than was assumed: its ceiling becomes
1 K less than that reading, so that it rests at once. The ceiling rises by 1 K after an hour without a slowdown; each slowdown
doubles that time. A sensor that reads less says that heat is not the reason: nothing but an event follows.

Without a sensor the duty goes down until the time is as usual, and up again with care (after AIMD: Chiu and Jain, "Analysis of the
increase and decrease algorithms for congestion avoidance", 1989; the slow approach to the last known bound is that of CUBIC,
RFC 9438):

    at a slowdown   bound = work of the last minute;  duty = CUT bound, again each CUT_S while it stays slow
    as usual        duty += FAST each FAST_S below NEAR bound, then SLOW each wait; each slowdown doubles the wait

A stick that is no faster NOT_HEAT_S after its duty was cut is slow for another reason: that time is the usual one from then on.
Times are plant seconds, except those of inferences.
"""

from __future__ import annotations

import math

NEAR_K = 15.0
BELOW_K = 1.0
CEILING_S, LONGEST_CEILING_S = 3600.0, 24 * 3600.0
CUT, CUT_S, LEAST_DUTY = 0.7, 60.0, 0.05
NEAR, FAST, FAST_S = 0.9, 0.02, 20.0
SLOW, SLOW_S, LONGEST_SLOW_S = 0.005, 60.0, 1920.0
NOT_HEAT_S = 900.0
WORK_TAU_S = 60.0


class Throttling:
    """Of one stick. It outlives its worker."""

    def __init__(self) -> None:
        self.ceiling_c: float | None = None
        """Below the switch temperature; None: nothing was learned."""
        self.duty = 1.0
        """The largest duty it may have."""
        self.since_s: float | None = None
        """When it was found to be slow; None: it is not."""
        self._paced = False
        """Its duty was cut for the present slowdown."""
        self._bound = 1.0
        self._next_s = 0.0
        """When the duty changes next."""
        self._slow_s, self._ceiling_s = SLOW_S, CEILING_S
        self._rises_s = math.inf
        """When the ceiling rises."""
        self._lowered_s = -math.inf
        self._work = 0.0
        """Share of the time at work, over the last minute."""
        self._worked: tuple[float, float] | None = None
        self._followed_s = 0.0

    def follow_work(self, worked_s: float, now_s: float) -> None:
        """It has worked for so long since it was opened."""
        before, self._worked = self._worked, (now_s, worked_s)
        if before is None or worked_s < before[1] or now_s <= before[0]:
            return
        dt_s = now_s - before[0]
        share = min(1.0, (worked_s - before[1]) / dt_s)
        self._followed_s += dt_s
        # a plain mean in the first minute
        self._work += max(1.0 - math.exp(-dt_s / WORK_TAU_S), dt_s / self._followed_s) * (share - self._work)

    def began(self, reading_c: float | None, switch_temp_c: float, now_s: float, *, has_sensor: bool) -> str:
        """It has become slow. Returns what follows, for the event."""
        self.since_s, self._paced = now_s, False
        if has_sensor:
            return self._lower(reading_c, switch_temp_c, now_s)
        if self._bound < 1.0:
            self._slow_s = min(2 * self._slow_s, LONGEST_SLOW_S)
        # what it has done counts, not what it might have done
        self._bound = min(self.duty, max(LEAST_DUTY, self._work))
        self._cut(now_s)
        return f"works {100 * self.duty:.0f} % of the time until it is faster"

    def goes_on(self, reading_c: float | None, switch_temp_c: float, now_s: float, *, has_sensor: bool) -> None:
        """It is still slow, by inferences of now. One that has rested since the ceiling was lowered throttles at less than that."""
        if has_sensor and now_s >= self._lowered_s + CUT_S:
            self._lower(reading_c, switch_temp_c, now_s)

    def ended(self, now_s: float) -> None:
        """It is as fast as usual."""
        self.since_s = None
        self._next_s = now_s + FAST_S

    def tick(self, switch_temp_c: float, now_s: float) -> bool:
        """Change the duty or the ceiling when that is due. True: the stick is slow, but not by heat; it counts as usual now."""
        if self.ceiling_c is not None and now_s >= self._rises_s:
            raised_c = self.ceiling_c + BELOW_K
            self.ceiling_c = raised_c if raised_c < switch_temp_c else None
            self._rises_s = now_s + self._ceiling_s
        if self.since_s is None:
            if self.duty < 1.0 and now_s >= self._next_s:
                self._raise(now_s)
            return False
        if self._paced and now_s >= self.since_s + NOT_HEAT_S:
            self.since_s, self.duty, self._bound, self._slow_s = None, 1.0, 1.0, SLOW_S
            return True
        if self._paced and now_s >= self._next_s:
            self._cut(now_s)
        return False

    def _lower(self, reading_c: float | None, switch_temp_c: float, now_s: float) -> str:
        if reading_c is None:
            return "its temperature is unknown"
        if reading_c < switch_temp_c - NEAR_K:
            return f"at {reading_c:.1f} °C, so not by heat"
        if self.ceiling_c is not None:
            self._ceiling_s = min(2 * self._ceiling_s, LONGEST_CEILING_S)
        self._rises_s, self._lowered_s = now_s + self._ceiling_s, now_s
        lower_c = reading_c - BELOW_K
        if lower_c >= (switch_temp_c if self.ceiling_c is None else self.ceiling_c):
            return f"at {reading_c:.1f} °C"
        self.ceiling_c = lower_c
        return f"at {reading_c:.1f} °C: no frame from {lower_c:.1f} °C on"

    def _cut(self, now_s: float) -> None:
        self.duty = max(LEAST_DUTY, CUT * (self.duty if self._paced else self._bound))
        self._paced, self._next_s = True, now_s + CUT_S

    def _raise(self, now_s: float) -> None:
        if self.duty < NEAR * self._bound:
            self.duty = min(NEAR * self._bound, self.duty + FAST)
            self._next_s = now_s + FAST_S
        else:
            self.duty = min(1.0, self.duty + SLOW)
            self._next_s = now_s + self._slow_s
        if self.duty >= 1.0:
            self._bound, self._slow_s = 1.0, SLOW_S
