"""Does a sensor see its die? One that errs and rounds around a die that it does not see looks like one of a stick at its limit.

Sticks share the air. Where the air of one seems to have become PARTED_K colder beside the median of the pool, either it has, or the
sensor has missed what the others saw, and its stick would be worked too hard. A rest tells the two apart: with e the fall of the
die that the model expects in it, and s the one that the readings show,

    seen = sum e s / sum e^2        by least squares; its standard deviation is that of a reading / sqrt(sum e^2)

A stick rests until sum e^2 is ENOUGH_K2, some 15 s of one that worked half of its time. A sensor that sees less than SEEN of the
fall is blind until it sees SEEN_AGAIN: its stick hardly works, so that the fall goes on. Sums forget what is older than MEMORY_S.

Where the air is the same everywhere no stick rests. Nothing is found on a single stick, on half of the sticks together, or in a
sensor that has been blind from the start.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping

from ncs_cluster.policies._die_filter import IDLE_W, response
from ncs_cluster.policies._dies import Die
from ncs_cluster.types import StickId

PARTED_K = 5.0
"""Figures of sticks that differ by a fifth part their airs by 2 K when the air becomes 15 K warmer."""
KNOWN_S = 900.0
"""A die known for less time has an air that is still being learned."""
ENOUGH_K2, SEEN, SEEN_AGAIN = 100.0, 0.3, 0.6
"""A sensor that follows its die with a time constant of 5 s sees half of the fall; noise of 0.5 K alone 0.05 of it. One that is
blind has time to show the whole fall."""
LONGEST_S, AGAIN_S = 60.0, 900.0
"""A rest that tells nothing ends; after a rest the stick is left alone for so long."""
LEAST_FALL_K = 2.0
"""A stick that would fall by less in half of LONGEST_S works too little to be over the limit by much."""
MEMORY_S = 60.0


class SensorChecks:
    """Of one pool. At most one stick rests at a time."""

    def __init__(self) -> None:
        self.resting: StickId | None = None
        """The stick that rests for the sake of its sensor."""
        self._usual_k: dict[StickId, float] = {}
        """By how much the air of each stick was warmer than the pool's median when its sensor was last trusted."""
        self._rests: dict[StickId, Rest] = {}
        """Of the stick that rests, and of those whose sensor is blind."""
        self._not_before_s: dict[StickId, float] = {}

    def look(self, dies: Mapping[StickId, Die], able: Collection[StickId], now_s: float) -> list[StickId]:
        """A second is over. `able`: the sticks that may work. Returns those whose blind sensor sees again: what is known of their
        dies is wrong."""
        self._rests = {stick: rest for stick, rest in self._rests.items() if dies.get(stick) is rest.die}
        again = []
        for stick, rest in list(self._rests.items()):
            was_blind = rest.die.blind
            rest.look()
            if rest.certain:
                rest.die.blind = rest.seen < (SEEN_AGAIN if was_blind else SEEN)
            if not rest.die.blind and (rest.certain or now_s - rest.began_s >= LONGEST_S):
                del self._rests[stick]
                self._usual_k.clear()
                self._not_before_s[stick] = now_s + AGAIN_S
                again += [stick] * was_blind
        self.resting = next((stick for stick, rest in self._rests.items() if not rest.die.blind), None)
        parted_k = self._parted_k(dies)
        if self.resting is None and parted_k:
            stick = min(parted_k, key=parted_k.__getitem__)
            due = parted_k[stick] <= -PARTED_K and now_s >= self._not_before_s.get(stick, now_s)
            if due and stick in able and dies[stick].forecast_c(LONGEST_S / 2, 0.0) < dies[stick].filter.die_c - LEAST_FALL_K:
                self._rests[stick], self.resting = Rest(dies[stick], now_s), stick
        return again

    def _parted_k(self, dies: Mapping[StickId, Die]) -> dict[StickId, float]:
        """By how much the air of each stick has become warmer beside the pool's median. Anew when other sticks are compared."""
        airs_c = {stick: die.filter.air_c for stick, die in dies.items() if die.age_s >= KNOWN_S and not die.suspect}
        if len(airs_c) < 2:
            return {}
        usual_c = statistics.median(airs_c.values())
        beside_k = {stick: air_c - usual_c for stick, air_c in airs_c.items()}
        if self._usual_k.keys() != beside_k.keys():
            self._usual_k = beside_k
        return {stick: value - self._usual_k[stick] for stick, value in beside_k.items()}


class Rest:
    """From a moment on a stick does no work, or hardly any."""

    def __init__(self, die: Die, now_s: float) -> None:
        self.die, self.began_s = die, now_s
        state = die.filter
        self._at_s, self._read_s = die.at_s, die.read_s
        self._state, self._unit = (state.die_c, state.case_c, state.air_c, IDLE_W), state.unit
        # where the sensor is blind, the filter may think the die warmer than it reads
        self._from_c = die.mean_c
        self._product = self._square = 0.0

    @property
    def seen(self) -> float:
        """The share of the fall that the readings show."""
        return self._product / self._square if self._square else 1.0

    @property
    def certain(self) -> bool:
        return self._square >= ENOUGH_K2

    def look(self) -> None:
        """Take in the newest reading."""
        since_s = self.die.read_s - self._read_s
        if since_s <= 0.0:
            return
        self._read_s = self.die.read_s
        row, _ = response(round(self._read_s - self._at_s, 2), self._unit)
        expected_k = self._state[0] - sum(share * value for share, value in zip(row, self._state, strict=True))
        kept = max(0.0, 1.0 - since_s / MEMORY_S)
        self._product = kept * self._product + expected_k * (self._from_c - self.die.reading_c)
        self._square = kept * self._square + expected_k * expected_k
