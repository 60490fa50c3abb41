"""The inferences on a stick and their results: which result is whose, which are held back, when one is overdue.

A result belongs to the oldest inference of its graph (`pairing` judges whether it can). In doubt no inference begins, results are
held, and the stick runs empty: when as many results have come as there were inferences, and no other for a while, they are given
out; else the session ends, and all that was not given out is done again. Without a sign of doubt that happens every `prove_every`
results. What the vendor's protocol cannot show at all is that two results have changed places.

A result is overdue after a few usual times. Firmware that throttles may sleep for 10 s between two inferences, and a host that
stood still has results to read: so the stick is asked for its throttle level before it counts as hanging, and the answer comes
behind the results. Pure; the link's clock. Runs on CPython 3.9.
"""

from __future__ import annotations

from collections import deque
from typing import Deque, List, NamedTuple, Optional

from ncs_cluster.xlink.events import Result
from ncs_cluster.xlink.link import NEVER_S, Link, Wait
from ncs_cluster.xlink.pairing import Answer, Pairing, Sign
from ncs_cluster.xlink.scripts import Loaded

PATIENCE = 4.0
"""Usual times after which a result is overdue."""
UNSETTLED = 2.0
"""Factor of the shortest time-out while few results are known, as at the opening of several sticks at once."""
SLEEP_S = 12.0
"""Longer than firmware that throttles sleeps."""
COUNTED = Sign("its results are counted now and then")


class Patience(NamedTuple):
    """Seconds from a tensor, or from the result before, to a result."""

    longest_s: float
    """While the usual time is unknown, and while the firmware throttles."""
    shortest_s: float
    ask_s: float
    """Longest wait for the stick's throttle level after it was asked."""


class _InFlight(NamedTuple):
    """An inference whose tensor has been sent. `number` counts those of all graphs."""

    number: int
    tag: int
    sent_s: float
    result: Wait


class Lane:
    """A loaded graph: its results come in the order of its inferences."""

    def __init__(self, graph: Loaded, now_s: float) -> None:
        self.graph = graph
        self.in_flight: Deque[_InFlight] = deque()
        self.progress_s = now_s
        """Time of its last result, or of the first tensor after a pause."""

    @property
    def has_room(self) -> bool:
        return len(self.in_flight) < self.graph.depth


class Results:
    """The inferences in flight of one session, by graph, and the results that are held back."""

    def __init__(self, link: Link, patience: Patience, prove_every: int) -> None:
        self.lanes: List[Lane] = []
        self._link, self._patience, self._prove_every = link, patience, prove_every
        self._pairing = Pairing()
        self._begun = 0
        self._doubt: Optional[Sign] = None
        self._held: List[Result] = []
        self._settled_s = NEVER_S
        """When an empty stick has sent no further result for the grace time; NEVER_S: it is not empty, or asked."""
        self._asked_if_empty = False
        self._throttles = self._slept = False
        """The firmware throttles now; it has throttled since the last result."""
        self._asked_s: Optional[float] = None
        """Deadline of the stick's answer to the question for its throttle level; None: not asked."""
        self._excused = False
        """The time-out of the oldest inferences was restarted because the host had stood still."""

    @property
    def on_stick(self) -> int:
        return sum(len(lane.in_flight) for lane in self.lanes)

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def in_doubt(self) -> bool:
        """No inference may begin."""
        return self._doubt is not None

    def begin(self, number: int, tag: int) -> Wait:
        """An inference of graph `number` begins; its result."""
        now_s, lane, result = self._link.now_s, self.lanes[number], Wait()
        if not self.on_stick and now_s >= self._latest_s() + self._grace_s():
            self._pairing.proved()
        if not lane.in_flight:
            lane.progress_s = now_s
        self._begun += 1
        lane.in_flight.append(_InFlight(self._begun, tag, now_s, result))
        return result

    def collect(self) -> List[Result]:
        """The results that have come and may be given out, each graph's in the order of its inferences."""
        given: List[Result] = []
        for number, lane in enumerate(self.lanes):
            while lane.in_flight and lane.in_flight[0].result.done:
                given += self._take(number, lane)
        if self._doubt is None and self._pairing.since_proof >= self._prove_every and not self._slept:
            self._doubt = COUNTED
        if self._doubt is not None and not self.on_stick and self._settled_s == NEVER_S and not self._asked_if_empty:
            self._settled_s = self._link.now_s + self._grace_s()
        return given

    @property
    def may_settle(self) -> bool:
        """The stick is empty and has sent no further result for the grace time."""
        return self._link.now_s >= self._settled_s

    def ask_if_empty(self) -> None:
        """The host stood still, so it may not have read a further result: `settle` follows the stick's next answer instead."""
        self._settled_s, self._asked_if_empty = NEVER_S, True

    def settle(self) -> List[Result]:
        """The stick has run empty, as many results came as there were inferences: those held back."""
        self._pairing.proved()
        return self._go_on()

    def throttle(self, level: float) -> None:
        """The stick has told its throttle level."""
        self._throttles = level > 0
        self._slept = self._slept or self._throttles
        if self._asked_s is not None:
            self._asked_s = None if self._throttles else self._link.now_s

    def due_s(self) -> float:
        """When `may_settle` or `overdue` is due."""
        return min([self._settled_s] + [self._until_s(lane) for lane in self.lanes if lane.in_flight])

    def must_ask(self, host_stood_still: bool) -> bool:
        """A result is overdue, and the stick is to be asked for its throttle level, which starts now. A host that stood still, also
        between a tensor and its trigger, gives the stick the whole time again, once for each result."""
        if self.overdue() is None or self._timeout_s() >= self._patience.longest_s:
            return False
        if host_stood_still and not self._excused:
            self._excused = True
            for lane in self.lanes:
                lane.progress_s = self._link.now_s
            return False
        asks = self._asked_s is None
        if asks:
            self._asked_s = self._link.now_s + self._patience.ask_s
        return asks

    def overdue(self) -> Optional[str]:
        """The graph without a result, in words; None: none is overdue."""
        for number, lane in enumerate(self.lanes):
            if lane.in_flight and self._link.now_s >= self._until_s(lane):
                text = f"no result of graph {number} for {self._link.now_s - lane.progress_s:.3g} s"
                return self.doubt(text) if self._doubt is not None or lane.has_room else text
        return None

    def doubt_of_silence(self, detail: str) -> str:
        """`detail`, the end of a session whose owner waits for a result no longer: a lost one is missing at the end."""
        waits = any(lane.in_flight and (self._doubt is not None or lane.has_room) for lane in self.lanes)
        return self.doubt(detail) if waits else detail

    def doubt(self, detail: str, *, too_many: bool = False) -> str:
        """`detail`, the end of a session whose results may have come in the wrong number, and what that says about earlier ones.
        `too_many`: a result came that no inference waits for."""
        given = self._pairing.since_proof - len(self._held)
        signed = self._doubt is not None and self._doubt is not COUNTED
        if self._doubt is not None and signed:
            detail = f"{detail}; a result was lost or doubled: {self._doubt.text}"
        # even times show each lost result, but a doubled one may hide among those that a stalled host reads at once
        if self._pairing.tells and self._doubt is not COUNTED and (signed or not too_many):
            return detail
        return f"{detail}; {given} earlier result{'s' * (given > 1)} may belong to other frames" if given > 0 else detail

    def clear(self) -> None:
        self.lanes.clear()
        self._held.clear()
        self._settled_s = NEVER_S

    def _take(self, number: int, lane: Lane) -> List[Result]:
        request, now_s = lane.in_flight.popleft(), self._link.now_s
        lane.progress_s = now_s
        even = not (self._slept or self._excused)
        self._asked_s, self._slept, self._excused = None, self._throttles, False
        into, left = lane.graph.into, len(lane.in_flight)
        sent = left - into.waiting
        overtaken = sum(older.number < request.number for other in self.lanes for older in other.in_flight)
        executors, released = lane.graph.depth // 2, sent - into.packets
        answer = Answer(number, executors, request.sent_s, now_s, left, released, overtaken)
        sign = self._pairing.answered(answer, even=even)
        result = Result(request.tag, number, request.result.value, now_s - request.sent_s)
        if self._doubt is None and sign is None:
            return [result]
        if self._doubt is None or (sign is not None and not sign.late):
            self._doubt = sign
        self._held.append(result)
        return self._go_on() if self._doubt is not None and self._doubt.late and self._pairing.made_up else []

    def _go_on(self) -> List[Result]:
        held, self._held = self._held, []
        self._doubt, self._settled_s, self._asked_if_empty = None, NEVER_S, False
        return held

    def _grace_s(self) -> float:
        """How long an empty stick is listened to."""
        return SLEEP_S if self._slept else self._pairing.grace_s

    def _latest_s(self) -> float:
        return max(lane.progress_s for lane in self.lanes)

    def _until_s(self, lane: Lane) -> float:
        """When the graph's oldest inference is overdue: the stick gave no result of any graph for the time-out, or none of this
        graph for the time-out times the number of graphs."""
        timeout_s = self._timeout_s()
        until_s = min(self._latest_s() + timeout_s, lane.progress_s + timeout_s * len(self.lanes))
        return until_s if self._asked_s is None else max(until_s, self._asked_s)

    def _timeout_s(self) -> float:
        usual_s, patience = self._pairing.service_s, self._patience
        if usual_s is None or self._slept:
            return patience.longest_s
        shortest_s = patience.shortest_s if self._pairing.settled else UNSETTLED * patience.shortest_s
        return min(patience.longest_s, max(shortest_s, PATIENCE * usual_s))
