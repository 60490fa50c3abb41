"""How warm an emulated stick is: the model of `ncs_cluster.thermal`, fed with the time the stick has worked. Pure."""

from __future__ import annotations

from ncs_cluster.thermal import AMBIENT_C, Heat, Plant, throttle_level

STEP_S = 0.05
"""Shorter steps are not worth their arithmetic."""


class Warmth:
    """`scale`: heat runs so many times faster than the clock. `enabled` False: it stays as it began."""

    def __init__(self, initial_c: float | None, ambient_c: float = AMBIENT_C, scale: float = 1.0, *, enabled: bool = True) -> None:
        start_c = ambient_c if initial_c is None else initial_c
        self.level = throttle_level(0, start_c)
        self.wave_k = 0.0
        """The air around is so much warmer."""
        self._plant, self._heat, self._ambient_c = Plant(), Heat(start_c, start_c), ambient_c
        self._scale, self._enabled = scale, enabled
        self._told_s: float | None = None
        self._work_s = 0.0

    @property
    def die_c(self) -> float:
        return self._heat.die_c

    def works(self, for_s: float) -> None:
        """So much work has been taken on."""
        self._work_s += for_s

    def advance(self, now_s: float, ahead_s: float) -> None:
        """Bring it up to now; `ahead_s` of the work taken on is still to be done."""
        if self._told_s is None:
            self._told_s = now_s
        dt_s = now_s - self._told_s
        if dt_s < STEP_S or not self._enabled:
            return
        ahead_s = min(max(0.0, ahead_s), self._work_s)
        done_s, self._work_s = self._work_s - ahead_s, ahead_s
        self._heat = self._plant.step(self._heat, dt_s * self._scale, min(1.0, done_s / dt_s), self._ambient_c + self.wave_k)
        self.level = throttle_level(self.level, self._heat.die_c)
        self._told_s = now_s
