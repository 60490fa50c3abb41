"""How the daemon ends, within LONGEST_S: no new frames; what is under way finishes; sources and sticks close; what they led to is
written; then sink and page; then nothing is left.
"""

from __future__ import annotations

from collections.abc import Callable

from ncs_cluster.core.actions import Action, Exit, Kill, LogEvent
from ncs_cluster.core.child import Child

DRAIN_S = 2.0
"""How long what is under way may take."""
CLOSE_S = 0.5
"""How long the last answers may come while sticks are being closed."""
WRITE_S = 1.0
"""How much longer results may take to be written."""
LONGEST_S = 4.5


class Shutdown:
    """The steps, each taken when the one before is done or has taken too long."""

    def __init__(self, producers: list[Child], consumers: list[Child], now_s: float) -> None:
        """`producers`: sources and sticks. `consumers`: sink and page, which go last."""
        self.began_s = now_s
        self._producers = producers
        self._consumers = consumers
        self._step = 0

    @property
    def closing(self) -> bool:
        """Sticks are being closed: they get no more work."""
        return self._step > 0

    def too_late(self, now_s: float) -> bool:
        """What is not finished now will not be: there must be time left to write what it held back."""
        closed = not any(child.alive for child in self._producers)
        return self.closing and (closed or now_s - self.began_s > DRAIN_S + CLOSE_S)

    def advance(self, now_s: float, *, drained: Callable[[], bool], written: Callable[[], bool]) -> list[Action]:
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
        everybody = [*self._producers, *self._consumers]
        if self._step == 2 and not any(child.alive for child in everybody):
            return [*actions, LogEvent("info", "daemon", "stopped"), Exit(0)]
        if waited_s > LONGEST_S:
            return [
                *actions,
                LogEvent("warning", "daemon", f"some processes did not stop within {LONGEST_S} s: killed"),
                *killed(everybody),
                Exit(0),
            ]
        return actions


def killed(children: list[Child]) -> list[Action]:
    """End them all at once."""
    return [Kill(child.endpoint) for child in children if child.alive]
