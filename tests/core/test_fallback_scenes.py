"""The fallback in virtual worlds: sticks that hang, heat up, die and are pulled, and the worker of the CPU beside them."""

from __future__ import annotations

import re

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import actions as a
from ncs_cluster.core import fallback as module
from ncs_cluster.core.events import Endpoint
from ncs_cluster.specs import Settings
from ncs_cluster.testing.hardware import StickTraits
from ncs_cluster.testing.world import World
from ncs_cluster.types import StickId
from tests.core.oneengine import drawn
from tests.core.onefallback import CPU, installed
from tests.core.referee import Referee

LINGERS_S = 8.0


@pytest.fixture(autouse=True)
def lingers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINGER_S", LINGERS_S)


def world_of(settings: Settings) -> World:
    world = World(settings)
    world.cameras["cam0"].period_s = 0.08
    world.sticks["cpu-1"] = StickTraits(latency_s=0.08, sensor=False)
    return world


def served(world: World) -> int:
    return world.engine.tally.count("cam0").result


def longest_gap_s(world: World, for_s: float) -> float:
    """The longest time without an answer of any device, while the world runs."""
    longest_s, last, since_s = 0.0, served(world), world.now_s
    end_s = world.now_s + for_s
    while world.now_s < end_s:
        world.run(0.05)
        if served(world) != last:
            last, since_s = served(world), world.now_s
        longest_s = max(longest_s, world.now_s - since_s)
    return longest_s


@pytest.mark.parametrize("can_reset", [False, True])
def test_a_stick_that_hangs_is_not_waited_for(can_reset: bool) -> None:
    world = world_of(installed(1))
    referee = Referee(world)
    world.sticks["sim-1"].can_reset = can_reset
    world.sticks["sim-1"].notices_s = 4.0
    world.sticks["sim-1"].latency_s = 0.3
    world.start().run(5.0)
    world.sticks["sim-1"].hangs = True
    assert longest_gap_s(world, 10.0) < 2.0
    assert "sim-1 does not answer; the CPU serves" in world.log_text
    world.sticks["sim-1"].hangs = False
    world.run(5.0)
    referee.check()


def test_sticks_whose_permits_a_hanging_one_holds_are_not_waited_for() -> None:
    world = world_of(installed(2, cluster_size=1, interval_s=0.0))
    world.start().run(3.0)
    (active,) = world.engine.workers.regulators["default"].active
    world.sticks[active].hangs = True
    world.run(0.3)
    world.sticks[active].temperature_c = 70.0
    assert longest_gap_s(world, 8.0) < 2.0


def test_it_takes_over_from_a_stick_whose_duty_is_almost_0() -> None:
    world = world_of(installed(1))
    world.start().run(3.0)
    world.engine.sticks.by_id[StickId("sim-1")].throttling.duty = 0.004
    assert longest_gap_s(world, 10.0) < 2.0
    assert re.search(r"no stick can work: sim-1 may work \d\.\d % of the time; the CPU serves", world.log_text)
    world.engine.sticks.by_id[StickId("sim-1")].throttling.duty = 0.4
    world.run(1.0)
    assert not world.engine.fallback.serving  # type: ignore[union-attr]


def test_an_idle_stick_is_no_reason_to_take_over() -> None:
    world = world_of(installed(1, cameras=()))
    world.start().run(60.0)
    assert world.engine.fallback is not None
    assert world.engine.fallback.takeovers == 0


def test_an_ordered_stream_is_in_order_and_whole_over_both_switches() -> None:
    world = world_of(installed(2))
    referee = Referee(world)
    world.cameras["cam0"].ordered, world.cameras["cam0"].frames = True, 300
    world.sticks["cpu-1"].latency_s = 0.3
    world.start().run(3.0)
    for name in ("sim-1", "sim-2"):
        world.sticks[name].temperature_c = 70.0
    world.run(5.0)
    for name in ("sim-1", "sim-2"):
        world.sticks[name].temperature_c = 50.0
    world.run(5.0)
    for name in ("sim-1", "sim-2"):
        world.crash(Endpoint("worker", name))
    world.run(30.0)
    referee.check()
    count = world.engine.tally.count("cam0")
    assert (count.result, count.dropped, count.late, count.given_up) == (300, 0, 0, 0)
    assert world.engine.fallback.takeovers >= 2  # type: ignore[union-attr]
    assert world.sticks["cpu-1"].done > 0


def test_frames_in_flight_on_the_cpu_are_finished_there_when_a_stick_is_back() -> None:
    world = world_of(installed(1))
    world.sticks["cpu-1"].latency_s = 0.9
    world.start().run(2.0)
    world.sticks["sim-1"].temperature_c = 70.0
    world.run(4.05)
    assert world.engine.dispatcher.queues[StickId("cpu-1")].in_flight
    done = world.sticks["cpu-1"].done
    world.sticks["sim-1"].temperature_c = 50.0
    world.run(3.0)
    assert world.sticks["cpu-1"].done > done
    assert not world.engine.dispatcher.queues[StickId("cpu-1")].in_flight


def without_standby(sticks: int = 3) -> World:
    world = world_of(installed(sticks, standby=False))
    world.start().run(5.0)
    return world


def test_without_standby_its_worker_does_not_run_while_the_sticks_do() -> None:
    world = without_standby()
    world.run(LINGERS_S + 2.0)
    assert CPU not in world.processes
    shown = next(stick for stick in drawn(world.engine, world.now_s).sticks if stick.id == "cpu-1")
    assert (shown.state, shown.pid) == ("standby", None)
    assert not [reason for reason in drawn(world.engine, world.now_s).daemon.reasons if "cpu-1" in reason]


def test_without_standby_its_worker_is_started_with_the_last_but_one_stick_gone_and_is_warm_when_the_last_one_goes() -> None:
    world = without_standby()
    world.run(LINGERS_S + 2.0)
    world.unplug("sim-1")
    world.run(1.0)
    assert CPU not in world.processes
    world.unplug("sim-2")
    world.run(1.0)
    assert CPU in world.processes
    assert not world.engine.fallback.serving  # type: ignore[union-attr]
    world.unplug("sim-3")
    assert longest_gap_s(world, 3.0) < 0.5
    for name in ("sim-1", "sim-2", "sim-3"):
        world.plug(name)
    world.run(LINGERS_S - 2.0)
    assert CPU in world.processes
    world.run(5.0)
    assert CPU not in world.processes


def test_without_standby_its_worker_is_started_when_every_stick_nears_its_limit() -> None:
    world = without_standby(2)
    world.run(LINGERS_S + 2.0)
    assert CPU not in world.processes
    for step in range(12):
        for name in ("sim-1", "sim-2"):
            world.sticks[name].temperature_c = 50.0 + step
        world.run(1.0)
    assert not world.engine.fallback.needed  # type: ignore[union-attr]
    assert CPU in world.processes


def test_a_worker_that_is_wanted_again_while_it_stops_is_started_anew() -> None:
    world = without_standby(1)
    world.run(LINGERS_S + 2.0)
    world.unplug("sim-1")
    world.run(2.0)
    world.plug("sim-1")
    stopped: list[a.Action] = []

    def unplug_again(action: a.Action) -> None:
        if action == a.Send(CPU, m.Stop()):
            stopped.append(action)
            world.after(0.001, lambda: world.unplug("sim-1"))

    world.watchers.append(unplug_again)
    world.run(LINGERS_S + 4.0)
    assert len(stopped) == 1
    assert world.engine.fallback.serving  # type: ignore[union-attr]


def test_its_own_death_is_survived_as_any_workers() -> None:
    world = world_of(installed(1))
    referee = Referee(world)
    world.start().run(2.0)
    world.unplug("sim-1")
    world.run(2.0)
    before = served(world)
    world.crash(CPU)
    world.run(3.0)
    referee.check()
    assert served(world) > before + 10


def test_a_daemon_that_stops_starts_no_worker_and_says_nothing_of_it() -> None:
    world = without_standby(1)
    world.run(LINGERS_S + 2.0)
    world.ask_stop()
    world.run(6.0)
    assert world.exit_code == 0
    assert "no stick can work" not in "\n".join(
        line for line in world.log_text.splitlines() if float(line.split()[0]) > LINGERS_S + 5.0
    )
