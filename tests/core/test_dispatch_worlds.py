"""Who gets which frame, and when: shares, freshness, full use of the sticks, in virtual time with a clock of 1 ms grain."""

from __future__ import annotations

import itertools
import json
import statistics

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import actions as a
from ncs_cluster.testing.world import EPOCH_S, World, installation
from tests.core.referee import Referee

L_S = 0.1
START_S = 1.0


def latencies_ms(world: World) -> list[float]:
    return [line["latency_ms"] for line in map(json.loads, world.sink.file)]


@pytest.mark.parametrize("sticks", [1, 2, 4, 8])
@pytest.mark.parametrize("latency_s", [0.1, 0.033])
def test_saturated_sticks_are_never_idle(sticks: int, latency_s: float) -> None:
    world = World(installation(sticks))
    world.cameras["cam0"].period_s = 1 / 300
    for number in range(sticks):
        world.sticks[f"sim-{number + 1}"].latency_s = latency_s
    world.start().run(START_S)
    before = world.engine.tally.count("cam0").result
    world.run(8.0)
    done = world.engine.tally.count("cam0").result - before
    assert done + world.engine.tally.count("cam0").late >= 0.99 * 8.0 * sticks / latency_s
    assert world.engine.tally.count("cam0").late <= 0.002 * done


@pytest.mark.parametrize("sticks", [1, 2])
def test_saturated_frames_are_fresh_half_a_period_old_and_five_milliseconds(sticks: int) -> None:
    world = World(installation(sticks))
    # no common measure with the stick's time, so that every phase is met
    world.cameras["cam0"].period_s = 1 / 30.3
    world.start().run(60.0)
    assert statistics.median(latencies_ms(world)[10:]) <= 100 + 1000 / 30 / 2 + 5


def test_unsaturated_sticks_answer_at_once() -> None:
    world = World(installation(4))
    world.start().run(20.0)
    times = sorted(latencies_ms(world)[10:])
    assert times[len(times) // 2] <= 105
    assert times[int(len(times) * 0.99)] <= 110
    count = world.engine.tally.count("cam0")
    assert count.dropped <= 20


def test_a_busy_stick_is_handed_a_live_frame_only_just_before_it_needs_it() -> None:
    world = World(installation(1))
    waits: list[float] = []

    def watch(action: a.Action) -> None:
        if isinstance(action, a.Send) and isinstance(action.message, m.Infer):
            queue = world.engine.dispatcher.queues[action.to.name]  # type: ignore[index]
            if len(queue.in_flight) > 1 and world.now_s > EPOCH_S + 5:
                waits.append(queue.expected_end_s() - world.now_s)

    world.watchers.append(watch)
    world.start().run(30.0)
    assert len(waits) > 200
    assert max(waits) <= 0.010


@pytest.mark.parametrize(("weights", "sticks"), [((1.0, 1.0), 1), ((3.0, 1.0), 1), ((3.0, 1.0), 3), ((5.0, 2.0), 2)])
@pytest.mark.parametrize("ordered", [(False, False), (True, True), (True, False)])
def test_saturated_streams_share_by_weight(weights: tuple[float, float], sticks: int, ordered: tuple[bool, bool]) -> None:
    world = World(installation(sticks, ("cam0", "cam1"), weights={"cam0": weights[0], "cam1": weights[1]}))
    referee = Referee(world)
    for name, each in zip(("cam0", "cam1"), ordered, strict=True):
        world.cameras[name].period_s, world.cameras[name].ordered = 1 / 100, each
    # sticks in step with each other, and a live stream has one frame for all of them: let them be of different speeds
    for number in range(sticks):
        world.sticks[f"sim-{number + 1}"].latency_s = 0.1 + 0.0173 * number
    world.start().run(40.0)
    referee.check()
    one, two = (world.engine.tally.count(name).result for name in ("cam0", "cam1"))
    assert one / (one + two) == pytest.approx(weights[0] / sum(weights), abs=0.03)


def test_graphs_of_one_camera_share_its_weight() -> None:
    world = World(installation(2, ("cam0", "cam1"), ("one", "two")))
    for name in ("cam0", "cam1"):
        world.cameras[name].period_s = 1 / 200
    world.start().run(60.0)
    counts = [world.engine.tally.count(name).result for name in ("cam0", "cam1")]
    assert counts[0] == pytest.approx(counts[1], rel=0.05)
    graphs = [line["graph"] for line in map(json.loads, world.sink.file)]
    assert graphs.count("one") == pytest.approx(graphs.count("two"), rel=0.05)


def test_the_pause_at_a_switch_is_not_longer_than_an_inference() -> None:
    world = World(installation(4, cluster_size=2, interval_s=3.0))
    referee = Referee(world)
    answers: list[float] = []
    world.cameras["cam0"].measure_s = 0.0

    def watch(action: a.Action) -> None:
        if isinstance(action, a.Send) and isinstance(action.message, m.Measure):
            answers.append(world.now_s)

    world.watchers.append(watch)
    world.start().run(60.0)
    referee.check()
    assert world.engine.workers.regulators["default"].switches >= 18
    gaps = [after - before for before, after in itertools.pairwise(answers[20:])]
    assert max(gaps) <= L_S + 0.010


def test_sixty_four_sticks_are_all_at_work() -> None:
    world = World(installation(64))
    world.cameras["cam0"].period_s = 1 / 2000
    for number in range(64):
        world.sticks[f"sim-{number + 1}"].latency_s = 0.033
    world.start().run(2.0)
    before = world.engine.tally.count("cam0").result
    world.run(1.0)
    assert world.engine.tally.count("cam0").result - before >= 0.97 * 64 / 0.033
