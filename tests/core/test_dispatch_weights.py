"""Paced sticks, and streams that ask for more than there is: each gets the share of its weight, and no work is lost by that."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from typing import NamedTuple

import pytest

from ncs_cluster.types import StickId
from tests.core.onedispatcher import A, B, DispatcherSetup, a_unit

SERVICE_S = 0.1
BEGIN_S, LASTS_S = 10.0, 100.0


class Stream(NamedTuple):
    fps: float
    """0: a job, of which there is always work."""
    weight: float


def rates(duty: float, streams: dict[str, Stream], sticks: int = 4, seed: int = 1) -> dict[str, float]:
    """Answers a second of each stream, from sticks that take SERVICE_S and may work `duty` of the time."""
    chance = random.Random(seed)
    setup = DispatcherSetup()
    dispatcher = setup.dispatcher
    dispatcher.close_lanes("cam0")
    for number in range(sticks):
        dispatcher.attach(StickId(f"s{number}"), 2)
        setup.known(StickId(f"s{number}"), SERVICE_S, duty)
    dispatcher.set_duties(dict.fromkeys(dispatcher.queues, duty))
    numbers, got = iter(range(10**9)), Counter[str]()
    happens: list[tuple[float, int, str, str, int]] = []

    def later(when_s: float, what: str, name: str = "", ticket: int = 0) -> None:
        heapq.heappush(happens, (when_s, next(numbers), what, name, ticket))

    for name, (fps, weight) in streams.items():
        dispatcher.open_lanes(name, [0], weight, ordered=not fps)
        if fps:
            later(BEGIN_S + chance.random() / fps, "frame", name)
        for _ in range(0 if fps else 8):
            dispatcher.offer(a_unit(next(numbers), name))
    later(BEGIN_S, "wakes")
    while (first := heapq.heappop(happens))[0] <= BEGIN_S + LASTS_S:
        now_s, _, what, name, ticket = first
        if what == "frame":
            dispatcher.offer(a_unit(next(numbers), name))
            later(now_s + 1 / streams[name].fps + chance.uniform(-0.002, 0.002), "frame", name)
        elif what == "answer":
            unit = dispatcher.answered(StickId(name), ticket, SERVICE_S, now_s)
            assert unit is not None
            got[unit.stream] += 1
            if not streams[unit.stream].fps:
                dispatcher.offer(a_unit(next(numbers), unit.stream))
        for unit in dispatcher.assign(now_s):
            assert unit.stick is not None
            later(now_s + SERVICE_S + chance.uniform(0.0005, 0.002), "answer", unit.stick, unit.ticket)
        if dispatcher.deadline_s is not None and dispatcher.deadline_s > now_s:
            later(dispatcher.deadline_s, "wakes")
    return {name: got[name] / LASTS_S for name in streams}


@pytest.mark.parametrize("duty", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(
    ("streams", "shares"),
    [
        ({"big": Stream(30.0, 3.0), "small": Stream(30.0, 1.0)}, {"big": 0.75, "small": 0.25}),
        ({"camera": Stream(40.0, 1.0), "job": Stream(0.0, 0.1)}, {"camera": 1 / 1.1, "job": 0.1 / 1.1}),
        ({"a": Stream(30.0, 1.0), "b": Stream(30.0, 1.0)}, {"a": 0.5, "b": 0.5}),
    ],
)
def test_streams_get_the_shares_of_their_weights_of_all_that_paced_sticks_may_do(
    duty: float, streams: dict[str, Stream], shares: dict[str, float]
) -> None:
    most = 4 * duty / SERVICE_S
    got = rates(duty, streams)
    assert sum(got.values()) == pytest.approx(most, rel=0.03), "all that the sticks may do is done"
    assert got == pytest.approx({name: share * most for name, share in shares.items()}, rel=0.06)


def test_what_a_slow_camera_leaves_is_for_the_others() -> None:
    got = rates(0.6, {"fast": Stream(30.0, 1.0), "slow": Stream(3.0, 5.0)})
    assert got == pytest.approx({"fast": 21.0, "slow": 3.0}, abs=0.5)


def two_streams(duty: float) -> DispatcherSetup:
    """One stick; cam1 has had its turn and waits again, it is cam0's turn, which has no frame."""
    setup = DispatcherSetup(A)
    setup.dispatcher.open_lanes("cam1", [0], 1.0, ordered=False)
    setup.known(A, SERVICE_S, duty)
    setup.offer(1, stream="cam1")
    assert setup.assign(10.0) == [("cam1", 1, A)]
    setup.dispatcher.answered(A, 1, SERVICE_S, 10.1)
    setup.offer(2, stream="cam1")
    return setup


def test_a_paced_stick_waits_for_the_stream_whose_turn_it_is_until_it_would_lose_work() -> None:
    setup = two_streams(0.5)
    assert setup.assign(10.11) == []
    assert setup.dispatcher.deadline_s == pytest.approx(10.2), (
        "it had gained two inferences, used one, and gains half of one in 0.1 s"
    )
    assert setup.assign(10.19) == []
    assert setup.assign(10.201) == [("cam1", 2, A)]


def test_it_takes_that_streams_frame_as_soon_as_it_comes() -> None:
    setup = two_streams(0.5)
    assert setup.assign(10.15) == []
    setup.offer(3)
    assert setup.assign(10.16) == [("cam0", 3, A)]


def test_a_stick_at_full_speed_waits_for_nobody() -> None:
    assert two_streams(1.0).assign(10.1) == [("cam1", 2, A)]


def test_no_stick_waits_for_a_stream_that_has_missed_several_turns() -> None:
    setup = two_streams(0.5)
    waited = []
    for number in range(3, 9):
        now_s = 10.0 + number
        # its bucket is not full: it has just worked
        setup.dispatcher.queues[A].turn_s(now_s)
        setup.dispatcher.queues[A]._credit_s = 1.5 * SERVICE_S
        waited.append(setup.assign(now_s) == [])
        for unit in [*setup.dispatcher.assign(now_s + 0.2), *setup.dispatcher.queues[A].in_flight.values()][:1]:
            setup.dispatcher.answered(A, unit.ticket, SERVICE_S, now_s + 0.3)
        setup.offer(number, stream="cam1")
    assert waited == [True, True, True, False, False, False]


def test_a_graph_does_not_wait_for_another_of_the_same_frame() -> None:
    setup = DispatcherSetup(A, B, graphs=2)
    for stick in (A, B):
        setup.known(stick, SERVICE_S, 0.5)
    setup.dispatcher.offer(a_unit(1, graph=1))
    assert setup.assign(10.0) == [("cam0", 1, A)]
    setup.dispatcher.answered(A, 1, SERVICE_S, 10.1)
    setup.dispatcher.offer(a_unit(2, graph=1))
    assert setup.assign(10.12) == [("cam0", 2, B)]
