"""Decides how fast the fan turns: by the smallest headroom of the sticks, in K; at full speed where that is not known.

    duty
     1.0  ------------\\
                       \\   off_above_k, full_below_k: where it is off, and where it is at full speed
    least               \\
     0.0                 |----------
                 full    off        headroom

A smaller headroom counts at once, a larger one less `hysteresis_k`: noise of the headroom changes nothing. Once the fan turns it
turns for `least_run_s`. Times are real seconds, also where simulated heat runs faster.
"""

from __future__ import annotations

from collections.abc import Iterable

from ncs_cluster.core.actions import Action, LogEvent, SetFan
from ncs_cluster.core.regulator import Regulator
from ncs_cluster.core.stick import Stick
from ncs_cluster.specs import FanSpec

LOOK_S = 1.0
SAID_AFTER_S = 10.0
"""A headroom that is unknown for a shorter time is no event: a stick that is opened has no reading for some seconds."""
UNKNOWN = "no stick's temperature is known"


class Fan:
    """One fan for all pools. It looks once in LOOK_S and tells the duty each time: who sets the fan sees that the loop lives."""

    def __init__(self, spec: FanSpec) -> None:
        self.spec = spec
        self.duty = 1.0
        self._began_s: float | None = None
        """When the fan began to turn; None: the fan is off, or its first duty is not decided yet."""
        self._unknown_s: float | None = None
        """Since when the headroom is unknown."""
        self._said = False
        self._next_s = 0.0

    def look(self, regulators: Iterable[Regulator], now_s: float) -> list[Action]:
        """Called at ticks."""
        if now_s < self._next_s:
            return []
        self._next_s = now_s + LOOK_S
        headroom_k, why = smallest_headroom(regulators, now_s)
        self.turn(headroom_k, now_s)
        return [*self._say(why, now_s), SetFan(self.duty)]

    def turn(self, headroom_k: float | None, now_s: float) -> None:
        """Sets `duty` for this headroom; None: it is not known."""
        before = self.duty if self._began_s is not None else 0.0
        if headroom_k is None:
            self.duty = 1.0
        else:
            self.duty = max(self._curve(headroom_k), min(before, self._curve(headroom_k - self.spec.hysteresis_k)))
        if self._began_s is not None and not self.duty and now_s < self._began_s + self.spec.least_run_s:
            self.duty = self.spec.least_duty
        if not self.duty:
            self._began_s = None
        elif self._began_s is None:
            self._began_s = now_s

    def _curve(self, headroom_k: float) -> float:
        spec = self.spec
        if headroom_k >= spec.off_above_k:
            return 0.0
        part = min(1.0, (spec.off_above_k - headroom_k) / (spec.off_above_k - spec.full_below_k))
        return spec.least_duty + (1.0 - spec.least_duty) * part

    def _say(self, why: str, now_s: float) -> list[Action]:
        """One event when the headroom has been unknown for SAID_AFTER_S, one when it is known again."""
        if not why:
            self._unknown_s, said, self._said = None, self._said, False
            return [LogEvent("info", "fan", "follows the headroom of the sticks again")] if said else []
        if self._unknown_s is None:
            self._unknown_s = now_s
        if self._said or now_s - self._unknown_s < SAID_AFTER_S:
            return []
        self._said = True
        return [LogEvent("warning", "fan", f"at full speed: {why}")]


def smallest_headroom(regulators: Iterable[Regulator], now_s: float) -> tuple[float | None, str]:
    """The smallest headroom of all sticks in K, or None and the reason why it is not known. Sticks without a sensor, and unplugged
    ones, do not count; one with a sensor and without a reading makes it unknown. A throttled stick has 0 K."""
    smallest: float | None = None
    for regulator in regulators:
        plant_s = now_s * regulator.spec.time_scale
        for stick in regulator.members:
            if not stick.present or stick.removed or not stick.zone.has_sensor:
                continue
            if regulator.shadow.is_suspect(stick.spec.id) or not _has_reading(stick, plant_s):
                return None, f"{stick.label} has no temperature that can be trusted"
            headroom_k = 0.0 if stick.throttle_level else regulator.shadow.headroom_c(stick.spec.id)
            if headroom_k is not None and (smallest is None or headroom_k < smallest):
                smallest = headroom_k
    return smallest, "" if smallest is not None else UNKNOWN


def _has_reading(stick: Stick, plant_s: float) -> bool:
    return stick.child.running and stick.zone.temperature_c(plant_s) is not None
