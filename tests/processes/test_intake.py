"""Pictures of other programs on their way into the pool, and answers on their way out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from ncs_cluster.ipc import pool as pools
from ncs_cluster.messages import Answered, Ask, Grant, MapPool, OpenIntake, Served, ServedGraph, Withdraw
from ncs_cluster.processes.intake import MOST_WAITING, Answer, Intake, Overloaded, TimedOut, Unanswered
from ncs_cluster.types import Detection, GraphName, Outcome, PoolLayout, Tensor

LAYOUT = PoolLayout(1, 4, 64, 48, None, 4096)
DEMO = ServedGraph(GraphName("demo"), "ssd", {1: "ball"}, 32, 32)
WELL = Served([DEMO], 2, 20.0)
FOUND = Outcome([Detection("ball", 1, 0.9, (0.1, 0.1, 0.5, 0.5))])
GREY = np.full((48, 64, 3), 7, np.uint8)


class Supervisor:
    """The other end: its pool, and what the intake has sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.full = False
        self.intake = Intake(self._hear)
        fd = pools.create(LAYOUT)
        self.pool = pools.FramePool(os.dup(fd), LAYOUT, writable=True)
        self.intake.received(MapPool(LAYOUT), [fd])
        self.intake.received(WELL, [])

    def _hear(self, message: Any) -> bool:
        if not self.full:
            self.sent.append(message)
        return not self.full

    def grant(self, slot: int) -> None:
        self.intake.received(Grant(1, slot), [])

    @property
    def asks(self) -> list[Ask]:
        return [each for each in self.sent if isinstance(each, Ask)]

    def answer(self, ask: Ask, outcome: Outcome = FOUND, **given: Any) -> None:
        self.intake.received(Answered(ask.frame.frame, outcome, "sim-1", 0.05, **given), [])

    async def infer(self, image: np.ndarray[Any, Any] = GREY, timeout_s: float = 5.0, **given: Any) -> Answer:
        return await self.intake.infer("demo", image, timeout_s=timeout_s, **given)

    async def asked(self, count: int) -> list[Ask]:
        for _ in range(1000):
            if len(self.asks) >= count:
                return self.asks
            await asyncio.sleep(0.001)
        raise AssertionError(f"{self.sent}")


def run(story: Callable[[Supervisor], Awaitable[None]]) -> None:
    async def whole() -> None:
        await story(Supervisor())

    asyncio.run(whole())


def test_a_picture_lies_in_the_granted_slot_and_its_answer_comes_back() -> None:
    async def story(them: Supervisor) -> None:
        them.grant(2)
        waiting = asyncio.create_task(them.infer())
        (ask,) = await them.asked(1)
        assert (ask.graph, ask.frame.slot, ask.frame.width, ask.frame.height, ask.raw) == ("demo", 2, 64, 48, False)
        assert (them.pool.image(ask.frame) == 7).all()
        them.answer(ask)
        assert await waiting == Answer(FOUND, "sim-1", 0.05, {})
        assert them.intake.open == 0

    run(story)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_picture_in_rgb_lies_as_bgr_in_its_slot(transposed: bool) -> None:
    rgb = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
    if transposed:
        rgb = np.ascontiguousarray(rgb.transpose(2, 0, 1)).transpose(1, 2, 0)

    async def story(them: Supervisor) -> None:
        them.grant(0)
        waiting = asyncio.create_task(them.infer(rgb, rgb=True))
        (ask,) = await them.asked(1)
        np.testing.assert_array_equal(them.pool.image(ask.frame), rgb[:, :, ::-1])
        them.answer(ask)
        await waiting

    run(story)


def test_answers_come_to_those_who_asked_in_any_order() -> None:
    async def story(them: Supervisor) -> None:
        for slot in range(3):
            them.grant(slot)
        waiting = [asyncio.create_task(them.infer()) for _ in range(3)]
        asks = await them.asked(3)
        for ask in reversed(asks):
            them.answer(ask, Outcome([Detection(str(ask.frame.frame), 1, 0.9, (0.1, 0.1, 0.5, 0.5))]))
        given = await asyncio.gather(*waiting)
        assert [each.outcome.detections[0].label for each in given] == ["0", "1", "2"]

    run(story)


def test_a_raw_answer_holds_copies_of_the_tensors() -> None:
    async def story(them: Supervisor) -> None:
        them.grant(1)
        waiting = asyncio.create_task(them.infer(raw=True))
        (ask,) = await them.asked(1)
        values = np.arange(10, dtype="<f4")
        plane = them.pool.answer(1)
        plane[:40] = values.tobytes()
        them.answer(ask, Outcome(), outputs=[Tensor("a", [2, 3]), Tensor("b", [4])])
        plane[:40] = bytes(40)
        outputs = (await waiting).outputs
        assert list(outputs) == ["a", "b"]
        assert outputs["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert outputs["b"].tolist() == [6, 7, 8, 9]

    run(story)


def test_a_picture_larger_than_a_slot_is_scaled_down() -> None:
    async def story(them: Supervisor) -> None:
        them.grant(0)
        waiting = asyncio.create_task(them.infer(np.full((480, 640, 3), 9, np.uint8)))
        (ask,) = await them.asked(1)
        assert (ask.frame.width, ask.frame.height) == (64, 48)
        assert (them.pool.image(ask.frame) == 9).all()
        them.answer(ask)
        await waiting

    run(story)


def test_pictures_wait_for_a_slot_in_their_order() -> None:
    async def story(them: Supervisor) -> None:
        waiting = [asyncio.create_task(them.infer(np.full((48, 64, 3), number, np.uint8))) for number in range(3)]
        await asyncio.sleep(0.01)
        for slot in (3, 1, 2):
            them.grant(slot)
        asks = await them.asked(3)
        assert [int(them.pool.image(ask.frame)[0, 0, 0]) for ask in asks] == [0, 1, 2]
        for ask in asks:
            them.answer(ask)
        await asyncio.gather(*waiting)

    run(story)


def test_what_is_not_answered_in_time_is_withdrawn_and_a_late_answer_harms_nobody() -> None:
    async def story(them: Supervisor) -> None:
        them.grant(0)
        with pytest.raises(TimedOut):
            await them.infer(timeout_s=0.02)
        (ask,) = them.asks
        assert them.sent[-1] == Withdraw(ask.frame.frame)
        them.answer(ask)
        with pytest.raises(TimedOut, match="no stick was free"):
            await them.infer(timeout_s=0.02)
        assert them.intake.open == 0

    run(story)


def test_a_client_that_leaves_takes_its_picture_back() -> None:
    async def story(them: Supervisor) -> None:
        them.grant(0)
        first, second = asyncio.create_task(them.infer()), asyncio.create_task(them.infer())
        (ask,) = await them.asked(1)
        first.cancel()
        second.cancel()
        await asyncio.sleep(0.01)
        assert them.sent[-1] == Withdraw(ask.frame.frame)
        assert them.intake.open == 0
        them.grant(1)
        third = asyncio.create_task(them.infer())
        assert (await them.asked(2))[1].frame.slot == 1
        third.cancel()

    run(story)


@pytest.mark.parametrize(
    ("served", "retry_s"),
    [(Served([DEMO], 0), 10), (Served([DEMO], 0, None, 42), 42), (Served([DEMO], 2, 20.0, 7), 7)],
    ids=["no stick", "too hot", "overloaded"],
)
def test_a_picture_that_no_stick_could_take_is_refused_with_a_time(served: Served, retry_s: int) -> None:
    async def story(them: Supervisor) -> None:
        them.grant(0)
        them.intake.received(served, [])
        with pytest.raises(Overloaded) as refused:
            await them.infer()
        assert refused.value.retry_after_s == retry_s
        them.intake.received(WELL, [])
        waiting = asyncio.create_task(them.infer())
        them.answer((await them.asked(1))[0])
        await waiting

    run(story)


def test_who_insists_is_answered_while_the_sticks_are_overloaded_and_refused_while_none_can_work() -> None:
    async def story(them: Supervisor) -> None:
        them.grant(0)
        them.intake.received(Served([DEMO], 2, 20.0, 7), [])
        waiting = asyncio.create_task(them.infer(insist=True))
        them.answer((await them.asked(1))[0])
        await waiting
        them.intake.received(Served([DEMO], 0, 20.0, 7), [])
        with pytest.raises(Overloaded):
            await them.infer(insist=True)

    run(story)


def test_too_many_that_wait_are_refused_with_the_time_that_the_others_take() -> None:
    async def story(them: Supervisor) -> None:
        waiting = [asyncio.create_task(them.infer()) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0.01)
        with pytest.raises(Overloaded) as refused:
            await them.infer()
        assert refused.value.retry_after_s == 4
        for each in waiting:
            each.cancel()

    run(story)


def test_a_full_channel_refuses_and_keeps_the_slot() -> None:
    async def story(them: Supervisor) -> None:
        them.grant(0)
        them.full = True
        with pytest.raises(Overloaded):
            await them.infer()
        them.full = False
        waiting = asyncio.create_task(them.infer())
        them.answer((await them.asked(1))[0])
        await waiting

    run(story)


def test_what_the_supervisor_gives_up_is_told_with_its_reason() -> None:
    async def story(them: Supervisor) -> None:
        them.grant(0)
        waiting = asyncio.create_task(them.infer())
        them.answer((await them.asked(1))[0], Outcome(error="given up: 3 stick failures"))
        with pytest.raises(Unanswered, match="given up: 3 stick failures"):
            await waiting
        with pytest.raises(Unanswered, match="no graph other"):
            await them.intake.infer("other", GREY, timeout_s=1.0)

    run(story)


def test_after_the_end_of_the_supervisor_everything_open_ends_and_the_next_one_is_served() -> None:
    async def story(them: Supervisor) -> None:
        them.grant(0)
        asked, unasked = asyncio.create_task(them.infer()), asyncio.create_task(them.infer())
        await them.asked(1)
        them.intake.close()
        for each in (asked, unasked):
            with pytest.raises(Unanswered, match="the daemon has ended"):
                await each
        with pytest.raises(Overloaded):
            await them.infer()
        assert them.intake.start()
        assert them.sent[-1] == OpenIntake()
        them.intake.received(MapPool(LAYOUT), [pools.create(LAYOUT)])
        them.intake.received(WELL, [])
        them.grant(3)
        waiting = asyncio.create_task(them.infer())
        them.answer((await them.asked(2))[1])
        await waiting

    run(story)


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 4), (0, 64, 3)])
def test_what_is_no_picture_is_refused_before_a_slot_is_used(shape: tuple[int, ...]) -> None:
    async def story(them: Supervisor) -> None:
        them.grant(0)
        with pytest.raises(ValueError, match="a picture is uint8"):
            await them.infer(np.zeros(shape, np.uint8))
        assert not them.asks

    run(story)
