"""What the core makes of a stick's listing on the bus: a stick in its boot ROM whose worker is at work, and one that is back."""

from __future__ import annotations

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import actions as a
from ncs_cluster.core.child import State
from ncs_cluster.core.events import BUS, Exited, StickListed
from ncs_cluster.testing.world import World, installation
from ncs_cluster.types import StickId
from tests.core.onepool import spec, stick_id, worker
from tests.core.oneworkers import WorkersSetup

SIM1 = StickId("sim-1")
DRIVES_ANOTHER = "its stick is in its boot ROM: the worker drives another stick"


def listed(world: World, *states: str) -> None:
    for state in states:
        world.deliver(BUS, StickListed(SIM1, state))


def forgotten(world: World) -> list[StickId]:
    stick: list[StickId] = []
    world.watchers.append(lambda action: stick.append(action.stick) if isinstance(action, a.ForgetPort) else None)
    return stick


def test_a_worker_at_work_while_its_stick_waits_in_its_boot_rom_is_ended_and_the_port_is_learned_again() -> None:
    world = World(installation(2))
    doubted = forgotten(world)
    world.start().run(3.0)
    listed(world, "missing", "rom")
    world.run(1.0)
    assert world.engine.sticks.by_id[SIM1].child.running, "the next scan may show that it has booted"
    world.run(1.0)
    child = world.engine.sticks.by_id[SIM1].child
    assert (child.last_error, child.restarts, doubted) == (DRIVES_ANOTHER, 1, [SIM1])


@pytest.mark.parametrize("state", ["booted", "missing", ""])
def test_a_worker_at_work_with_its_stick_elsewhere_than_in_its_rom_is_left_alone(state: str) -> None:
    world = World(installation(1))
    doubted = forgotten(world)
    world.start().run(0.1)
    listed(world, "rom", state)
    world.run(9.0)
    assert (world.engine.sticks.by_id[SIM1].child.restarts, doubted) == (0, [])


def test_a_stick_that_was_listed_in_its_rom_before_it_was_opened_has_until_the_next_scan() -> None:
    setup = WorkersSetup(1)
    setup.sticks.listed(stick_id(1), "rom", 0.0)
    setup.open(1)
    assert not setup[1].elsewhere(2.4)
    assert setup[1].elsewhere(2.5)


def failing(setup: WorkersSetup, failures: int, reason: str = "open") -> None:
    """The worker of sim-1 has failed so often, the last time at 10 s."""
    for _ in range(failures):
        setup.receive(1, m.Hello(m.PROTOCOL, 7, "3.11"), 10.0)
        setup.receive(1, m.Failed(reason, "trouble"), 10.0)
        setup.receive(1, Exited("exit code 1", 1), 10.0)
        if setup[1].child.failures < failures:
            setup[1].child.tick(1e9)


@pytest.mark.parametrize(("failures", "deadline_s"), [(4, 13.0), (7, 21.0)], ids=["backoff", "quarantine"])
def test_a_stick_that_is_plugged_in_again_is_tried_soon(failures: int, deadline_s: float) -> None:
    setup = WorkersSetup(1)
    failing(setup, failures)
    assert setup[1].child.deadline_s in (18.0, 70.0)
    assert setup.sticks.listed(stick_id(1), "missing", 10.9) == []
    wait_s = deadline_s - 11.0
    assert setup.sticks.listed(stick_id(1), "rom", 11.0) == [
        a.LogEvent("info", "sim-1", f"is back on the bus: next try in {wait_s:.0f} s")
    ]
    assert setup[1].child.deadline_s == deadline_s
    assert setup.sticks.listed(stick_id(1), "rom", 11.5) == [], "it was plugged in once more: no later than that"


def test_a_stick_that_came_back_before_its_worker_had_given_it_up_is_tried_soon() -> None:
    setup = WorkersSetup(1)
    setup.sticks.listed(stick_id(1), "rom", 9.0)
    failing(setup, 4, "gone")
    assert setup[1].child.deadline_s == 12.0


def test_a_boot_that_ended_in_the_rom_is_no_fresh_plug() -> None:
    setup = WorkersSetup(1)
    setup.sticks.listed(stick_id(1), "rom", 9.0)
    failing(setup, 4, "open")
    setup.sticks.listed(stick_id(1), "missing", 10.1)
    assert setup.sticks.listed(stick_id(1), "rom", 10.6) == []
    assert setup[1].child.deadline_s == 18.0


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING, State.DOWN])
def test_only_a_wait_is_shortened(state: State) -> None:
    setup = WorkersSetup(1)
    setup[1].child.state, setup[1].child.deadline_s = state, 99.0
    assert setup.sticks.listed(stick_id(1), "rom", 11.0) == []
    assert (setup[1].child.deadline_s, setup.sticks.listed(StickId("another"), "rom", 11.0)) == (99.0, [])


@pytest.mark.parametrize(("known", "expected"), [(True, [a.ForgetPort(stick_id(1))]), (False, [])])
def test_a_stick_that_is_not_found_again_in_its_boot_may_return_elsewhere(known: bool, expected: list[a.Action]) -> None:
    setup = WorkersSetup(1, exclusive_boot=not known)
    setup.receive(1, m.Hello(m.PROTOCOL, 7, "3.11"), 1.0)
    assert setup.receive(1, m.Failed("gone", "it did not come back at USB port 2-2 after its boot"), 9.0) == expected


def test_a_port_that_was_learned_since_the_worker_began_is_kept() -> None:
    setup = WorkersSetup(1)
    setup.receive(1, m.Hello(m.PROTOCOL, 7, "3.11"), 1.0)
    setup.sticks.found(spec(1, port="another"), 2.0)
    assert setup.receive(1, m.Failed("gone", "it did not come back at USB port 2-2 after its boot"), 9.0) == []


def test_a_stick_that_is_lost_at_work_keeps_its_port() -> None:
    setup = WorkersSetup(1)
    setup.open(1)
    assert setup.receive(1, m.Failed("gone", "the stick was unplugged"), 9.0) == []
    assert setup[1].reported_missing
    assert setup.receive(1, Exited("exit code 1", 1), 9.0)[0] == a.LogEvent(
        "warning", str(worker(1)), "ended (exit code 1; the stick was unplugged), next try in 2 s"
    )
