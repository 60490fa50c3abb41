"""A stick that hangs is reset by its worker, which lives on: its frames go to others, and old answers are taken for nobody's."""

from __future__ import annotations

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core.child import State
from ncs_cluster.testing.world import World, installation
from ncs_cluster.types import FrameRef, Outcome
from tests.core.referee import frames, ordered, watched


def test_a_stick_that_hangs_is_reset_by_its_worker_and_its_frames_go_to_others() -> None:
    world, referee = watched(World(installation(3)))
    ordered(world, count=200)
    world.sticks["sim-1"].can_reset = True
    world.start().run(3.0)
    before, pid = world.worker("sim-1"), world.engine.sticks.by_id["sim-1"].child.pid  # type: ignore[index]
    world.sticks["sim-1"].hangs = True
    world.run(1.7)
    stick = world.engine.sticks.by_id["sim-1"]  # type: ignore[index]
    assert stick.child.state is State.OPENING
    assert "sim-1" not in world.engine.dispatcher.queues
    world.run(2.0)
    assert stick.child.state is State.RUNNING
    assert (stick.resets, stick.child.restarts) == (1, 0)
    assert (world.worker("sim-1"), stick.child.pid) == (before, pid)
    world.run(60.0)
    assert frames(world) == list(range(200))
    referee.check()


def test_a_stick_that_was_opened_again_while_the_supervisor_stood_still_reads_no_frame_that_others_got() -> None:
    """The supervisor sends a frame before it receives StickLost; the frame goes to another stick, and its slot is written again."""
    world, referee = watched(World(installation(5, ("cam0", "cam1"))))
    world.start().run(1.0)
    world.sticks["sim-1"].can_reset = True
    worker = world.worker("sim-1")
    assert worker is not None
    for _ in range(10):
        worker.lose_stick()
        world.stall(4.0)
        world.run(0.731)
        referee.check()
    assert world.torn == 0


def test_answers_from_before_a_reset_are_not_taken_for_others() -> None:
    world, referee = watched(World(installation(1)))
    world.start().run(3.0)
    worker = world.worker("sim-1")
    assert worker is not None
    old = list(worker.in_hand)
    assert old
    worker.lose_stick()
    for ticket in old:
        worker.send(m.Inferred(ticket, Outcome(), 0.1))
    world.run(2.0)
    for ticket in old:
        worker.send(m.Inferred(ticket, Outcome(), 0.1))
    world.run(2.0)
    referee.check()


def test_a_frame_that_makes_every_stick_hang_is_given_up_although_no_process_dies() -> None:
    world, referee = watched(World(installation(2)))
    ordered(world, count=30)

    def hang(infer: FrameRef) -> bool:
        if infer.frame == 7:
            for stick in world.sticks.values():
                stick.hangs = True
        return False

    for name in ("sim-1", "sim-2"):
        traits = world.sticks[name]
        traits.can_reset, traits.poison = True, hang
    world.start().run(60.0)
    assert [line["frame"] for line in referee.records() if "error" in line] == [7]
    assert frames(world) == list(range(30))


@pytest.mark.parametrize("obeys", [True, False])
def test_a_worker_that_does_not_notice_a_hang_is_told_and_ended_when_that_does_not_help(obeys: bool) -> None:
    world = World(installation(1))
    traits = world.sticks["sim-1"]
    traits.can_reset, traits.notices_s, traits.obeys = True, 1000.0, obeys
    world.start().run(3.0)
    traits.hangs = True
    world.run(4.0)
    stick = world.engine.sticks.by_id["sim-1"]  # type: ignore[index]
    assert (stick.resets, stick.child.restarts) == (int(obeys), 0)
    world.run(4.0)
    assert (stick.resets, stick.child.restarts) == (int(obeys), int(not obeys))
    assert stick.child.running
