"""Whose frame the sticks get next, in a real event loop, with sticks that answer when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ncs_cluster.processes.frigate.turns import TOO_MANY, Turns
from ncs_cluster.processes.intake import TimedOut

LONG_S = 60.0


class Sticks:
    """Frames of addresses that wait for their turn. One is with the sticks at a time."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.order: list[str] = []
        self._done: dict[str, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def send(self, name: str) -> None:
        """`name`: the address and a number."""
        self._done[name] = asyncio.Event()
        self._tasks.append(asyncio.create_task(self._look(name)))

    async def _look(self, name: str) -> None:
        async with self.turns.turn(name.split()[0], asyncio.get_running_loop().time() + LONG_S, LONG_S, 1):
            self.order.append(name)
            await self._done[name].wait()

    async def answer_all(self) -> list[str]:
        """Answer one frame after the other; returns the order in which they were with the sticks."""
        await settled(lambda: bool(self.order))
        for at in range(len(self._tasks)):
            await settled(lambda at=at: len(self.order) > at)
            self._done[self.order[at]].set()
        await asyncio.gather(*self._tasks)
        return self.order


async def settled(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("nothing is started")


def test_the_newest_frame_of_one_address_is_first() -> None:
    async def story() -> list[str]:
        sticks = Sticks()
        for number in range(4):
            sticks.send(f"a {number}")
        return await sticks.answer_all()

    assert asyncio.run(story()) == ["a 0", "a 3", "a 2", "a 1"]


def test_an_address_with_many_frames_does_not_keep_another_one_waiting() -> None:
    async def story() -> list[str]:
        sticks = Sticks()
        sticks.turns._admission.limit = 2
        for name in ("a 0", "a 1", "a 2", "b 0", "a 3", "a 4"):
            sticks.send(name)
        return await sticks.answer_all()

    # two are with the sticks: when the first of a is done, b has none there
    assert asyncio.run(story())[:4] == ["a 0", "a 1", "b 0", "a 4"]


def test_a_frame_whose_turn_does_not_come_in_time_is_late_and_leaves_its_place() -> None:
    async def story() -> None:
        turns, now_s = Turns(), asyncio.get_running_loop().time()
        async with turns.turn("a", now_s + LONG_S, LONG_S, 1):
            with pytest.raises(TimedOut, match=TOO_MANY):
                async with turns.turn("b", now_s + 0.05, LONG_S, 1):
                    raise AssertionError("there is one stick")
        assert (turns._waiting, dict(turns._with_sticks), turns._admission.open) == ([], {}, 0)

    asyncio.run(story())


def test_a_turn_that_fails_is_over() -> None:
    async def story() -> None:
        turns, now_s = Turns(), asyncio.get_running_loop().time()
        for error in (TimedOut("no answer"), ValueError("no picture"), asyncio.CancelledError()):
            with pytest.raises(type(error)):
                async with turns.turn("a", now_s + LONG_S, LONG_S, 1):
                    raise error
        async with asyncio.timeout(LONG_S), turns.turn("b", now_s + LONG_S, LONG_S, 1):
            assert dict(turns._with_sticks) == {"b": 1}

    asyncio.run(story())
