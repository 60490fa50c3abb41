"""Waits between connections to a server of other people. Runs on CPython 3.9."""

from __future__ import annotations

import random
from typing import Callable

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
STABLE_S = 30.0
"""A connection that held for longer was a good one: the next is tried soon."""


class Backoff:
    """Waits between connections: twice as long each time, less a random half, so that many daemons do not come back at once."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._failures = 0

    def next_s(self) -> float:
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return wait_s * (1.0 - 0.5 * self._chance())

    def held(self, connected_s: float) -> None:
        """The connection that has ended was there for so long."""
        if connected_s >= STABLE_S:
            self._failures = 0
