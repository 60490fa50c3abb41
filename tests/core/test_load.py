"""What is asked of the sticks, what they sustain and who gets what of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.core import report
from ncs_cluster.core.load import Load, fair_shares
from ncs_cluster.status import LoadStatus, Status
from ncs_cluster.testing.world import World, installation

ASKING = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.one_of(st.floats(0.0, 100.0), st.just(math.inf)), st.floats(0.1, 10.0)), max_size=6
)


@given(st.floats(0.0, 200.0), ASKING)
def test_shares_are_equal_for_their_weight_where_more_is_asked_for(capacity: float, asking: dict[str, tuple[float, float]]) -> None:
    asked, weights = {name: each[0] for name, each in asking.items()}, {name: each[1] for name, each in asking.items()}
    shares = fair_shares(capacity, asked, weights)
    assert set(shares) == set(asked)
    assert sum(shares.values()) == pytest.approx(min(capacity, sum(asked.values())), abs=1e-6)
    most = max((shares[name] / weights[name] for name in shares), default=0.0)
    for name, share in shares.items():
        assert -1e-9 <= share <= asked[name]
        if share < asked[name] - 1e-6:
            assert share / weights[name] == pytest.approx(most, abs=1e-6), "who gets less than it asks for gets as much as anyone"


def status(world: World) -> Status:
    return report.status(world.engine, world.now_s, 1.7e9, version="0", pid=1, machine=None, usage={})


def load(world: World) -> LoadStatus:
    seen = status(world).load
    assert seen is not None
    return seen


def told(world: World) -> list[str]:
    return [each.text for _, each in world.log_events if "the cameras" in each.text]


def cameras(world: World, *periods_s: float) -> World:
    for number, period_s in enumerate(periods_s):
        world.cameras[f"cam{number}"].period_s = period_s
    return world


def test_nothing_is_known_before_a_stick_has_answered() -> None:
    world = World(installation(2))
    assert load(world) == LoadStatus(None, None, False, None, None)


def test_sticks_that_keep_up_are_not_overloaded() -> None:
    world = cameras(World(installation(4, results=False)), 1 / 30)
    world.start().run(60.0)
    seen = load(world)
    assert (seen.asked_fps, seen.capacity_fps) == (pytest.approx(30.0, abs=0.5), pytest.approx(40.0, abs=0.5))
    assert (seen.overloaded, seen.limited_by, seen.retry_after_s, seen.said) == (False, "speed", None, None)
    assert status(world).cameras[0].share_fps == pytest.approx(30.0, abs=0.5)
    assert told(world) == []


def test_an_overload_is_told_once_with_both_figures_and_so_is_its_end() -> None:
    world = cameras(World(installation(4, cluster_size=2, results=False)), 1 / 50)
    world.start().run(60.0)
    said = "the cameras ask for 50/s, the sticks sustain 20/s (limited by cluster size)"
    assert told(world) == [f"{said}: frames are dropped"]
    seen = load(world)
    assert (seen.overloaded, seen.limited_by, seen.said) == (True, "cluster size", said)
    assert seen.retry_after_s == 1, "a request that comes now has its turn within a second"
    cameras(world, 1 / 15)
    world.run(30.0)
    assert told(world)[1:] == ["the sticks keep up with the cameras again"]
    assert (load(world).overloaded, load(world).retry_after_s) == (False, None)


def test_sticks_that_have_rested_lately_are_limited_by_heat_though_none_rests_now() -> None:
    """All rest every other second: while all work, they still sustain half of what their speed allows."""
    world = cameras(World(installation(4, policy="all", results=False)), 1 / 50)
    world.start().run(30.0)
    assert load(world).limited_by == "speed"
    limits = []
    for second in range(40):
        for stick in world.sticks.values():
            stick.temperature_c = (80.0, 40.0)[second % 2]
        world.run(1.0)
        limits.append(load(world).limited_by)
    assert limits[20:] == ["heat"] * 20
    assert {queue.duty for queue in world.engine.dispatcher.queues.values()} == {1.0}
    world.run(120.0)
    assert load(world).limited_by == "speed"


def test_a_limit_that_alternates_does_not_flip() -> None:
    """One stick is too hot in every other second: what is left is the cluster size, or one stick less than it."""
    world = cameras(World(installation(2, cluster_size=1, policy="coolest", results=False)), 1 / 50)
    world.start().run(30.0)
    assert load(world).limited_by == "cluster size"
    seen, present = [], set()
    for second in range(40):
        for stick in world.sticks.values():
            stick.temperature_c = (80.0, 40.0)[second % 2]
        world.run(1.0)
        seen.append(load(world).limited_by)
        present.add(world.engine.load._limit)
    assert present == {"cluster size", "heat"}
    assert set(seen) == {"cluster size"}
    for stick in world.sticks.values():
        stick.temperature_c = 80.0
    world.run(20.0)
    assert load(world).limited_by == "heat", "what lasts counts"


def test_a_demand_that_is_about_the_capacity_does_not_flap() -> None:
    world = cameras(World(installation(4, results=False)), 1 / 40)
    world.start().run(120.0)
    for period_s in (1 / 41, 1 / 39.5, 1 / 40.5, 1 / 40):
        cameras(world, period_s)
        world.run(30.0)
    assert len(told(world)) <= 1


@pytest.mark.parametrize("policy", ["all", "predictive"])
def test_cameras_get_the_results_of_their_shares(policy: str) -> None:
    """Of two that ask for more than there is, twice as much for twice the weight; the third asks for little and gets it."""
    names, weights = ("cam0", "cam1", "cam2"), {"cam0": 2.0, "cam1": 1.0, "cam2": 1.0}
    world = cameras(World(installation(3, names, policy=policy, weights=weights, results=False)), 1 / 60, 1 / 60, 1 / 3)
    for number in (1, 2, 3):
        # no reading would let a paced stick work at less than full speed
        world.sticks[f"sim-{number}"].sensor = False
    world.start().run(30.0)
    before = {name: world.engine.tally.count(name).result for name in names}
    world.run(60.0)
    got = {name: (world.engine.tally.count(name).result - before[name]) / 60 for name in names}
    shares = {camera.name: camera.share_fps for camera in status(world).cameras}
    assert shares == pytest.approx({"cam0": 18.0, "cam1": 9.0, "cam2": 3.0}, abs=0.5)
    assert got == pytest.approx(shares, rel=0.06)


def test_a_job_beside_a_camera_takes_what_its_weight_gives_it() -> None:
    world = World(installation(2, ("cam0", "cam1"), results=False))
    ordered = [camera.name for camera in world.settings.cameras][1]
    world.cameras[ordered].ordered = True
    world.settings.cameras[1] = type(world.settings.cameras[1])(ordered, "images", {}, "images", ordered=True)
    world = World(world.settings)
    world.cameras["cam0"].period_s, world.cameras["cam1"].ordered = 1 / 30, True
    world.cameras["cam1"].period_s = 0.001
    world.start().run(60.0)
    assert load(world).asked_fps == pytest.approx(30.0, abs=0.5), "a job asks for all there is: it is not counted"
    assert status(world).cameras[0].share_fps == pytest.approx(10.0, abs=0.5)
    assert load(world).overloaded


def test_while_all_are_hot_a_client_should_ask_again_when_one_has_cooled_down() -> None:
    world = cameras(World(installation(2, results=False)), 1 / 10)
    for number in (1, 2):
        world.sticks[f"sim-{number}"].temperature_c = 70.0
    world.start().run(10.0)
    assert load(world).retry_after_s == 10, "how fast they cool is not known yet"
    for second in range(8):
        world.sticks["sim-1"].temperature_c = 70.0 - 0.25 * second
        world.run(1.0)
    # the trend is smoothed over 10 s: about half of 0.25 K/s by now
    seen = load(world).retry_after_s
    zone = world.engine.sticks.by_id[world.settings.sticks[0].id].zone
    until_s = zone.cool_in_s(world.now_s)
    assert until_s is not None
    assert seen == math.ceil(until_s)
    assert 25 <= seen <= 60


def test_a_load_that_is_looked_at_twice_at_one_time_stays_as_it_is() -> None:
    world = cameras(World(installation(2, results=False)), 1 / 30)
    world.start().run(20.0)
    load: Load = world.engine.load
    before = load.asked, load.capacity
    load.look(world.now_s)
    load.look(world.now_s)
    assert (load.asked, load.capacity) == (pytest.approx(before[0], rel=0.05), pytest.approx(before[1], rel=0.01))
