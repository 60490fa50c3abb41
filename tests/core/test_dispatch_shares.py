"""Work that is less than the sticks could do: who gets it, by shares, and how hot the sticks become of it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.core import report
from ncs_cluster.testing.world import World, installation
from ncs_cluster.thermal import Heat, Plant
from ncs_cluster.types import StickId
from tests.core.onedispatcher import A, B, DispatcherSetup

C = StickId("c")


def one_by_one(setup: DispatcherSetup, frames: int, begin_s: float = 10.0) -> Counter[str]:
    """Each frame comes when the last one was answered. Who got how many."""
    got: Counter[str] = Counter()
    for number in range(frames):
        now_s = begin_s + 0.2 * number
        setup.offer(number)
        ((_, _, stick),) = setup.assign(now_s)
        assert stick is not None
        got[stick] += 1
        queue = setup.dispatcher.queues[StickId(stick)]
        setup.dispatcher.answered(queue.stick, next(iter(queue.in_flight)), 0.1, now_s + 0.1)
    return got


def sharing(**shares: float | None) -> DispatcherSetup:
    setup = DispatcherSetup(*map(StickId, shares), ordered=True)
    for stick in shares:
        setup.known(StickId(stick), 0.1)
    setup.dispatcher.set_shares({StickId(stick): share for stick, share in shares.items()})
    return setup


def test_without_shares_sticks_take_turns() -> None:
    assert one_by_one(sharing(a=None, b=None, c=None), 300) == {A: 100, B: 100, C: 100}


@pytest.mark.parametrize("share", [0.0, -1.0, float("nan")])
def test_a_share_that_makes_no_sense_is_none(share: float) -> None:
    assert one_by_one(sharing(a=share, b=None), 10) == {A: 5, B: 5}


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6))
def test_each_stick_gets_its_share_of_what_comes(shares: list[float]) -> None:
    named = {f"s{number}": share for number, share in enumerate(shares)}
    got = one_by_one(sharing(**named), 400)
    for stick, share in named.items():
        assert got[stick] == pytest.approx(400 * share / sum(shares), abs=1.0 + len(shares))


def test_a_stick_with_a_small_share_works_when_no_other_is_idle() -> None:
    setup = sharing(a=1.0, b=0.01)
    setup.offer(1, 2)
    assert setup.assign(10.0) == [("cam0", 1, A), ("cam0", 2, B)], "shares keep no frame waiting"


def test_a_stick_saves_up_no_turns_while_it_is_busy_or_rests() -> None:
    setup = sharing(a=1.0, b=1.0)
    setup.dispatcher.set_duties({A: 0.0, B: 1.0})
    assert one_by_one(setup, 50) == {B: 50}
    setup.dispatcher.set_duties({A: 1.0, B: 1.0})
    assert one_by_one(setup, 10, begin_s=100.0)[A] <= 6


def test_a_stick_that_its_firmware_throttles_is_the_last_choice() -> None:
    setup = sharing(a=1.0, b=0.01)
    setup.dispatcher.queues[A].throttle(1)
    assert one_by_one(setup, 5) == {B: 5}


@pytest.mark.slow
def test_with_less_work_than_the_sticks_could_do_the_hottest_becomes_as_cool_as_it_can() -> None:
    """The fourth stick is covered: by turns it would become 59.6 °C and the others 49.4; the best is 51.4 for all."""
    world = World(installation(4, results=False, policy="predictive"))
    world.cameras["cam0"].period_s = 0.2
    for number in (1, 2, 3, 4):
        traits = world.sticks[f"sim-{number}"]
        traits.latency_s, traits.plant = 0.2, Plant(case_air_k_w=26.0 if number == 4 else 13.0)
        traits.heat = Heat(25.0, 25.0)
    world.start().run(2400.0)
    dies_c = [world.sticks[f"sim-{number}"].heat.die_c for number in (1, 2, 3, 4)]
    assert max(dies_c) < 51.7
    assert max(dies_c) - min(dies_c) < 0.5
    seen = report.status(world.engine, world.now_s, 1.7e9, version="0", pid=1, machine=None, usage={})
    cooler_k = seen.pools[0].cooler_k
    assert cooler_k is not None
    assert 2.0 < cooler_k < 8.2, "what the cover does is partly taken for warm air"
    assert world.engine.tally.count("cam0").dropped == 0
