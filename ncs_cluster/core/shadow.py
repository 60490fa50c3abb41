"""What `predictive` would do with a pool, beside the policy that is active: from the same readings, its duties not applied.

It looks once in a plant second. Figures are there when they are settled, and a sentence when its figures have differed for
SAID_AFTER_S; both have a hysteresis, so that nothing flaps. A pool without a temperature has no figures, and costs nothing.

A stick's figures are settled when its die is known for SETTLED_S, its sensor is not suspect, the air was steady for 400 s, and the
filter's own standard deviation of the sustained duty is at most SETTLED_SIGMA. The pool's are settled when those of all usable
sticks are, and their sum has changed by at most SETTLED_DRIFT in DRIFT_S. Twice as much unsettles them again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from ncs_cluster.policies.base import Policy, View
from ncs_cluster.policies.outlook import beside_peers, mean_weight, rises_k_w, seconds_until, sigma, sustained
from ncs_cluster.policies.predictive import FROZEN_DUTY, Predictive
from ncs_cluster.types import StickId

SETTLED_S = 900.0
SETTLED_SIGMA, SETTLED_DRIFT, DRIFT_S = 0.04, 0.03, 120.0
WORK_S, LONG_S, ALLOWED_S = 30.0, 300.0, 300.0
"""Over which the work for the headroom, the work for the cooling, and the rate of the active policy are averaged."""
FORESEEN_S = 30.0
"""A die known for less time has no headroom in seconds."""
CAUTION = 0.75
"""One forecast in ten is late by half in the thermal laboratory."""
SAID_AFTER_S = 60.0
GAIN_SAID, GAIN_DROPPED, COST_SAID = 0.08, 0.04, 0.04
"""A gain over the active policy's rate that is said, and below which it is dropped; a part of it that is worth its own words."""
WORSE_SAID, WORSE_DROPPED = 0.25, 0.17
HELD = 0.06
"""A figure in a sentence stays until it is off by more than this share."""


class StickFigures:
    """Of one stick that has a temperature. `sustainable` is a duty, None until it is settled."""

    def __init__(self, now_s: float, worked_s: float) -> None:
        self.sustainable: float | None = None
        self.rate: float | None = None
        """Inferences per second at full work."""
        self.worse: float | None = None
        """By what share it cools worse than its peers, where that is said."""
        self.work = self.long_work = 0.0
        self._since_s, self.at_s, self._worked_s = now_s, now_s, worked_s
        self._worse = Said(WORSE_SAID, WORSE_DROPPED)

    def add(self, now_s: float, worked_s: float) -> None:
        """Average the work done since the last call."""
        dt_s, done_s = now_s - self.at_s, worked_s - self._worked_s
        self.at_s, self._worked_s = now_s, worked_s
        if dt_s <= 0.0 or done_s < 0.0:
            return
        share, known_s = min(1.0, done_s / dt_s), now_s - self._since_s
        self.work += mean_weight(dt_s, WORK_S, known_s) * (share - self.work)
        self.long_work += mean_weight(dt_s, LONG_S, known_s) * (share - self.long_work)

    def compare(self, worse: float | None, now_s: float) -> None:
        if self._worse.judge(worse, now_s) and worse is not None:
            self.worse = steadied(self.worse, worse, HELD)
        elif not self._worse.said:
            self.worse = None


class Said:
    """Whether something is worth saying: from `over` for SAID_AFTER_S on, until it was under `under` for so long, or is unknown."""

    def __init__(self, over: float, under: float) -> None:
        self._over, self._under = over, under
        self.said = False
        self._since_s: float | None = None

    def judge(self, value: float | None, now_s: float) -> bool:
        if value is None:
            self.said, self._since_s = False, None
            return False
        changes = value < self._under if self.said else value >= self._over
        if not changes:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s
        elif now_s - self._since_s >= SAID_AFTER_S:
            self.said, self._since_s = not self.said, None
        return self.said


class Shadow:
    """Of one pool. Rates are inferences per real second."""

    def __init__(self) -> None:
        self.sticks: dict[StickId, StickFigures] = {}
        self.settled = False
        self.unlimited: float | None = None
        """What `predictive` would sustain without a cluster size."""
        self.with_size: float | None = None
        """With it."""
        self.allowed: float | None = None
        """What the active policy lets the sticks do, on average over ALLOWED_S."""
        self.said: list[str] = []
        self._own = Predictive()
        self._asked = self._own
        """The one whose dies count: the active policy where that is `predictive`."""
        self._name = ""
        self._limits_c: dict[StickId, float] = {}
        """Of each stick the switch temperature, or what it learned to throttle at where that is less."""
        self._duties: Mapping[StickId, float] = {}
        self._second: int | None = None
        self._totals: deque[tuple[float, float]] = deque()
        self._allowed_since_s = self._allowed_s = 0.0
        self._gain = Said(GAIN_SAID, GAIN_DROPPED)
        self._figures: tuple[float, float, float] | None = None

    def is_due(self, view: View) -> bool:
        """A plant second is over, and there is a temperature."""
        return math.floor(view.now_s) != self._second and (
            bool(self.sticks) or any(each.read_s is not None for each in view.sticks)
        )

    def look(self, view: View, policy: Policy, name: str, duties: Mapping[StickId, float], rates: Mapping[StickId, float]) -> None:
        """The view that the active policy was shown, the duties in force, and each stick's rate at full work where it is known."""
        self._second, self._duties = math.floor(view.now_s), duties
        self._limits_c = {
            each.id: view.limit_c if each.ceiling_c is None else min(view.limit_c, each.ceiling_c) for each in view.sticks
        }
        if name != self._name:
            self._name, self.allowed = name, None
        active = isinstance(policy, Predictive)
        self._asked = policy if isinstance(policy, Predictive) else self._own
        if not active:
            self._own.follow(view)
        self._follow(view, rates)
        usable = [stick.id for stick in view.sticks if stick.usable]
        self._settle(usable, view.now_s)
        self._add_allowed(view, duties, rates)
        self._sum_up(view, usable, rates)
        self._compare(view.now_s)
        self._say("the sticks" if active else "predictive", None if active else name, view.now_s)

    def headroom_c(self, stick: StickId) -> float | None:
        """How far its die, by its filter, is under the switch temperature."""
        die, limit_c = self._asked.dies.get(stick), self._limits_c.get(stick)
        return None if die is None or limit_c is None or die.suspect else limit_c - die.filter.die_c

    def is_suspect(self, stick: StickId) -> bool:
        """Its sensor repeats itself improbably often."""
        die = self._asked.dies.get(stick)
        return die is not None and die.suspect

    def foresees(self, stick: StickId) -> bool:
        """The die is known well enough for a headroom in seconds."""
        die = self._asked.dies.get(stick)
        return stick in self.sticks and die is not None and not die.suspect and die.age_s >= FORESEEN_S

    def headroom_s(self, stick: StickId) -> float | None:
        """Plant seconds to the switch temperature at the work of the last WORK_S, a share CAUTION of what the model says; None: not
        foreseen, or it rests."""
        if not self.foresees(stick) or not self._duties.get(stick):
            return None
        seconds = seconds_until(self._asked.dies[stick], self._limits_c[stick], self.sticks[stick].work)
        return None if seconds is None else CAUTION * seconds

    def sustainable_rate(self, stick: StickId) -> float | None:
        """Inferences per real second that it could keep up for ever; None: not known."""
        figures = self.sticks.get(stick)
        if figures is None or figures.sustainable is None or figures.rate is None:
            return None
        return figures.sustainable * figures.rate

    def remarks(self, stick: StickId) -> list[str]:
        """What an operator should know of its heat."""
        die, figures = self._asked.dies.get(stick), self.sticks.get(stick)
        said = []
        if die is not None and die.suspect and die.moved:
            slowed = f": works at {FROZEN_DUTY:.0%}" if self._asked is not self._own else ""
            said.append(f"its sensor {'does not see it rest' if die.blind else 'repeats itself'}{slowed}")
        if figures is not None and figures.worse is not None:
            said.append(f"cools {round(figures.worse * 100)} % worse than its peers")
        return said

    def _follow(self, view: View, rates: Mapping[StickId, float]) -> None:
        dies = self._asked.dies
        self.sticks = {stick: figures for stick, figures in self.sticks.items() if stick in dies}
        for stick in view.sticks:
            if stick.id in dies:
                if stick.id not in self.sticks:
                    self.sticks[stick.id] = StickFigures(view.now_s, stick.worked_s)
                self.sticks[stick.id].add(view.now_s, stick.worked_s)
                self.sticks[stick.id].rate = rates.get(stick.id)

    def _settle(self, usable: list[StickId], now_s: float) -> None:
        for stick, figures in self.sticks.items():
            die = self._asked.dies[stick]
            duty = sustained(die, self._limits_c[stick])
            most = SETTLED_SIGMA * (1.0 if figures.sustainable is None else 2.0)
            steady = die.age_s >= SETTLED_S and not die.suspect and now_s >= die.unsettled_until_s
            figures.sustainable = duty if steady and sigma(die, duty) <= most else None
        total = 0.0
        for stick in usable:
            duty_of = self.sticks[stick].sustainable if stick in self.sticks else None
            if duty_of is None:
                self.settled = False
                self._totals.clear()
                return
            total += duty_of
        while self._totals and self._totals[0][0] <= now_s - DRIFT_S - 1.0:
            self._totals.popleft()
        self._totals.append((now_s, total))
        drift = abs(total - self._totals[0][1])
        long = now_s - self._totals[0][0] >= DRIFT_S
        self.settled = bool(usable) and (self.settled or long) and drift <= SETTLED_DRIFT * (1 + self.settled) * max(total, 0.1)

    def _add_allowed(self, view: View, duties: Mapping[StickId, float], rates: Mapping[StickId, float]) -> None:
        rate, total = sum(duty * rates.get(stick, 0.0) for stick, duty in duties.items()), sum(duties.values())
        if view.cluster_size and total > view.cluster_size:
            rate *= view.cluster_size / total
        if not rates:
            self.allowed = None
        elif self.allowed is None:
            self.allowed, self._allowed_since_s = rate, view.now_s
        else:
            weight = mean_weight(view.now_s - self._allowed_s, ALLOWED_S, view.now_s - self._allowed_since_s)
            self.allowed += weight * (rate - self.allowed)
        self._allowed_s = view.now_s

    def _sum_up(self, view: View, usable: list[StickId], rates: Mapping[StickId, float]) -> None:
        if not self.settled or not rates:
            self.unlimited = self.with_size = None
            return
        usual = sum(rates.values()) / len(rates)
        total = rate = 0.0
        for stick in usable:
            duty = self.sticks[stick].sustainable or 0.0
            total, rate = total + duty, rate + duty * (self.sticks[stick].rate or usual)
        self.unlimited = rate
        self.with_size = rate * view.cluster_size / total if view.cluster_size and total > view.cluster_size else rate

    def _compare(self, now_s: float) -> None:
        known = {stick: self._asked.dies[stick] for stick, each in self.sticks.items() if each.sustainable is not None}
        rises = rises_k_w(known, {stick: self.sticks[stick].long_work for stick in known})
        for stick, figures in self.sticks.items():
            figures.compare(beside_peers(rises, stick) if stick in rises else None, now_s)

    def _say(self, who: str, policy: str | None, now_s: float) -> None:
        now = None
        if self.unlimited is not None and self.with_size is not None and self.allowed is not None:
            now = (self.unlimited, self.with_size, self.allowed)
        gain = None if now is None else now[0] / max(now[2], 1e-6) - 1.0
        if not self._gain.judge(gain, now_s) or now is None:
            self.said, self._figures = [], None
            return
        held = self._figures or now
        moved = any(abs(value - shown) > HELD * max(shown, 1.0) for value, shown in zip(now, held, strict=True))
        self._figures = now if moved else held
        best, with_size, allowed = (round(value, 0 if self._figures[0] >= 10 else 1) for value in self._figures)
        costs = []
        if best - with_size >= COST_SAID * best:
            costs.append(f"--cluster-size costs {best - with_size:g}/s")
        if policy is not None and with_size - allowed >= COST_SAID * best:
            costs.append(f"{policy} costs {with_size - allowed:g}/s")
        self.said = [f"{who} would sustain {best:g}/s, not {allowed:g}: {', '.join(costs)}"] if costs else []


def steadied(shown: float | None, value: float, band: float) -> float:
    """`shown`, until `value` is off by more than `band`."""
    return shown if shown is not None and abs(value - shown) <= band else value
