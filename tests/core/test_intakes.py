"""What the daemon tells those who ask, and how much of the sticks they get."""

from __future__ import annotations

import pytest
from msgspec import structs

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action, Send
from ncs_cluster.core.events import OPERATOR, Configured
from ncs_cluster.testing.world import World, installation
from tests.core.test_intake import intake, world


def test_pictures_of_programs_and_a_camera_share_the_sticks_by_weight() -> None:
    them = world(0.01, cameras=("cam0",))
    them.run(10.0)
    count = them.engine.tally.count("cam0")
    live, asked = count.result, intake(them).answered
    them.run(30.0)
    assert (count.result - live) / (intake(them).answered - asked) == pytest.approx(1.0, abs=0.1)


def test_a_weight_is_applied_while_the_process_goes_on() -> None:
    them = world(0.01, cameras=("cam0",))
    old = them.engine.settings
    assert old.gateway is not None
    heavier = structs.replace(old, gateway=structs.replace(old.gateway, api_weight=3.0))
    shares = []
    for new in (old, heavier, old):
        them.deliver(OPERATOR, Configured(new))
        them.run(10.0)
        count = them.engine.tally.count("cam0")
        live, asked = count.result, intake(them).answered
        them.run(30.0)
        shares.append((count.result - live) / (intake(them).answered - asked))
    assert shares == [pytest.approx(1.0, abs=0.1), pytest.approx(1 / 3, abs=0.05), pytest.approx(1.0, abs=0.1)]
    assert them.engine.gateway is not None
    assert them.engine.gateway.child.restarts == 0


def test_the_first_weight_is_that_of_the_settings() -> None:
    settings = installation(sticks=2, cameras=("cam0",), gateway=True, results=False)
    assert settings.gateway is not None
    them = World(structs.replace(settings, gateway=structs.replace(settings.gateway, api_weight=2.0)))
    them.clients.every_s = 0.01
    them.start().run(40.0)
    assert them.engine.tally.count("cam0").result / intake(them).answered == pytest.approx(0.5, abs=0.05)


def test_what_the_sticks_can_do_is_told_when_it_changes() -> None:
    them, told = World(installation(sticks=2, cameras=(), gateway=True, results=False)), []

    def watch(action: Action) -> None:
        if isinstance(action, Send) and isinstance(action.message, m.Served):
            told.append(action.message)

    them.watchers.append(watch)
    them.clients.every_s = 0.05
    them.start().run(20.0)
    assert told[0].sticks == 0
    assert (told[-1].sticks, told[-1].capacity_fps) == (2, pytest.approx(20.0, rel=0.05))
    for stick in ("sim-1", "sim-2"):
        them.sticks[stick].temperature_c = 80.0
    them.run(5.0)
    assert told[-1].sticks == 0
    assert told[-1].retry_after_s is not None


def test_a_stick_that_becomes_able_to_work_or_unable_is_told_in_the_same_turn() -> None:
    them, told = World(installation(sticks=3, cameras=(), gateway=True, results=False)), []
    able: list[tuple[int, int]] = []
    engine = them.engine
    hand_over = engine.hand_over

    def watched(now_s: float) -> list[Action]:
        actions = hand_over(now_s)
        told.extend(each.message for each in actions if isinstance(each, Send) and isinstance(each.message, m.Served))
        if intake(them).is_open and told:
            able.append((told[-1].sticks, sum(queue.duty > 0.0 for queue in engine.dispatcher.queues.values())))
        return actions

    engine.hand_over = watched  # type: ignore[method-assign]
    them.clients.every_s = 0.05
    them.start().run(20.0)
    them.sticks["sim-1"].temperature_c = 80.0
    them.run(0.3)
    them.unplug("sim-2")
    them.run(10.0)
    assert {was for _, was in able} >= {1, 2, 3}
    assert [each for each in able if each[0] != each[1]] == []


def test_no_process_is_told_anything_before_it_takes_pictures() -> None:
    them = World(installation(sticks=2, cameras=(), gateway=True, results=False))
    sent: list[Action] = []
    them.watchers.append(sent.append)
    them.start().run(10.0)
    assert not [each for each in sent if isinstance(each, Send) and isinstance(each.message, (m.Served, m.Grant))]
    assert not them.engine.cameras.pools.by_number
