"""Tells the core which sticks are plugged in. Simulated ones sit on a bus of their own, where an operator may pull one."""

from __future__ import annotations

from ncs_cluster.core.events import StickFound, StickGone
from ncs_cluster.specs import StickSpec
from ncs_cluster.types import StickId

UNPLUGGED_S = 5.0
"""How long a pulled simulated stick stays away."""


class SimulatedBus:
    """Where simulated sticks come back to."""

    def __init__(self, sticks: list[StickSpec]) -> None:
        self._sticks = {stick.id: stick for stick in sticks}
        self._away: dict[StickId, float] = {}

    def unplug(self, stick: StickId, now_s: float) -> list[StickGone]:
        if stick not in self._sticks or stick in self._away:
            return []
        self._away[stick] = now_s + UNPLUGGED_S
        return [StickGone(stick)]

    def wake(self, now_s: float) -> list[StickFound]:
        """Sticks that have been plugged in again."""
        back = [stick for stick, when_s in self._away.items() if when_s <= now_s]
        for stick in back:
            del self._away[stick]
        return [StickFound(self._sticks[stick]) for stick in back]

    @property
    def deadline_s(self) -> float | None:
        return min(self._away.values(), default=None)
