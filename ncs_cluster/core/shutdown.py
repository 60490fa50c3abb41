"""The shutdown, in at most LONGEST_S: drain (no new frames; frames in flight finish), stop cameras and workers, write the remaining
results, stop sinks and gateway, exit.
"""

from __future__ import annotations

from collections.abc import Callable

from ncs_cluster.core.actions import Action, Exit, Kill, LogEvent
from ncs_cluster.core.child import Child

DRAIN_S = 2.0
"""Longest time for frames in flight to finish."""
CLOSE_S = 0.5
"""Longest additional time for answers while the workers close their sticks."""
WRITE_S = 1.0
"""Longest additional time for results to be written."""
LONGEST_S = 4.5


class Shutdown:
    """The steps of the shutdown; each begins when the one before is done or its time is over."""

    def __init__(self, producers: list[Child], consumers: list[Child], now_s: float) -> None:
        """`producers`: cameras and workers. `consumers`: sinks, intakes and gateway, which stop last."""
        self.began_s = now_s
        self._producers = producers
        self._consumers = consumers
        self._step = 0

    @property
    def closing(self) -> bool:
        """Cameras and workers are stopping: no unit is assigned any more."""
        return self._step > 0

    def too_late(self, now_s: float) -> bool:
        """Open units are given up now, so that time is left to write the results that waited for them."""
        closed = not any(child.alive for child in self._producers)
        return self.closing and (closed or now_s - self.began_s > DRAIN_S + CLOSE_S)

    def advance(self, now_s: float, *, drained: Callable[[], bool], written: Callable[[], bool]) -> list[Action]:
        """Call it after each event: a child that has exited may be the last one that is waited for."""
        waited_s = now_s - self.began_s
        actions: list[Action] = []
        if self._step == 0 and (drained() or waited_s > DRAIN_S):
            self._step = 1
            for child in self._producers:
                actions += child.stop(now_s)
        closed = not any(child.alive for child in self._producers)
        if self._step == 1 and ((closed and written()) or waited_s > DRAIN_S + WRITE_S):
            self._step = 2
            for child in self._consumers:
                actions += child.stop(now_s)
        children = [*self._producers, *self._consumers]
        if self._step == 2 and not any(child.alive for child in children):
            self._step = 3
            return [*actions, LogEvent("info", "daemon", "stopped"), Exit(0)]
        if self._step < 3 and waited_s > LONGEST_S:
            self._step = 3
            return [
                *actions,
                LogEvent("warning", "daemon", f"some processes did not stop within {LONGEST_S} s: killed"),
                *killed(children),
                Exit(0),
            ]
        return actions


def killed(children: list[Child]) -> list[Action]:
    """Kill every child that is alive."""
    return [Kill(child.endpoint) for child in children if child.alive]
