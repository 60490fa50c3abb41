"""Deadlines, pings, heat and arbitrary bytes of a session with a stick."""

from __future__ import annotations

import math
import struct
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.xlink import commands
from ncs_cluster.xlink.events import Closed, Lost, Ready, Result, Thermal
from ncs_cluster.xlink.frames import FrameType, Header
from ncs_cluster.xlink.session import Options, Session
from tests.hypothesis_profiles import examples
from tests.xlink import blobs
from tests.xlink.model import Model, carry
from tests.xlink.opened import ALONE, frame, name_id, opened, the_end

# -- time ---------------------------------------------------------------------------------------------------------------


def run_dry(session: Session, now_s: float = 0.0) -> float:
    """Nothing comes any more; when the session has ended."""
    for _ in range(200):
        session.out()
        due_s = session.due_s
        if due_s is None:
            return now_s
        now_s = max(now_s, due_s)
        session.tick(now_s)
    raise AssertionError("it waits for ever")


@pytest.mark.parametrize("after", range(0, 75, 3))
def test_a_stick_that_falls_silent_at_any_point_of_its_opening_is_given_up(after: int):
    model = Model()
    session = Session([blobs.small()], ALONE)
    session.start(0.0)
    for _ in range(after):
        for data in session.out():
            model.receive(bytes(data))
        lanes = model.ready()
        if lanes:
            for data in model.send(lanes[0]):
                session.received(data, 0.0)
    ready = any(isinstance(event, Ready) for event in session.events())
    gave_up_s = run_dry(session)
    end = the_end(session)
    assert isinstance(end, Lost)
    assert end.reason == "hang"
    assert gave_up_s <= ALONE.reply_timeout_s + ALONE.ping_s + 0.1 or not ready


def test_an_inference_that_never_ends_is_a_hang_while_pings_and_temperatures_go_on():
    session, model = opened(Options(settle_s=0.0, infer_timeout_s=5.0))
    session.events()
    session.submit(1, 0, bytes(48), 0.5)
    now_s, seen = 0.5, 0
    while not session.ended:
        carry(session, model, now_s, computes=False)
        now_s = session.due_s or now_s
        session.tick(now_s)
        events = session.events()
        seen += sum(isinstance(event, Thermal) for event in events)
    assert events[-1] == Lost("hang", "no result of graph 0 for 5 s")
    assert now_s == pytest.approx(5.5)
    assert seen == 5
    assert model.commands.count((commands.Device.PING, 0)) == 6


def test_a_slow_stick_is_not_a_hanging_one():
    session, model = opened(Options(settle_s=0.0, infer_timeout_s=5.0, thermal_s=None))
    session.events()
    for tag in range(4):
        session.submit(tag, 0, bytes(48), 0.0)
    now_s = 0.0
    while session.in_flight:
        now_s += 4.0
        while session.due_s is not None and session.due_s <= now_s:
            session.tick(session.due_s)
            carry(session, model, now_s, computes=False)
        model.compute()
        carry(session, model, now_s, computes=False)
    assert [event.tag for event in session.events() if isinstance(event, Result)] == [0, 1, 2, 3]


def test_several_graphs_take_turns_on_a_slow_stick_and_none_of_them_hangs():
    session, model = opened(Options(settle_s=0.0, infer_timeout_s=5.0, thermal_s=None), graphs=3)
    session.events()
    for tag in range(6):
        session.submit(tag, tag % 3, bytes(session._blobs[tag % 3].inputs_size), 0.0)
    now_s = 0.0
    while session.in_flight and not session.ended:
        now_s += 4.0
        while session.due_s is not None and session.due_s <= now_s:
            session.tick(session.due_s)
            carry(session, model, now_s, computes=False)
        model.compute()
        carry(session, model, now_s, computes=False)
    assert [event.tag for event in session.events() if isinstance(event, Result)] == [0, 1, 2, 3, 4, 5]


def test_a_graph_that_is_never_served_is_a_hang_though_the_others_are():
    session, model = opened(Options(settle_s=0.0, infer_timeout_s=5.0, thermal_s=None), graphs=2)
    session.events()
    now_s, tag = 0.0, 1
    session.submit(0, 1, bytes(session._blobs[1].inputs_size), now_s)
    while not session.ended:
        session.submit(tag, 0, bytes(48), now_s)
        now_s, tag = now_s + 1.0, tag + 1
        while session.due_s is not None and session.due_s <= now_s:
            session.tick(session.due_s)
            carry(session, model, now_s, computes=False)
        model.in_flight = deque(sorted(model.in_flight, key=lambda request: request[0] != 0))
        if model.in_flight and model.in_flight[0][0] == 0:
            model.compute()
        carry(session, model, now_s, computes=False)
        assert now_s < 60.0
    lost = session.events()[-1]
    assert isinstance(lost, Lost)
    assert lost.reason == "hang"
    assert lost.detail.startswith("no result of graph 1 for")


def test_a_host_that_stood_still_does_not_blame_its_stick():
    session, model = opened(Options(settle_s=0.0, infer_timeout_s=5.0))
    session.submit(1, 0, bytes(48), 0.0)
    carry(session, model, 0.0, computes=False)
    session.tick(600.0)
    carry(session, model, 600.0)
    assert not session.ended
    assert any(isinstance(event, Result) for event in session.events())


def test_credit_that_never_comes_back_is_a_hang():
    class Miser(Model):
        def _release(self, stream: int, size: int) -> None:
            if self._names[stream] != commands.DEVICE_MONITOR:
                super()._release(stream, size)

    session, model = opened(Options(settle_s=0.0, ping_s=0.1, thermal_s=None), model=Miser())
    now_s = 0.0
    while not session.ended:
        now_s = session.due_s or now_s
        session.tick(now_s)
        carry(session, model, now_s)
    end = the_end(session)
    assert end == Lost("hang", "no room on deviceMonitor: 64 packets, 512 bytes are not released")


def test_closing_waits_for_nobody_for_long():
    session, _ = opened(Options(settle_s=0.0, close_timeout_s=2.0))
    session.events()
    session.close(1.0)
    assert run_dry(session, 1.0) == pytest.approx(3.0)
    assert the_end(session) == Lost("hang", "no reply to RESET")


def test_a_stick_that_leaves_before_it_answers_our_reset_has_taken_its_leave():
    session, model = opened()
    session.events()
    session.submit(1, 0, bytes(48), 0.0)
    session.close(0.0)
    for data in session.out():
        model.receive(bytes(data))
    assert model.was_reset
    session.fail("gone", "unplugged")
    assert the_end(session) == Closed()


def test_outputs_that_come_before_their_trigger_are_no_result():
    session, model = opened()
    session.events()
    session.submit(1, 0, bytes(48), 1.0)
    session.out()
    session.received(frame(FrameType.WRITE_REQ, name_id(model, "FIFO1"), 28), 1.0)
    assert the_end(session) == Lost("protocol", "received 28 bytes on FIFO1, expected none")


def test_nothing_is_asked_of_a_stick_that_takes_its_leave():
    session, model = opened()
    session.close(0.0)
    session.look(0.0)
    carry(session, model, 0.0)
    assert isinstance(the_end(session), Closed)
    assert commands.Device.THERMAL not in [command for command, _ in model.commands]


def test_closing_an_idle_session_right_after_its_opening_gives_everything_back():
    session, model = opened(Options(settle_s=0.0), graphs=2)
    session.close(0.0)
    carry(session, model, 0.0)
    assert isinstance(the_end(session), Closed)
    closed = [name for kind, name, _ in model.log if kind == "CLOSE_STREAM_REQ"]
    assert closed == ["FIFO0", "FIFO1", "graphBuffer0", "FIFO2", "FIFO3", "graphBuffer1", "deviceMonitor", "graphMonitor"]


# -- heat ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("floats", "level", "temperature_c"),
    [
        ((0.0, 43.25), 0, 43.25),
        ((2.0, 91.0), 2, 91.0),
        ((-1.0, -300.0), 0, -300.0),
        ((1.5, 1e30), 0, 1e30),
        ((math.nan, 40.0), 0, 40.0),
    ],
)
def test_a_temperature_is_passed_on_as_it_came_and_a_level_that_is_none_is_0(
    floats: tuple[float, float], level: int, temperature_c: float
):
    model = Model()
    model.level, model.temperature_c = floats  # type: ignore[assignment]
    session, _ = opened(ALONE, model)
    session.events()
    session.look(0.0)
    carry(session, model, 0.0)
    (seen,) = session.events()
    assert seen == Thermal(level, pytest.approx(temperature_c))  # type: ignore[arg-type]


def test_temperatures_come_each_second_from_the_capabilities_on_also_while_graphs_are_allocated():
    class Slow(Model):
        """Takes its time to look at a graph."""

        def _buffer(self, name: str, data: bytes) -> None:
            self.later = (name, data)

    model = Slow()
    session, _ = opened(Options(settle_s=0.0), model)
    now_s, seen = 0.0, []
    for _ in range(5):
        carry(session, model, now_s)
        seen += [now_s for event in session.events() if isinstance(event, Thermal)]
        now_s += 1.0
        session.tick(now_s)
    assert session.phase == "allocating"
    assert seen == [0.0, 1.0, 2.0, 3.0, 4.0]


# -- anything -----------------------------------------------------------------------------------------------------------


@settings(max_examples=examples(150), deadline=None)
@given(st.integers(0, 90), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3), st.binary(max_size=90))
def test_whatever_bytes_come_at_any_point_nothing_raises_and_little_is_held(
    after: int, changes: list[tuple[int, int]], junk: bytes
):
    model = Model()
    session = Session([blobs.small()], Options(settle_s=0.0))
    session.start(0.0)
    sent = 0
    for step in range(140):
        for data in session.out():
            try:
                model.receive(bytes(data))
            except (AssertionError, KeyError, struct.error):
                return  # our answer to nonsense is nonsense to the model
        assert session.wanted <= max(84, 28, 104)
        if any(isinstance(event, Ready) for event in session.events()):
            for tag in range(4):
                session.submit(tag, 0, bytes(48), 0.0)
        lanes = model.ready()
        if session.ended or not (lanes or model.compute()):
            break
        for data in model.send(lanes[step % len(lanes)]) if lanes else []:
            sent += 1
            came = bytearray(data)
            if sent >= after:
                for at, value in changes:
                    came[at % len(came)] ^= value
            session.received(came, 0.0)
            if sent == after and junk:
                session.received(junk[: session.wanted].ljust(session.wanted, b"\1"), 0.0)
    session.tick(1000.0)
    session.tick(2000.0)
    for event in session.events():
        assert not isinstance(event, Lost) or "\n" not in event.detail


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            Header,
            st.integers(0, 30),
            st.sampled_from(FrameType),
            st.sampled_from(["deviceMonitor", "graphMonitor", "FIFO1", "x\ny"]),
            st.integers(0, 6),
            st.sampled_from([0, 4, 8, 20, 28, 40, 84, 104, 0xFFFFFFFF]),
            st.sampled_from([0, 1, 1, 1, 2, 0xFFFFFFFF]),
        ),
        max_size=40,
    ),
    st.booleans(),
)
def test_any_well_formed_frames_end_in_a_session_that_goes_on_or_one_line(headers: list[Header], ready: bool):
    session = Session([blobs.small()], Options(settle_s=0.0))
    session.start(0.0)
    if ready:
        carry(session, Model(), 0.0)
        session.submit(1, 0, bytes(48), 0.0)
    for header in headers:
        session.out()
        session.received(header.encode(), 0.0)
        while session.wanted != 84 and not session.ended:
            session.received(bytes(session.wanted), 0.0)
    for event in session.events():
        if isinstance(event, Lost):
            assert "\n" not in event.detail
            assert event.reason in ("protocol", "gone", "graph", "infer", "open")
