"""One intake: the producer of a stream of asks, pictures that other programs send and of which each gets its own answer.

Its process, such as the gateway, owns the protocol; this owns the frame pool, the grants and the open asks. An ask is a unit of
the stream, in a queue that the sticks empty; its answer waits for no other, and no sink gets it. Grants bound how many asks are
open: as many as keep the sticks busy. What does not fit waits in the process, which refuses what would wait too long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action, LogEvent, MakePool, Send
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.slots import Slots
from ncs_cluster.core.stream import Stream
from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.types import Outcome

if TYPE_CHECKING:
    from ncs_cluster.core.intakes import Intakes

AHEAD, LEAST_AHEAD = 4, 2
"""Slots granted in advance: pictures that arrive together are written together. Fewer than LEAST_AHEAD are made up at once, others
with the next answer."""
LEAST_OPEN = 8
SLOTS = 256
"""The kernel allocates the memory of a slot when it is first written."""
MAX_WIDTH, MAX_HEIGHT = 1920, 1080
ANSWER_BYTES = 16 * 2**20
STOPPING = "the daemon is stopping"


class Intake:
    """See stream.Producer and stream.Asker."""

    def __init__(self, name: str, endpoint: Endpoint, intakes: Intakes, weight: float = 1.0) -> None:
        """`weight`: its share of the sticks, beside those of the cameras."""
        self.name = name
        self.weight = weight
        self.endpoint = endpoint
        self.is_open = False
        """Its process takes pictures."""
        self.asks: dict[int, Unit] = {}
        """The open asks by their number."""
        self.answered = self.failed = self.withdrawn = 0
        self.stream: Stream | None = None
        self.slots: Slots | None = None
        self._intakes = intakes
        self._answers: list[Action] = []

    def handle(self, message: m.FromIntake, now_s: float) -> list[Action]:
        match message:
            case m.Ask():
                return self._ask(message, now_s)
            case m.Withdraw(ask=number):
                self._withdraw(number)
                return self.grant()
            case m.OpenIntake():
                return self._open(now_s)
            case _:
                assert_never(message)

    def lost(self) -> None:
        """The process of this intake has ended: its open asks are withdrawn and its grants revoked."""
        self.is_open = False
        for number in list(self.asks):
            self._withdraw(number)
        self._answers.clear()
        if self.slots is not None:
            self.slots.revoke_grants()

    # -- messages of its process

    def _open(self, now_s: float) -> list[Action]:
        self.lost()
        self.is_open = True
        made: list[Action] = []
        pools = self._intakes.pools
        if self.slots is None:
            self.slots = pools.add(SLOTS, MAX_WIDTH, MAX_HEIGHT, answer_bytes=ANSWER_BYTES)
            made.append(MakePool(self.slots.layout))
            made += [pools.map_to(worker, self.slots) for worker in self._intakes.listening()]
        if self.stream is None:
            self.stream = self._intakes.open_stream(self)
        made.append(pools.map_to(self.endpoint, self.slots))
        return [*made, Send(self.endpoint, self._intakes.served(now_s)), *self.grant()]

    def _ask(self, message: m.Ask, now_s: float) -> list[Action]:
        ref = message.frame
        granted = self.slots is not None and ref.pool == self.slots.layout.pool and self.slots.written(ref.slot, 1)
        if not granted or self.slots is None or self.stream is None or ref.frame in self.asks:
            if granted and self.slots is not None:
                self.slots.release(ref.slot)
            return [LogEvent("error", str(self.endpoint), f"asked with slot {ref.slot} of pool {ref.pool}, not granted: ignored")]
        index = self._intakes.graph_index(message.graph)
        if index is None or self._intakes.stopping:
            self.slots.release(ref.slot)
            why = STOPPING if self._intakes.stopping else f"there is no graph {message.graph}"
            return [Send(self.endpoint, m.Answered(ref.frame, Outcome(error=why))), *self.grant()]
        unit = Unit(self.stream.name, Frame(ref, self.slots, now_s, 0.0, None), index, raw=message.raw)
        self.asks[ref.frame] = unit
        self._intakes.dispatcher.offer(unit)
        # with an answer a grant costs the process no wake-up of its own
        return self.grant() if self.slots.granted < LEAST_AHEAD else []

    def _withdraw(self, number: int) -> None:
        unit = self.asks.pop(number, None)
        if unit is not None:
            self.withdrawn += 1
            self._intakes.drop(unit)

    # -- stream.Asker, stream.Producer

    @property
    def has_answers(self) -> bool:
        return bool(self._answers)

    def answer(self, unit: Unit, outcome: Outcome) -> None:
        """The unit has ended. The answer is sent with the next actions, before its slot is granted again."""
        if self.asks.get(unit.number) is not unit:
            return
        del self.asks[unit.number]
        if outcome.error is None:
            self.answered += 1
        else:
            self.failed += 1
        answered = m.Answered(unit.number, outcome, unit.stick, unit.took_s, list(unit.outputs))
        self._answers.append(Send(self.endpoint, answered))

    def enrich(self, unit: Unit, outcome: Outcome, now_s: float) -> None:
        """Nothing is added."""

    def abandon(self, now_s: float) -> list[tuple[Unit, Outcome]]:
        return []

    def grant(self) -> list[Action]:
        """The answers that wait to be sent, then grants."""
        actions, self._answers = self._answers, []
        slots = self.slots
        if slots is None or not self.is_open or self._intakes.stopping:
            return actions
        most = self._intakes.most_open()
        while slots.granted < AHEAD and slots.granted + slots.leased < most and (slot := slots.grant()) is not None:
            actions.append(Send(self.endpoint, m.Grant(slots.layout.pool, slot)))
        return actions

    def tick(self) -> list[Action]:
        """Answer asks whose unit was dropped: the daemon is stopping, or has new graphs."""
        for unit in [unit for unit in self.asks.values() if unit.ended is not None]:
            self.answer(unit, Outcome(error=STOPPING if self._intakes.stopping else "dropped"))
        return self.grant()
