"""The inside of an emulated stick: whatever firmware may do differently a session lives with, whatever it must not do ends one."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.emulator.stick import FAULTS, Stick
from ncs_cluster.xlink import commands
from ncs_cluster.xlink.commands import Device, Graph
from ncs_cluster.xlink.events import Closed, Lost, Result, Thermal
from ncs_cluster.xlink.frames import FrameType, Header
from ncs_cluster.xlink.session import Options
from tests.hypothesis_profiles import examples
from tests.xlink.cable import FACES, SMALL, Pair, number_of, numbered

IMPATIENT = Options(reply_timeout_s=3.0, infer_timeout_s=3.0, allocate_timeout_s=3.0)


def work(pair: Pair, count: int, for_s: float = 10.0) -> list[object]:
    """So many inferences, as many at once as the stick holds."""
    events: list[object] = []
    sent, end_s = 0, pair.now_s + for_s
    while pair.now_s < end_s and not pair.session.ended and sum(isinstance(each, Result) for each in events) < count:
        while sent < count and pair.session.in_flight < 4:
            pair.session.submit(sent, 0, numbered(sent, SMALL), pair.now_s)
            sent += 1
        events += pair.run(0.01)
    return events


@pytest.mark.parametrize("own_ends", [False, True])
@pytest.mark.parametrize("release_first", [False, True])
@pytest.mark.parametrize("release", ["consumed", "received"])
def test_firmware_may_open_its_own_ends_and_release_when_it_likes(own_ends: bool, release_first: bool, release: str) -> None:
    pair = Pair([SMALL], own_ends=own_ends, release_first=release_first, release=release, latency_s=0.02).ready()
    results = [event for event in work(pair, 30) if isinstance(event, Result)]
    assert [(event.tag, number_of(event)) for event in results] == [(number, number) for number in range(30)]
    pair.session.close(pair.now_s)
    assert pair.run(1.0)[-1] == Closed()
    assert pair.stick.violations == []


@pytest.mark.parametrize("kind", ["hang", "silent", "late", "refuse", "credit", "short", "stray", "garbage", "double", "lost"])
def test_what_firmware_must_not_do_ends_the_session_and_no_result_is_wrong(kind: str) -> None:
    pair = Pair([SMALL], IMPATIENT, latency_s=0.02).ready()
    work(pair, 4)
    before = len(pair.seen)
    pair.stick.fault(kind)
    work(pair, 30)
    events = [event for _, event in pair.seen[before:]]
    lost = [event for event in events if isinstance(event, Lost)]
    assert len(lost) == 1, events
    assert lost[0].reason in ("hang", "link", "protocol", "infer")
    results = [event for event in events if isinstance(event, Result)]
    assert [number_of(event) for event in results] == [event.tag for event in results]


@pytest.mark.parametrize("kind", ["slow", "wave", "temperature", "frozen"])
def test_what_is_only_bad_luck_is_lived_with(kind: str) -> None:
    pair = Pair([SMALL], IMPATIENT, latency_s=0.02).ready()
    pair.stick.fault(kind)
    results = [event for event in work(pair, 12) if isinstance(event, Result)]
    assert [event.tag for event in results] == list(range(12))


@pytest.mark.parametrize("graphs", ["/nowhere.xml", ["/nowhere.xml"], [{"model": "/nowhere.xml"}]])
def test_a_model_that_is_not_there_is_told_when_the_stick_is_made(graphs: Any) -> None:
    with pytest.raises(ValueError, match=r"echo, zero or files of models, not '/nowhere\.xml'"):
        Stick(graphs=graphs)


def test_every_fault_is_told_in_a_sentence_and_an_unknown_one_refused() -> None:
    stick = Stick()
    for kind in FAULTS:
        stick.fault(kind)
    stick.fault("clear")
    with pytest.raises(ValueError, match="no fault 'headache'"):
        stick.fault("headache")


def answered(kind: str, **how: float) -> list[int]:
    """What comes for frames 1 to 4, which are on the stick together, with one fault; 0 is a result of zeros."""
    wire: list[bytes] = []
    pair = Pair([SMALL], latency_s=0.02).ready()
    stick = pair.stick
    stick.fault(kind, **how)
    take = stick.take

    def taken() -> list[bytes]:
        out = take()
        wire.extend(out)
        return out

    stick.take = taken  # type: ignore[method-assign]
    for number in (1, 2, 3, 4):
        pair.session.submit(number, 0, numbered(number, SMALL), pair.now_s)
    pair.run(0.2)
    assert stick.state()["in_flight"] == 0
    return [int.from_bytes(data[:4], "little") for data in wire if len(data) == SMALL.outputs_size]


@pytest.mark.parametrize(
    ("fault", "results"),
    [
        ({"kind": "double"}, [1, 1, 2, 3, 4]),
        ({"kind": "lost"}, [2, 3, 4]),
        ({"kind": "swap"}, [2, 1, 3, 4]),
        ({"kind": "wrong", "times": 2}, [0, 0, 3, 4]),
    ],
    ids=["double", "lost", "swap", "wrong"],
)
def test_a_result_may_come_twice_or_never_or_late_or_of_zeros(fault: dict[str, Any], results: list[int]) -> None:
    assert answered(**fault)[: len(results)] == results


def test_work_heats_it_and_heat_slows_it() -> None:
    """At twenty times the speed two minutes are as good as forty: a stick at full load throttles, as lone ones do."""
    pair = Pair([SMALL], latency_s=0.05, heat_scale=20.0, ambient_c=27.0).ready()
    work(pair, 100_000, for_s=120.0)
    readings = [event for _, event in pair.seen if isinstance(event, Thermal)]
    assert readings[0].temperature_c < 40
    assert max(event.temperature_c for event in readings) > 70
    assert {event.level for event in readings} >= {0, 1}


def test_the_sensor_may_lie() -> None:
    pair = Pair([SMALL]).ready()
    pair.stick.fault("temperature", celsius=-89.5)
    assert {event.temperature_c for event in pair.run(1.5) if isinstance(event, Thermal)} == {-89.5}
    pair.stick.fault("temperature")
    assert all(math.isnan(event.temperature_c) for event in pair.run(1.0) if isinstance(event, Thermal))


def test_without_a_ping_its_watchdog_ends_it() -> None:
    stick = Stick(watchdog=True, watchdog_s=10.0)
    stick.tick(5.0)
    assert stick.due_s == 15.0
    stick.tick(14.9)
    assert not stick.left
    stick.tick(15.0)
    assert stick.left


@settings(max_examples=examples(150), deadline=None)
@given(st.data())
def test_no_host_can_break_it(data: st.DataObject) -> None:
    """Random bytes, and random frames with commands that mean something, in any order: no exception, bounded memory."""
    stick, now_s = Stick(watchdog=data.draw(st.booleans())), 0.0
    stick.tick(now_s)
    stick.receive(Header(10, FrameType.CREATE_STREAM_REQ, commands.DEVICE_MONITOR, 0, 2048).encode(), now_s)
    stick.receive(Header(11, FrameType.CREATE_STREAM_REQ, commands.GRAPH_MONITOR, 1, 4096).encode(), now_s)
    stick.receive(Header(12, FrameType.CREATE_STREAM_REQ, "graphBuffer0", 2, len(FACES.data)).encode(), now_s)
    words = st.integers(0, 9) | st.integers(0, 2**32 - 1)
    payloads = st.one_of(
        st.binary(max_size=120),
        st.builds(lambda command, argument: struct.pack("<II", command, argument), words, words),
        st.builds(lambda command, *more: commands.graph_command(command, *more), words, words, st.just("x"), words, words, words),
        st.just(FACES.data),
        st.just(FACES.data[: commands.VERIFY_BYTES]),
        st.just(commands.device_command(Device.THERMAL)),
        st.just(commands.graph_command(Graph.ALLOCATE, 0, "graphBuffer0")),
    )
    for event in range(20, 20 + data.draw(st.integers(1, 25))):
        kind, stream = data.draw(st.sampled_from(FrameType)), data.draw(st.integers(0, 5))
        payload = data.draw(payloads)
        size = len(payload) if data.draw(st.booleans()) else data.draw(st.integers(0, 2**32 - 1))
        stick.receive(Header(event, kind, data.draw(st.sampled_from(["", "FIFO0", "x"])), stream, size).encode(), now_s)
        if kind is FrameType.WRITE_REQ:
            stick.receive(payload, now_s)
        now_s += data.draw(st.floats(0, 2))
        stick.tick(now_s)
        stick.take()
    assert len(stick.violations) <= 100
