"""Cameras whose source is away: what must hold meanwhile and afterwards."""

from __future__ import annotations

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import actions as a
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.rates import Rate
from ncs_cluster.testing.world import World, installation
from tests.core.referee import Referee

CAM = Endpoint("camera", "cam0")


def test_a_camera_that_tries_to_open_its_source_for_long_is_left_to_it() -> None:
    """A network camera that is off when the daemon starts, or a film that goes on after its first hour."""
    world = World(installation(1))
    referee = Referee(world)
    world.open_s = 1000.0
    world.start().run(1.0)
    process = world.processes[CAM]
    for _ in range(200):
        process.send(m.CameraRates(0.0, 0.0))
        process.send(m.SourceLost("no route to host"))
        world.run(1.0)
    assert world.processes[CAM] is process
    assert "camera cam0: killed" not in world.log_text
    referee.check()


def test_a_camera_that_says_nothing_while_it_opens_is_started_again() -> None:
    world = World(installation(1))
    world.open_s = 1000.0
    world.start().run(70.0)
    assert "was not ready in time" in world.log_text


def test_a_new_camera_can_say_no_signal_where_the_pictures_of_the_one_before_it_stand() -> None:
    world = World(installation(1))
    referee = Referee(world)
    world.start().run(2.0)
    told: list[type] = []

    def watch(action: a.Action) -> None:
        if isinstance(action, a.Send) and action.to == CAM:
            told.append(type(action.message))

    world.watchers.append(watch)
    world.open_s = 1000.0
    world.crash(CAM)
    world.run(5.0)
    assert told[:2] == [m.OpenSource, m.MapPictures]
    world.open_s = 0.3
    world.crash(CAM)
    world.run(5.0)
    assert told.count(m.MapPictures) == 2
    assert told.count(m.MapPool) == 1
    referee.check()


@pytest.mark.parametrize("per_s", [0.5, 1.0, 10.0, 30.0])
def test_a_rate_is_what_it_says(per_s: float) -> None:
    rate = Rate()
    for number in range(200):
        rate.count(number / per_s)
    assert rate.per_s(199 / per_s) == pytest.approx(per_s, rel=0.01)
