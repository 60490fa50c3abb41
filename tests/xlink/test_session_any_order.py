"""A session in any order: a stick that answers, releases and delivers as it likes, sessions that are used and left at any time.

Held all the time: no write without credit, every trigger behind its tensor (the model says so), results in the order of their
graph's tensors and each with its own tag, exactly one outcome for each inference, and nothing that raises.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ncs_cluster.xlink.events import Closed, Lost, Ready, Result, Thermal
from ncs_cluster.xlink.session import Options, Session
from tests.hypothesis_profiles import examples
from tests.xlink import blobs
from tests.xlink.model import Model, carry, outcome

pytestmark = pytest.mark.slow

BLOBS = [blobs.small(4), blobs.small(6, outputs=40, shaves=4, slices=6)]


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 5.0
        self.tag = 0
        self.given: dict[int, tuple[int, bytes]] = {}
        self.waiting: list[list[int]] = [[], []]
        self.ready: Ready | None = None
        self.end: Lost | Closed | None = None
        self.readings = 0
        self.transfers: list[bytes] = []

    @initialize(opens=st.booleans(), executors=st.sampled_from([None, 1, 2]), thermal=st.booleans(), ready=st.booleans())
    def begin(self, opens: bool, executors: int | None, thermal: bool, ready: bool) -> None:
        self.model = Model(opens_own_ends=opens)
        self.session = Session(BLOBS, Options(executors=executors, settle_s=0.1, thermal_s=1.0 if thermal else None))
        self.session.start(self.now_s)
        if ready:
            carry(self.session, self.model, self.now_s)
            self.time_passes(0.3)
            carry(self.session, self.model, self.now_s)
            self.hear()
            assert self.ready

    def carry_out(self) -> None:
        for data in self.session.out():
            self.model.receive(bytes(data))

    def hear(self) -> None:
        assert self.end is None or not self.session.events(), "nothing happens after the end"
        for event in self.session.events():
            assert self.end is None
            if isinstance(event, Ready):
                self.ready = event
            elif isinstance(event, Result):
                graph, tensor = self.given.pop(event.tag)
                assert (graph, self.waiting[graph].pop(0)) == (event.graph, event.tag)
                assert bytes(event.data) == outcome(tensor, BLOBS[graph].outputs_size)
                assert event.latency_s >= 0
            elif isinstance(event, Thermal):
                assert event.temperature_c == 41.5
                self.readings += 1
            else:
                self.end = event
                assert self.session.ended

    @rule(data=st.data(), count=st.integers(1, 30))
    def the_stick_sends(self, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            self.carry_out()
            if not self.transfers:
                lanes = self.model.ready()
                if not lanes:
                    break
                self.transfers = self.model.send(data.draw(st.sampled_from(lanes)))
            transfer = self.transfers.pop(0)
            assert self.session.ended or len(transfer) == self.session.wanted
            self.session.received(bytearray(transfer), self.now_s)
            self.hear()

    @rule()
    def the_stick_computes(self) -> None:
        self.carry_out()
        self.model.compute()

    @rule(by_s=st.sampled_from([0.0, 0.01, 0.3, 1.0]))
    def time_passes(self, by_s: float) -> None:
        self.now_s += by_s
        due_s = self.session.due_s
        if due_s is not None and due_s <= self.now_s:
            self.session.tick(self.now_s)
            self.hear()

    @precondition(lambda self: self.ready is not None and self.session.phase == "ready")
    @rule(graph=st.integers(0, 1), count=st.integers(1, 8))
    def an_inference_is_asked_for(self, graph: int, count: int) -> None:
        for _ in range(count):
            self.tag += 1
            size = BLOBS[graph].inputs_size
            tensor = (self.tag.to_bytes(4, "little") * (size // 4 + 1))[:size]
            self.given[self.tag] = (graph, tensor)
            self.waiting[graph].append(self.tag)
            self.session.submit(self.tag, graph, memoryview(tensor), self.now_s)

    @rule()
    def somebody_looks_at_the_sensor(self) -> None:
        self.session.look(self.now_s)

    @precondition(lambda self: self.ready is not None)
    @rule(chance=st.integers(0, 9))
    def it_is_closed(self, chance: int) -> None:
        if chance == 0:
            self.session.close(self.now_s)

    @invariant()
    def what_is_in_flight_is_what_was_not_answered(self) -> None:
        if not hasattr(self, "session"):
            return
        if not self.session.ended:
            assert self.session.in_flight == len(self.given)
        if self.ready:
            assert len(self.model.in_flight) <= sum(self.ready.depths)

    def teardown(self) -> None:
        """Let it come to an end: everything that was asked for is answered, unless the session was closed before."""
        if not hasattr(self, "session"):
            return
        for _ in range(400):
            for _ in range(500):
                self.carry_out()
                if not self.transfers:
                    lanes = self.model.ready()
                    if not lanes:
                        break
                    self.transfers = self.model.send(lanes[-1])
                self.session.received(bytearray(self.transfers.pop(0)), self.now_s)
            self.hear()
            if not self.model.compute():
                due_s = self.session.due_s
                if self.session.ended or (self.ready and not self.given):
                    break
                assert due_s is not None
                self.now_s = max(self.now_s, due_s)
                self.session.tick(self.now_s)
                self.hear()
        assert not isinstance(self.end, Lost) or self.end.reason == "hang", self.end
        if self.end is None:
            assert not self.given
            assert self.ready


TestAnyOrder: Any = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=examples(150), stateful_step_count=40, deadline=None)
