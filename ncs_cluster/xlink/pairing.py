"""Whether the answers of a stick belong to the inferences they are given to.

An answer carries no name: it belongs to the oldest inference of its graph. A stick that answers once too often or once too seldom
would give all later frames another frame's boxes, until it runs empty. Three signs raise a suspicion:

    time     an answer comes much earlier or later after those before it than answers usually do
    credit   at an answer, the tensors that are released and not answered are more or fewer than usual with as many in flight
    order    an answer overtakes inferences of other graphs, more of them than usual

A suspicion costs little and proves nothing: the session holds the answers back, sends nothing, and counts what still comes. The
right number makes the unusual usual; any other ends the session. The signs work with any firmware, whenever it releases a tensor
and however many inferences it executes at once, because what is usual is learned: from the warm-up on.

A host that stood still for a moment reads the next answer late and those behind it early. So an early answer whose predecessors
were late by as much is a weak sign, which is followed up now and then only; a late one that the next ones make up for is none.

Pure; the session's clock. Runs on CPython 3.9.
"""

from __future__ import annotations

from collections import deque
from typing import Deque, Dict, List, NamedTuple, Optional, Tuple

EARLY, LATE = 0.5, 1.25
"""An answer is suspicious below EARLY times the shortest usual time, and over LATE times the longest."""
SLACK_S = 0.003
"""Longer than LATE allows, for all answers alike: the resolution of timers and of USB."""
FORGET, LEARN = 0.003, 0.05
"""Shares by which the shortest and longest usual times, and the mean, move towards each answer's time; at first by more."""
SETTLED = 32
"""Answers after which their usual times are known."""
STRANGE = 300
"""Answers within which a second outlier makes both usual: one alone would hide answers that are lost behind it."""
MADE_UP = 0.35
"""Answers are made up for when their times add up to their means, but for this share of one mean."""
PAYS = 0.8
"""An answer that took less than this share of the mean makes up for some of it."""
WEAK_SIGNS, WEAK_EVERY = 3, 400
"""Weak signs followed up at once, and answers after which one more is."""
GRACE, LEAST_GRACE_S, SLOWER = 1.25, 0.02, 4.0
"""How long an empty stick is listened to: GRACE times the longest usual time, and the seconds beside it; a stick that may just have
become slow has up to SLOWER times as long."""
MOST_EXECUTORS, WINDOW = 3, 8
"""Earlier answers that a judgement looks back at: MOST_EXECUTORS for times, WINDOW for a host that stood still."""

_Key = Tuple[int, ...]
"""A kind of time: the number of answers back from which it is measured (0: from the inference's own tensor), and the graphs of the
answers between."""


class Sign(NamedTuple):
    """The sign of a suspicion: why one answer may belong to another inference."""

    text: str
    late: bool = False
    """The next answer may make up for it."""


class _Usual:
    """Seconds of one kind of answer."""

    __slots__ = ("_early", "_late", "count", "longest_s", "mean_s", "shortest_s")

    def __init__(self) -> None:
        self.count, self.shortest_s, self.longest_s, self.mean_s = 0, 0.0, 0.0, 0.0
        self._early = self._late = (-STRANGE, 0.0)
        """The last outliers: `count` then, and their time."""

    def add(self, took_s: float) -> None:
        if not self.count:
            self.shortest_s = self.longest_s = self.mean_s = took_s
        self.count += 1
        forget = max(FORGET, 1 / (2 * self.count))
        self.shortest_s = min(took_s, self.shortest_s + (took_s - self.shortest_s) * forget)
        self.longest_s = max(took_s, self.longest_s + (took_s - self.longest_s) * forget)
        self.mean_s += (took_s - self.mean_s) * max(LEARN, 1 / self.count)

    def add_strange(self, took_s: float) -> None:
        """Learn from an outlier that the count has confirmed."""
        if took_s > self.longest_s:
            (at, before_s), self._late = self._late, (self.count, took_s)
            if self.count - at < STRANGE:
                self.longest_s = max(self.longest_s, min(took_s, before_s))
        else:
            (at, before_s), self._early = self._early, (self.count, took_s)
            if self.count - at < STRANGE:
                self.shortest_s = min(self.shortest_s, max(took_s, before_s))


class Answer(NamedTuple):
    """An answer and the inference it is given to."""

    graph: int
    executors: int
    """Inferences of its graph that are executed at once."""
    sent_s: float
    came_s: float
    in_flight: int
    """Inferences of its graph that are left."""
    released: int
    """How many of these have their tensor's room given back; one less where the answered one has not."""
    overtaken: int
    """Older inferences of other graphs that have no answer."""


class _Earlier(NamedTuple):
    """An earlier answer. `surplus_s`: seconds by which it took longer than the mean."""

    graph: int
    came_s: float
    surplus_s: float


class Pairing:
    """The signs of one session."""

    def __init__(self) -> None:
        self.since_proof = 0
        """Answers since the stick last ran empty with the right count."""
        self._usual: Dict[_Key, _Usual] = {}
        self._credit: Dict[Tuple[int, int], Tuple[int, int]] = {}
        """(graph, in flight) -> fewest and most tensors released and not answered."""
        self._overtaken: Dict[int, int] = {}
        """Graph -> most inferences that an answer of it has overtaken."""
        self._answers: Deque[_Earlier] = deque(maxlen=WINDOW)
        self._unusual: List[Tuple[_Key, float]] = []
        self._weak = float(WEAK_SIGNS)
        self._uneven = False
        """At some time since the last proof a lost answer could have hidden among late ones."""
        self._owed_s: Optional[float] = None
        """By how much the last late answer was late, less what the early ones behind it have made up for."""
        self.made_up = False
        """The newest answer makes up for a late one: the host had stood still."""

    def answered(self, answer: Answer, *, even: bool) -> Optional[Sign]:
        """Take an answer. `even`: its time says something, since neither the firmware throttles nor the host stood still."""
        self.since_proof += 1
        self._weak = min(float(WEAK_SIGNS), self._weak + 1 / WEAK_EVERY)
        times = self._times(answer)
        key, took_s = times[0]
        usual = self._usual.get(key)
        mean_s = took_s if usual is None or not usual.count or not even else usual.mean_s
        self._answers.append(_Earlier(answer.graph, answer.came_s, took_s - mean_s))
        self._uneven = self._uneven or not self._even
        counted = [self._judge_credit(answer), self._judge_order(answer)]
        sign = next((sign for sign in counted if sign is not None), None)
        if sign is not None:
            self.made_up, self._owed_s = False, None
            return sign
        return self._judge_times(times, took_s, mean_s) if even else None

    def proved(self) -> None:
        """The stick ran empty, and as many answers came as it had inferences: what was unusual is usual."""
        self.since_proof, self._uneven = 0, False
        for key, took_s in self._unusual:
            self._usual[key].add_strange(took_s)
        self._unusual.clear()

    @property
    def service_s(self) -> Optional[float]:
        """The longest usual time from a tensor or an answer to the next answer; None: unknown."""
        known = [usual.longest_s for usual in self._usual.values() if usual.count]
        return max(known) if known else None

    @property
    def settled(self) -> bool:
        """So many answers have come that their times are known."""
        return sum(usual.count for usual in self._usual.values()) >= SETTLED

    @property
    def tells(self) -> bool:
        """Since the last proof every answer that was lost or doubled would have stood out."""
        exact = all(fewest == most for fewest, most in self._credit.values())
        consumed = any(in_flight > max(0, most) for (_, in_flight), (_, most) in self._credit.items())
        return not self._uneven or (exact and consumed)

    @property
    def _even(self) -> bool:
        """Usual times are known and even: two of the shortest together exceed the bound for a late answer, so a lost one stands
        out."""
        if not self.settled:
            return False
        gaps = [usual for key, usual in self._usual.items() if key[0] == 1]
        return all(2 * usual.shortest_s > LATE * usual.longest_s + SLACK_S for usual in gaps)

    @property
    def grace_s(self) -> float:
        """How long to listen to an empty stick for one more answer."""
        usual_s = max((usual.longest_s for usual in self._usual.values()), default=0.0)
        now_s = max((took_s for _, took_s in self._unusual), default=0.0)
        return LEAST_GRACE_S + GRACE * max(usual_s, min(now_s, SLOWER * usual_s))

    def _times(self, answer: Answer) -> List[Tuple[_Key, float]]:
        """The kinds of answer this one is, and the seconds it took: from its own tensor where the stick was idle before it, else
        from each of the last answers that may have made room for it."""
        times: List[Tuple[_Key, float]] = []
        graphs: Tuple[int, ...] = (answer.graph,)
        for back in range(1, min(answer.executors, MOST_EXECUTORS, len(self._answers)) + 1):
            earlier = self._answers[-back]
            if answer.sent_s > earlier.came_s:
                break
            times.append(((back, *graphs), answer.came_s - earlier.came_s))
            graphs = (earlier.graph, *graphs)
        return times or [((0, answer.graph), answer.came_s - answer.sent_s)]

    def _surplus_s(self, answers: int) -> float:
        return sum(answer.surplus_s for answer in list(self._answers)[-answers:])

    def _pay(self, took_s: float, mean_s: float) -> None:
        """Early answers right behind a late one make up for it; others do not, and a lost one is never made up for."""
        self.made_up = False
        if self._owed_s is None:
            return
        self._owed_s += took_s - mean_s
        if abs(self._owed_s) <= MADE_UP * mean_s:
            self.made_up, self._owed_s = True, None
            self._unusual.clear()
        elif took_s > PAYS * mean_s or self._owed_s < 0:
            self._owed_s = None

    def _was_late(self, mean_s: float) -> bool:
        """Answers before the newest were late by as much as it is early."""
        return any(self._surplus_s(back) >= -MADE_UP * mean_s for back in range(2, len(self._answers) + 1))

    def _judge_times(self, times: List[Tuple[_Key, float]], took_s: float, mean_s: float) -> Optional[Sign]:
        self._pay(took_s, mean_s)
        host_stood_still = self._was_late(mean_s)
        signs = [self._judge_time(key, took_s, host_stood_still) for key, took_s in times]
        sign = next((sign for sign in signs if sign is not None), None)
        if sign is None:
            return None
        if sign.late:
            # also late after those further back, it owes nothing new
            self._owed_s = took_s - mean_s if took_s - mean_s > MADE_UP * mean_s else None
        elif self.made_up or self._owed_s is not None:
            return None
        elif host_stood_still:
            if self._weak < 1:
                return None
            self._weak -= 1
        return sign

    def _judge_time(self, key: _Key, took_s: float, host_stood_still: bool) -> Optional[Sign]:
        usual = self._usual.setdefault(key, _Usual())
        sign = None
        if usual.count:
            since = "the one before it" if key[0] else "its tensor"
            if took_s < EARLY * usual.shortest_s:
                sign = Sign(f"a result came {took_s * 1000:.3g} ms after {since}; usual are {usual.shortest_s * 1000:.3g} ms")
            elif took_s > LATE * usual.longest_s + SLACK_S:
                sign = Sign(
                    f"a result came {took_s * 1000:.3g} ms after {since}; usual are {usual.longest_s * 1000:.3g} ms", late=True
                )
        if sign is None:
            usual.add(took_s)
        elif sign.late or not host_stood_still:
            self._unusual.append((key, took_s))
        return sign

    def _judge_credit(self, answer: Answer) -> Optional[Sign]:
        graph, in_flight, released = answer.graph, answer.in_flight, answer.released
        fewest, most = self._credit.get((graph, in_flight), (released, released))
        self._credit[graph, in_flight] = min(fewest, released), max(most, released)
        if fewest <= released <= most:
            return None
        held, usual = in_flight - released, f"{in_flight - most} to {in_flight - fewest}"
        return Sign(f"after a result, with {in_flight} in flight, {held} tensors were not released; usual are {usual}")

    def _judge_order(self, answer: Answer) -> Optional[Sign]:
        most, overtaken = self._overtaken.get(answer.graph, 0), answer.overtaken
        self._overtaken[answer.graph] = max(most, overtaken)
        return Sign(f"a result came before those of {overtaken} older tensors; usual are {most}") if overtaken > most else None
