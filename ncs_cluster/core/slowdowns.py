"""Which sticks have become slow by themselves: each stick's own inference times, compared with the other sticks'.

Requests of one kind have a `ChangePoint` of their own: of one graph, with the same requests beside it in flight, so that neither
several graphs nor another number of requests in flight look like a slowdown. The time is the device's, as its worker measures it,
without any wait; so a slow camera changes nothing.

A host that is busy slows all sticks, and some answers more than others. With e = ln(present time / usual time) of the stick, and
the same of the other sticks that have answered lately and are not slow themselves, at least 0:

    usually                             slow where e - median(others) >= LEAST
    all sticks alike (less than that)   slow where e >= CLEARLY, since a bus with more to carry takes a little longer for all
    answers jitter                      slow where e - max(others) >= CLEARLY; never where there is no other stick

at QUIET blocks in succession, JITTERY where answers jitter: when most sticks' do. A device that computes with this machine's
processors is left out: another program slows it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from ncs_cluster.core.actions import Action, LogEvent
from ncs_cluster.core.change_point import ALLOWANCE, ChangePoint
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.stick import Stick
from ncs_cluster.core.stick_queue import StickQueue
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.core.work import Unit
from ncs_cluster.types import StickId

LEAST, CLEARLY = math.log(1.12), math.log(1.5)
QUIET, JITTERY = 3, 8
"""Blocks in succession by which a stick has to be slow."""
LATELY_S = 10.0
"""The other sticks' answers count for so long."""
UNLIKE = math.log(1.3)
"""By so much, at most, may the time of a graph differ between kinds of requests."""
MOST_KINDS = 64
SLOWED, AGAIN = "times a stick was slowed", "times a stick was as fast as before"

Kind = tuple[int, tuple[int, ...], int]
"""Graph; graphs in flight on the stick as the request was sent; requests in flight as it was answered."""


class Times:
    """The inference times of one stick since it was opened."""

    def __init__(self, device: tuple[str | None, int, int]) -> None:
        self.device = device
        """Name, requests that it takes, requests that it executes at once."""
        self.kinds: dict[Kind, ChangePoint] = {}
        self.borrowed: dict[Kind, ChangePoint] = {}
        """Of kinds first met during the present slowdown: with the baseline of another kind."""
        self.newest: ChangePoint | None = None
        """Of the kind whose block was full last."""
        self.newest_s = -math.inf
        self.suspected = 0
        """Blocks in succession by which it is slow by itself."""
        self.slow: ChangePoint | None = None
        """By which the stick was found to be slow; None: it is not."""

    def of(self, kind: Kind, *, queued: bool) -> ChangePoint | None:
        """None: of a graph of which nothing is known from before the slowdown."""
        known = self.kinds.get(kind)
        if known is not None and (known.learned or self.slow is None):
            return known
        if self.slow is not None:
            # a paced stick has fewer requests in flight than before; what it takes for them while it is slow is no baseline
            if kind in self.borrowed:
                return self.borrowed[kind]
            like = next((point for other, point in self.kinds.items() if other[0] == kind[0] and point.learned), None)
            if like is not None:
                # half of the slowdown tells slow from usual as long as the kinds differ by less
                self.borrowed[kind] = ChangePoint.like(like, max(ALLOWANCE, min(UNLIKE, self.slow.excess / 2)), queued=queued)
            return self.borrowed.get(kind)
        if len(self.kinds) >= MOST_KINDS:
            self.kinds.clear()
        self.kinds[kind] = ChangePoint(queued=queued)
        return self.kinds[kind]


class Slowdowns:
    """Of all sticks."""

    def __init__(self, sticks: Sticks, dispatcher: Dispatcher) -> None:
        self._sticks = sticks
        self._dispatcher = dispatcher
        self._times: dict[StickId, Times] = {}

    def answered(self, stick: Stick, unit: Unit, took_s: float, now_s: float) -> list[Action]:
        """The stick has answered this unit; the inference took `took_s` by its worker's clock."""
        queue = self._dispatcher.queues.get(stick.spec.id)
        if queue is None or took_s <= 0.0 or stick.spec.on_host:
            return []
        times = self._of(stick, queue)
        point = times.of(_kind(unit, queue), queued=len(unit.beside) >= queue.device_executors)
        if point is None or not point.add(took_s):
            return []
        times.newest, times.newest_s = point, now_s
        if times.slow is None:
            return self._begin(stick, times, now_s) if self._by_itself(stick, times, now_s) else []
        if point.as_usual:
            return self._end(stick, times, now_s)
        plant_s, zone = self._plant_s(stick, now_s), stick.zone
        stick.throttling.goes_on(zone.temperature_c(plant_s), zone.switch_temp_c, plant_s, has_sensor=zone.has_sensor)
        return []

    def tick(self, now_s: float) -> list[Action]:
        """Pace the sticks that are slow, and those that were, with care."""
        actions: list[Action] = []
        for stick in self._sticks.by_id.values():
            queue, throttling, plant_s = self._dispatcher.queues.get(stick.spec.id), stick.throttling, self._plant_s(stick, now_s)
            if queue is not None:
                throttling.follow_work(queue.worked_s(now_s) * self._sticks.time_scale(stick), plant_s)
            if throttling.tick(stick.zone.switch_temp_c, plant_s):
                actions.append(self._accept(stick))
            stick.zone.ceiling_c = throttling.ceiling_c
        return actions

    def forget(self, now_s: float) -> None:
        """The graphs have other settings: an answer may take longer to read."""
        for stick in self._sticks.by_id.values():
            times = self._times.pop(stick.spec.id, None)
            if times is not None and times.slow is not None:
                stick.throttling.ended(self._plant_s(stick, now_s))

    def factor(self, stick: StickId) -> float | None:
        """Present time of its inferences as a multiple of the usual one; None: not known."""
        times = self._times.get(stick)
        return None if times is None or times.newest is None else math.exp(times.newest.excess)

    def complaint(self, stick: StickId) -> str | None:
        """Why the stick is slow, as a predicate for people; None: it is not."""
        times = self._times.get(stick)
        return None if times is None or times.slow is None else _takes(times)

    def _of(self, stick: Stick, queue: StickQueue) -> Times:
        device = stick.device, queue.capacity, queue.device_executors
        times = self._times.get(stick.spec.id)
        if times is None or times.device != device:
            times = self._times[stick.spec.id] = Times(device)
        return times

    def _by_itself(self, stick: Stick, times: Times, now_s: float) -> bool:
        point, suspected = times.newest, times.suspected
        times.suspected = 0
        if point is None or not point.slower:
            return False
        others = list(self._others(stick, now_s))
        excesses = [max(0.0, each.excess) for each in others] or [0.0]
        if 2 * sum(each.jitters for each in [point, *others]) > 1 + len(others):
            if not others or point.excess - max(excesses) < CLEARLY:
                return False
            needed = JITTERY
        else:
            if point.excess - statistics.median(excesses) < LEAST and point.excess < CLEARLY:
                return False
            needed = QUIET
        times.suspected = suspected + 1
        return times.suspected >= needed

    def _others(self, stick: Stick, now_s: float) -> Iterator[ChangePoint]:
        for name, times in self._times.items():
            if name != stick.spec.id and times.slow is None and times.newest is not None and times.newest_s >= now_s - LATELY_S:
                yield times.newest

    def _begin(self, stick: Stick, times: Times, now_s: float) -> list[Action]:
        times.slow, plant_s, zone = times.newest, self._plant_s(stick, now_s), stick.zone
        follows = stick.throttling.began(zone.temperature_c(plant_s), zone.switch_temp_c, plant_s, has_sensor=zone.has_sensor)
        zone.ceiling_c = stick.throttling.ceiling_c
        return [LogEvent("warning", stick.spec.id, f"{_takes(times)}; {follows}", SLOWED)]

    def _end(self, stick: Stick, times: Times, now_s: float) -> list[Action]:
        times.slow = None
        times.borrowed = {}
        for point in times.kinds.values():
            # kinds that it has not had since it became faster would say that it is slow
            point.begin_anew()
        stick.throttling.ended(self._plant_s(stick, now_s))
        text = "is as fast as before"
        if stick.throttling.duty < 1.0:
            text += f"; works {100 * stick.throttling.duty:.0f} % of the time, and more with care"
        return [LogEvent("info", stick.spec.id, text, AGAIN)]

    def _accept(self, stick: Stick) -> Action:
        """Slow for another reason than heat: the present times are the usual ones from now on."""
        times = self._times.get(stick.spec.id)
        what = "is slow" if times is None else _takes(times)
        self._times.pop(stick.spec.id, None)
        return LogEvent("warning", stick.spec.id, f"{what}, also at rest: not by heat; that is its usual time from now on", SLOWED)

    def _plant_s(self, stick: Stick, now_s: float) -> float:
        return now_s * self._sticks.time_scale(stick)


def _kind(unit: Unit, queue: StickQueue) -> Kind:
    if queue.device_executors == 1:
        # the device's time is the same however many wait for it, but for the transfer, which it does meanwhile
        return unit.graph, tuple(unit.beside[:1]), 0
    return unit.graph, unit.beside, len(queue.in_flight)


def _takes(times: Times) -> str:
    point = times.newest or times.slow
    assert point is not None
    return f"takes {_ms(point.usual_s * math.exp(point.excess))} instead of {_ms(point.usual_s)} for an inference"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.02 else f"{1000 * seconds:.1f} ms"
