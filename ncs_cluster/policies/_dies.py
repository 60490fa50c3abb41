"""The dies of a pool as a policy knows them: one filter for each stick, fed by every view."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ncs_cluster.policies._die_filter import IDLE_W, WORK_W, DieFilter, response
from ncs_cluster.policies.base import StickView, View
from ncs_cluster.specs import DieFigures
from ncs_cluster.types import StickId

SURPRISE_K = 8.0
"""A reading so far from the forecast is another stick's, or the clock has jumped: the filter begins anew."""
LOST_S = 60.0
"""After so long without a reading too."""
LATE_S = 2.0
"""A filter without a new reading for so long goes on by the model."""
WORK_S = 60.0
MEAN_OVER = 10.0
FROZEN_RUN = 14.0
"""So many times less likely than not, in powers of e, that a sensor that works repeats itself so often."""


STILL_WORK_S = 20.0
"""Seconds of work that make a die about 8 K warmer after a pause. A sensor whose reading has never changed by then counts as
absent."""


class Dies:
    """Known dies by stick. A stick that is closed is forgotten; one without a sensor is never known.

    A sensor that repeats its first reading though its stick works counts as none, until it says something else: a simulated stick
    without heat is like that. One that has moved once, and repeats itself then, is frozen, also after its stick was opened again.
    """

    def __init__(self, calibrated: Mapping[StickId, DieFigures] | None = None) -> None:
        """`calibrated`: figures of sticks that were measured; the others have the usual ones."""
        self.known: dict[StickId, Die] = {}
        self._calibrated = calibrated or {}
        self._moved: set[StickId] = set()
        self._still_c: dict[StickId, float] = {}
        """What a sensor that counts as none says."""

    def follow(self, view: View) -> None:
        """Take in what is new in this view."""
        for stick in view.sticks:
            self._follow(stick, view.now_s)
        present = {stick.id for stick in view.sticks}
        for gone in [stick for stick in self.known if stick not in present]:
            del self.known[gone]
        self._moved &= present

    def renew(self, stick: StickId) -> None:
        """Begin anew with the newest reading of this die."""
        die = self.known[stick]
        self.known[stick] = Die(die.reading_c, die.read_s, die.worked_s, self._calibrated.get(stick))

    def _follow(self, stick: StickView, now_s: float) -> None:
        reading_c, read_s = (stick.temperature_c, now_s) if stick.read_s is None else (stick.reading_c, stick.read_s)
        worked_s = stick.worked_s if stick.worked_read_s is None else stick.worked_read_s
        die = self.known.get(stick.id)
        if die is not None and now_s < die.at_s:
            die.turn_back(die.at_s - now_s)
        if read_s > now_s:
            return
        if self._still_c.get(stick.id) == reading_c and stick.usable:
            return
        if self._still_c.pop(stick.id, None) is not None and reading_c is not None and stick.usable:
            self._moved.add(stick.id)
        if not stick.usable or reading_c is None:
            if not stick.usable or not stick.hot:
                self.known.pop(stick.id, None)
            return
        if die is None or read_s - die.at_s > LOST_S or stick.worked_s < die.worked_s:
            self.known[stick.id] = Die(reading_c, read_s, worked_s, self._calibrated.get(stick.id))
        elif read_s > die.read_s:
            die.go_on(read_s, worked_s)
            if not die.read(reading_c, read_s):
                self.known[stick.id] = Die(reading_c, read_s, worked_s, self._calibrated.get(stick.id))
            self._judge_still(stick.id, die, reading_c)
        elif now_s - die.at_s > LATE_S:
            die.go_on(now_s, stick.worked_s)

    def _judge_still(self, stick: StickId, die: Die, reading_c: float) -> None:
        """Has the sensor ever moved? Where it should have, and has not, it counts as none."""
        if die.moved:
            self._moved.add(stick)
        die.moved = stick in self._moved
        if die.suspect and not die.moved and die.worked_s - die.first_worked_s >= STILL_WORK_S:
            self.known.pop(stick)
            self._still_c[stick] = reading_c


class Die:
    """One stick's die, from its first reading on."""

    def __init__(self, reading_c: float, read_s: float, worked_s: float, figures: DieFigures | None = None) -> None:
        self.filter = DieFilter(reading_c, figures)
        self.since_s = self.at_s = self.read_s = read_s
        """When it became known; what the filter stands for; the newest reading."""
        self.worked_s = self.first_worked_s = worked_s
        self.moved = False
        """The sensor has said something else than its first reading, here or before its stick was opened again."""
        self.work = 0.0
        """Share of the time at work, over the last WORK_S."""
        self.score = self.info = 0.0
        """Of the readings since somebody set them to 0."""
        self.unsettled_until_s = -math.inf
        """The air may be changing until then."""
        self.blind = False
        """The sensor does not see the die, by `_sensor_checks`."""
        self.reading_c = reading_c
        """The newest reading."""
        self.mean_c = reading_c
        """The mean of the last readings, of about MEAN_OVER."""
        self._frozen = False
        self._same_share, self._same_run = 0.5, 0

    @property
    def suspect(self) -> bool:
        """The sensor repeats itself improbably often, as if it were frozen, or is blind: readings count for nothing."""
        return self._frozen or self.blind

    @property
    def age_s(self) -> float:
        return self.at_s - self.since_s

    def forecast_c(self, after_s: float, work: float = 1.0) -> float:
        """The die's temperature `after_s` from the newest reading, when the stick works for this share of the time."""
        state = self.filter
        (by_die, by_case, by_air, by_power), _ = response(after_s, state.unit)
        power_w = IDLE_W + state.gain * WORK_W * work
        return by_die * state.die_c + by_case * state.case_c + by_air * state.air_c + by_power * power_w

    def turn_back(self, by_s: float) -> None:
        """The clock has jumped back: what the filter stands for is now all the same."""
        self.since_s, self.at_s, self.read_s = self.since_s - by_s, self.at_s - by_s, self.read_s - by_s
        self.unsettled_until_s -= by_s

    def go_on(self, now_s: float, worked_s: float) -> None:
        """The filter's forecast for `now_s`, by the work done since."""
        dt_s = now_s - self.at_s
        if dt_s <= 0:
            return
        work = min(1.0, max(0.0, worked_s - self.worked_s) / dt_s)
        # a plain mean until it is known for so long
        self.work += max(1.0 - math.exp(-dt_s / WORK_S), min(1.0, dt_s / (self.age_s + dt_s))) * (work - self.work)
        self.filter.predict(dt_s, work, unsettled=now_s < self.unsettled_until_s)
        self.at_s, self.worked_s = now_s, worked_s

    def read(self, reading_c: float, read_s: float) -> bool:
        """A reading of now. False: it cannot be this die's."""
        self.read_s = read_s
        self._check_frozen(reading_c)
        if self.suspect:
            return True
        if abs(reading_c - self.filter.die_c) > SURPRISE_K:
            return False
        score, info = self.filter.update(reading_c)
        self.score += score
        self.info += info
        return True

    def _check_frozen(self, reading_c: float) -> None:
        """How likely a reading equals the last one is learned from this sensor."""
        same, self.reading_c = reading_c == self.reading_c, reading_c
        self.mean_c += (reading_c - self.mean_c) / MEAN_OVER
        self.moved = self.moved or not same
        self._same_run = self._same_run + 1 if same else 0
        self._frozen = -math.log(max(self._same_share, 0.3)) * self._same_run > FROZEN_RUN
        if not self._frozen:
            self._same_share += 0.002 * (same - self._same_share)
