"""The status while a stick is opened again after a fault: degraded at once, until it is ready."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ncs_cluster.core import report
from ncs_cluster.core.events import Endpoint
from ncs_cluster.testing.world import World, installation

WORKER = Endpoint("worker", "sim-1")


def verdict(world: World) -> tuple[str, list[str]]:
    status = report.status(world.engine, world.now_s, 1.7e9, version="0", pid=1, machine=None, usage={})
    return status.daemon.state, status.daemon.reasons


def lose(world: World) -> None:
    worker = world.worker("sim-1")
    assert worker is not None
    worker.lose_stick()


@pytest.mark.parametrize(
    ("fault", "why"),
    [(lose, "no result in time: stick hangs"), (lambda world: world.crash(WORKER), "killed by SIGSEGV")],
    ids=["reset in place", "crash"],
)
def test_the_daemon_is_degraded_while_a_stick_is_opened_again(fault: Callable[[World], None], why: str) -> None:
    world = World(installation(2))
    world.sticks["sim-1"].can_reset = True
    world.open_s = 5.0
    world.start().run(8.0)
    assert verdict(world) == ("ok", [])
    fault(world)
    for _ in range(8):
        world.run(0.5)
        assert verdict(world) == ("degraded", [f"sim-1 is being reopened: {why}"])
    world.run(3.0)
    assert verdict(world) == ("ok", [])


def test_a_first_start_is_no_fault() -> None:
    world = World(installation(2))
    world.open_s = 5.0
    world.start().run(2.0)
    assert verdict(world)[0] == "down"
    assert not any("sim-" in reason for reason in verdict(world)[1])
