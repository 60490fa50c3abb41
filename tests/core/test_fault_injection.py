"""Trouble on purpose: for each request the exact messages, the note and the client's reply."""

from __future__ import annotations

import msgspec
import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import fault_injection
from ncs_cluster.core.actions import Action, LogEvent, Send, Unplug
from ncs_cluster.core.child import Limits
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.core.work import Ledger
from ncs_cluster.specs import ClusterSpec, StickSpec
from ncs_cluster.types import StickId

CLIENT = Endpoint("client", "1")


def the_sticks(open_: int, present: int = 3) -> Sticks:
    """So many sticks, of which the first ones are open; the last of these alone is active."""
    sticks = Sticks(ClusterSpec(), [], Dispatcher(Ledger()), Limits())
    for number in range(1, present + 1):
        sticks.found(StickSpec(StickId(f"sim-{number}"), "port", "simulated"), 0.0)
        if number <= open_:
            stick = sticks.by_id[StickId(f"sim-{number}")]
            sticks.hello(stick, 1.0)
            sticks.opened(stick, m.StickOpened("a device", False, 2), 2.0)
    if open_:
        sticks.active = [StickId(f"sim-{open_}")]
    return sticks


def make(kind: str, stick: str | None, sticks: Sticks, *, simulated: bool = True) -> list[Action]:
    return fault_injection.make(CLIENT, kind, None if stick is None else StickId(stick), sticks, simulated=simulated)


def replied(text: str) -> Send:
    return Send(CLIENT, m.Reply(body=msgspec.Raw(msgspec.msgpack.encode({"text": text}))))


def refused(why: str) -> list[Action]:
    return [Send(CLIENT, m.Reply(error=why))]


def test_an_answer_carries_its_body_as_a_map_and_no_error() -> None:
    action = fault_injection.answer(CLIENT, {"text": "done", "number": 3})
    assert isinstance(action, Send)
    assert (action.to, action.message.error) == (CLIENT, None)
    assert msgspec.msgpack.decode(action.message.body) == {"text": "done", "number": 3}


def test_a_refusal_carries_its_reason_and_no_body() -> None:
    assert fault_injection.refuse(CLIENT, "no") == Send(CLIENT, m.Reply(error="no", body=msgspec.Raw(b"\xc0")))


def test_trouble_is_refused_where_sticks_are_real() -> None:
    why = "trouble can only be made with simulated sticks (--backend simulated)"
    assert make("heat", None, the_sticks(2), simulated=False) == refused(why)


@pytest.mark.parametrize("kind", ["heat", "unplug", "hang"])
def test_trouble_is_refused_for_a_stick_that_is_not_open_or_does_not_exist(kind: str) -> None:
    assert make(kind, "sim-3", the_sticks(2)) == refused("stick sim-3 is not at hand")
    assert make(kind, "sim-9", the_sticks(2)) == refused("stick sim-9 is not at hand")


def test_trouble_is_refused_where_no_stick_is_open() -> None:
    assert make("hang", None, the_sticks(0)) == refused("no stick is at hand")


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    assert make("flood", None, the_sticks(2)) == refused("no such trouble: flood; known are heat, unplug, hang")


@pytest.mark.parametrize("named", [None, "sim-1"])
def test_a_heat_wave_comes_over_every_open_stick(named: str | None) -> None:
    text = "a heat wave: 15 °C warmer for 20 s"
    assert make("heat", named, the_sticks(2)) == [
        LogEvent("warning", "trouble", text),
        Send(Endpoint("worker", "sim-1"), m.InjectFault("heat", 20.0)),
        Send(Endpoint("worker", "sim-2"), m.InjectFault("heat", 20.0)),
        replied(text),
    ]


@pytest.mark.parametrize(("named", "chosen"), [("sim-1", "sim-1"), (None, "sim-2")])
def test_the_stick_that_is_named_is_pulled_else_the_first_active_one(named: str | None, chosen: str) -> None:
    text = f"{chosen} is pulled, and plugged in again after 5 s"
    assert make("unplug", named, the_sticks(2)) == [LogEvent("warning", "trouble", text), Unplug(StickId(chosen)), replied(text)]


@pytest.mark.parametrize(("named", "chosen"), [("sim-1", "sim-1"), (None, "sim-2")])
def test_the_stick_that_is_named_hangs_else_the_first_active_one(named: str | None, chosen: str) -> None:
    text = f"{chosen} hangs: it will not answer any more"
    assert make("hang", named, the_sticks(2)) == [
        LogEvent("warning", "trouble", text),
        Send(Endpoint("worker", chosen), m.InjectFault("hang", 10.0)),
        replied(text),
    ]


def test_where_no_stick_is_active_the_first_open_one_is_chosen() -> None:
    sticks = the_sticks(2)
    sticks.active = []
    text = "sim-1 is pulled, and plugged in again after 5 s"
    assert make("unplug", None, sticks) == [LogEvent("warning", "trouble", text), Unplug(StickId("sim-1")), replied(text)]
