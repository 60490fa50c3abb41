"""What sticks say of their heat, and when they say it late, seldom or not at all: which of them gets a frame."""

from __future__ import annotations

import pytest

from ncs_cluster import messages as m
from ncs_cluster.testing.world import World, installation
from tests.core.referee import watched


def test_a_stick_that_its_firmware_all_but_stops_gets_no_frame_however_cool_it_says_it_is() -> None:
    world, referee = watched(World(installation(2)))
    world.start().run(3.0)
    world.sticks["sim-1"].throttle_level = 2
    world.run(3.0)
    assert world.engine.workers.regulators["default"].active == ["sim-2"]
    assert "sim-1: is too hot: its firmware throttles it" in world.log_text
    world.sticks["sim-1"].throttle_level = 1
    world.run(3.0)
    assert world.engine.workers.regulators["default"].active == ["sim-1", "sim-2"]
    referee.check()


def test_a_level_that_is_not_told_is_unknown_and_the_stick_works_on() -> None:
    world = World(installation(1))
    world.start().run(3.0)
    stick = world.engine.sticks.by_id["sim-1"]  # type: ignore[index]
    assert stick.throttle_level == 0
    world.sticks["sim-1"].throttle_level = None
    world.run(3.0)
    assert (stick.throttle_level, stick.throttled_s) == (None, 0.0)
    assert world.engine.workers.regulators["default"].active == ["sim-1"]


def test_a_stick_that_is_slowed_a_little_works_only_where_no_other_is_free() -> None:
    world = World(installation(2))
    world.cameras["cam0"].period_s = 0.5
    world.sticks["sim-1"].throttle_level = 1
    world.start().run(3.0)
    before = world.sticks["sim-1"].done
    world.run(20.0)
    assert world.sticks["sim-1"].done == before
    world.cameras["cam0"].period_s = 1 / 30
    world.run(5.0)
    assert world.sticks["sim-1"].done > before


def test_a_stick_that_falls_silent_near_the_limit_gets_no_frame_from_the_moment_it_may_be_hot() -> None:
    world, referee = watched(World(installation(2, time_scale=20)))
    for name in ("sim-1", "sim-2"):
        world.sticks[name].temperature_c = 64.5
        world.sticks[name].latency_s = 0.004
    world.start().run(3.0)
    world.sticks["sim-1"].mute = True
    world.run(3.0)
    referee.check()
    assert "sim-1: is too hot" in world.log_text


def test_a_stick_comes_back_at_three_degrees_below_the_limit() -> None:
    world = World(installation(1))
    world.start().run(2.0)
    for reading, works in ((65.0, False), (62.1, False), (62.0, True)):
        world.sticks["sim-1"].temperature_c = reading
        world.run(3.0)
        assert bool(world.engine.workers.regulators["default"].active) is works, reading


def test_seconds_a_stick_was_away_do_not_count_as_throttled() -> None:
    world = World(installation(1))
    world.start().run(2.0)
    worker = world.worker("sim-1")
    assert worker is not None
    world.sticks["sim-1"].mute = True
    worker.send(m.Telemetry(50.0, 1))
    world.run(0.1)
    world.unplug("sim-1")
    world.run(100.0)
    world.sticks["sim-1"].mute = False
    world.plug("sim-1")
    world.run(5.0)
    assert world.engine.sticks.by_id["sim-1"].throttled_s < 1.5  # type: ignore[index]


def test_a_reading_that_is_told_late_is_as_old_as_it_says() -> None:
    world = World(installation(1))
    world.start().run(2.0)
    world.sticks["sim-1"].mute = True
    worker = world.worker("sim-1")
    assert worker is not None
    worker.send(m.Telemetry(61.0, age_s=8.0))
    world.run(0.1)
    stick = world.engine.sticks.by_id["sim-1"]  # type: ignore[index]
    assert stick.zone.age_s(world.now_s) == pytest.approx(8.1, abs=0.01)
    assert world.engine.workers.regulators["default"].active == [], "61 degrees eight seconds ago may be 65 by now"
