"""Faults on request: for each request the exact messages, the note and the client's reply."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from ncs_cluster import messages as m
from ncs_cluster.core import fault_injection
from ncs_cluster.core.actions import Action, LogEvent, Send, Unplug
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import Endpoint
from ncs_cluster.specs import DiscoverySpec
from ncs_cluster.types import StickId
from tests.core.onepool import pool_of, stick_id
from tests.core.oneworkers import settings_of

CLIENT = Endpoint("client", "1")


def the_engine(open_: int, present: int = 3, *, simulated: bool = True) -> Engine:
    """So many sticks, of which the first ones are open; the last of these alone is active. Without `simulated` others are looked
    for."""
    pool = pool_of(*range(1, present + 1))
    if not simulated:
        pool = replace(pool, discovery=DiscoverySpec("xlink"))
    engine = Engine(settings_of(pool), 0.0)
    for spec in engine.settings.sticks:
        engine.sticks.found(spec, 0.0)
    for number in range(1, open_ + 1):
        stick = engine.sticks.by_id[stick_id(number)]
        engine.sticks.hello(stick, 1.0)
        engine.sticks.opened(stick, m.StickOpened("a device", False, 2), 2.0)
    if open_:
        engine.workers.regulators["default"].active = [stick_id(open_)]
    return engine


def inject(kind: str, stick: str | None, engine: Engine) -> list[Action]:
    return fault_injection.inject(CLIENT, kind, None if stick is None else StickId(stick), engine, 7.0)


def replied(text: str) -> Send:
    return Send(CLIENT, m.Reply(body=msgspec.Raw(msgspec.msgpack.encode({"text": text}))))


def refused(why: str) -> list[Action]:
    return [Send(CLIENT, m.Reply(error=why))]


def test_a_fault_is_refused_where_sticks_are_real() -> None:
    why = "faults are for simulated sticks only (--backend simulated)"
    assert inject("heat", None, the_engine(2, simulated=False)) == refused(why)


@pytest.mark.parametrize("kind", ["heat", "unplug", "hang"])
def test_a_fault_is_refused_for_a_stick_that_is_not_open_or_does_not_exist(kind: str) -> None:
    assert inject(kind, "sim-3", the_engine(2)) == refused("stick sim-3 is not usable now")
    assert inject(kind, "sim-9", the_engine(2)) == refused("stick sim-9 is not usable now")


def test_a_fault_is_refused_where_no_stick_is_open() -> None:
    assert inject("hang", None, the_engine(0)) == refused("no usable stick")


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    assert inject("flood", None, the_engine(2)) == refused("no such fault: flood; known are heat, unplug, hang")


@pytest.mark.parametrize("named", [None, "sim-1"])
def test_a_heat_wave_comes_over_every_open_stick(named: str | None) -> None:
    text, engine = "a heat wave: 15 °C warmer for 20 s", the_engine(2)
    assert engine.heat_wave is None
    assert inject("heat", named, engine) == [
        LogEvent("warning", "fault", text),
        Send(Endpoint("worker", "sim-1"), m.InjectFault("heat", 20.0)),
        Send(Endpoint("worker", "sim-2"), m.InjectFault("heat", 20.0)),
        replied(text),
    ]
    assert engine.heat_wave == (7.0, 27.0)


@pytest.mark.parametrize(("named", "chosen"), [("sim-1", "sim-1"), (None, "sim-2")])
def test_the_stick_that_is_named_is_pulled_else_the_first_active_one(named: str | None, chosen: str) -> None:
    text = f"{chosen} is unplugged for 5 s"
    assert inject("unplug", named, the_engine(2)) == [LogEvent("warning", "fault", text), Unplug(StickId(chosen)), replied(text)]


@pytest.mark.parametrize(("named", "chosen"), [("sim-1", "sim-1"), (None, "sim-2")])
def test_the_stick_that_is_named_hangs_else_the_first_active_one(named: str | None, chosen: str) -> None:
    text = f"{chosen} hangs: no further answers"
    assert inject("hang", named, the_engine(2)) == [
        LogEvent("warning", "fault", text),
        Send(Endpoint("worker", chosen), m.InjectFault("hang", 10.0)),
        replied(text),
    ]


def test_where_no_stick_is_active_the_first_open_one_is_chosen() -> None:
    engine = the_engine(2)
    engine.workers.regulators["default"].active = []
    text = "sim-1 is unplugged for 5 s"
    assert inject("unplug", None, engine) == [LogEvent("warning", "fault", text), Unplug(StickId("sim-1")), replied(text)]


def test_of_several_pools_the_first_one_with_an_active_stick_is_chosen_from() -> None:
    engine = Engine(settings_of(pool_of(1, 2, name="usb"), pool_of(3, 4, name="cpu")), 0.0)
    for number, spec in enumerate(engine.settings.sticks, 1):
        engine.sticks.found(spec, 0.0)
        engine.sticks.hello(engine.sticks.by_id[stick_id(number)], 1.0)
        engine.sticks.opened(engine.sticks.by_id[stick_id(number)], m.StickOpened("a device", False, 2), 2.0)
    engine.workers.regulators["cpu"].active = [stick_id(4), stick_id(3)]
    assert inject("unplug", None, engine)[1] == Unplug(stick_id(4))
    engine.workers.regulators["usb"].active = [stick_id(2)]
    assert inject("unplug", None, engine)[1] == Unplug(stick_id(2))
