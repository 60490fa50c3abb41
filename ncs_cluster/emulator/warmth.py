"""Temperature of an emulated stick: the model of `ncs_cluster.thermal`, driven by the stick's busy time. Pure."""

from __future__ import annotations

from ncs_cluster.thermal import AMBIENT_C, Heat, Plant, throttle_level

STEP_S = 0.05
"""Seconds; shorter steps are deferred."""


class Warmth:
    """`scale`: thermal time runs so many times faster. `enabled` False: the temperature stays constant."""

    def __init__(
        self,
        initial_c: float | None,
        ambient_c: float = AMBIENT_C,
        scale: float = 1.0,
        *,
        enabled: bool = True,
        plant: Plant | None = None,
    ) -> None:
        start_c = ambient_c if initial_c is None else initial_c
        self.level = throttle_level(0, start_c)
        self.wave_k = 0.0
        """Kelvin added to the ambient temperature."""
        self._plant, self._heat, self._ambient_c = plant or Plant(), Heat(start_c, start_c), ambient_c
        self._scale, self._enabled = scale, enabled
        self._told_s: float | None = None
        self._work_s = 0.0

    @property
    def die_c(self) -> float:
        return self._heat.die_c

    def works(self, for_s: float) -> None:
        """Add busy time, in seconds."""
        self._work_s += for_s

    def advance(self, now_s: float, ahead_s: float) -> None:
        """Advance to `now_s`; `ahead_s` of the added busy time lies in the future."""
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
