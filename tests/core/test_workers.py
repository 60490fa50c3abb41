"""All workers and what they share: telemetry, regulation, turns to boot, late answers and new settings, by exact actions."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core import report
from ncs_cluster.core.actions import Kill, LogEvent, Send, Spawn
from ncs_cluster.core.child import State
from ncs_cluster.core.engine import Engine
from ncs_cluster.specs import ClusterSpec, GraphSpec, Settings
from ncs_cluster.testing.world import EPOCH_S, World, installation
from ncs_cluster.types import GraphName
from tests.core.onepool import GRAPH, pool_of, spec, stick_id, worker
from tests.core.oneworkers import POOL, WorkersSetup, settings_of

HANGS = "no result in time: stick hangs"
HELLO = m.Hello(m.PROTOCOL, 77, "3.11")
STRICTER = GraphSpec(GraphName("demo"), "demo.xml", "ssd", threshold=0.9)


def test_new_workers_have_a_regulator_for_each_pool_and_nothing_is_due() -> None:
    pools = [pool_of(1, name="usb"), pool_of(2, clusters=ClusterSpec(1, "ring"), name="cpu")]
    workers = Engine(settings_of(*pools), 0.0).workers
    assert [(name, regulator.pool) for name, regulator in workers.regulators.items()] == [("usb", pools[0]), ("cpu", pools[1])]
    assert (workers.deadline_s, workers.listening, workers.health.failing(0.0)) == (None, [], None)
    assert (workers.tick(1.0), workers.open_due(1.0), workers.regulate_due(1.0)) == ([], [], [])


def test_there_is_a_worker_for_each_stick_that_is_known_and_for_no_other() -> None:
    setup = WorkersSetup(1)
    known = setup.workers.of(stick_id(1))
    assert known is not None
    assert known.stick is setup[1]
    assert setup.workers.of(stick_id(9)) is None


def test_workers_that_open_or_run_listen() -> None:
    setup = WorkersSetup(3)
    setup.open(1)
    setup.receive(2, HELLO, 1.0)
    assert setup.workers.listening == [worker(1), worker(2)]
    setup[1].child.stop(2.0)
    assert setup.workers.listening == [worker(2)]


# -- telemetry


def test_the_first_reading_and_one_that_crosses_the_trip_are_acted_on_at_once() -> None:
    setup = WorkersSetup(2)
    setup.open(1, 2, sensor=True)
    assert (setup.receive(1, m.Telemetry(40.0), 2.0), setup.duties) == ([], {"sim-1": 1.0, "sim-2": 0.0})
    assert (setup.receive(2, m.Telemetry(40.0), 2.1), setup.duties) == ([], {"sim-1": 1.0, "sim-2": 1.0})
    assert setup.receive(1, m.Telemetry(65.0), 3.0) == [
        LogEvent("info", "sim-1", "is too hot (65.0 °C): resting", "times a stick was too hot")
    ]
    assert setup.duties == {"sim-1": 0.0, "sim-2": 1.0}
    assert setup.receive(1, m.Telemetry(62.0), 4.0) == [LogEvent("info", "sim-1", "has cooled down", "times a stick cooled down")]
    assert setup.duties == {"sim-1": 1.0, "sim-2": 1.0}


def test_telemetry_that_changes_nothing_leads_to_no_action_and_regulates_nothing() -> None:
    setup = WorkersSetup(2)
    setup.open(1, 2, sensor=True)
    setup.receive(1, m.Telemetry(40.0), 2.0)
    setup.receive(2, m.Telemetry(40.0), 2.0)
    assert (setup.regulator.reading_deadline_s, setup.workers.deadline_s) == (17.0, 17.0)
    setup.regulator.active = []
    assert setup.receive(1, m.Telemetry(63.65), 3.0) == []
    assert (setup.regulator.reading_deadline_s, setup.workers.deadline_s) == (pytest.approx(5.5), pytest.approx(5.5))
    assert setup.receive(2, m.Telemetry(41.0, 1), 3.0) == []
    assert (setup.regulator.active, setup[2].throttle_level, setup[2].measured_s) == ([], 1, 3.0)
    assert [setup.dispatcher.queues[stick_id(number)].throttled for number in (1, 2)] == [False, True]
    setup.receive(2, m.Telemetry(41.0), 4.0)
    assert setup.dispatcher.queues[stick_id(2)].throttled is False


def test_a_reading_is_as_old_as_its_worker_says_in_plant_time() -> None:
    setup = WorkersSetup(pools=[pool_of(1, clusters=ClusterSpec(time_scale=10.0))])
    setup.open(1, sensor=True)
    setup.receive(1, m.Telemetry(40.0, None, 0.5), 2.0)
    assert (setup[1].zone.age_s(20.0), setup[1].measured_s, setup.regulator.reading_deadline_s) == (5.0, 20.0, 3.0)


def test_the_policy_is_told_for_how_long_a_stick_had_worked_when_it_was_read() -> None:
    """It works from 2.0 s on and is read at 5.5 s, which is told at 6.0 s and looked at a second later; heat runs tenfold."""
    setup = WorkersSetup(pools=[pool_of(1, clusters=ClusterSpec(time_scale=10.0))])
    setup.open(1, sensor=True)
    queue = setup.dispatcher.queues[stick_id(1)]
    queue.begin(2.0)
    assert setup.regulator.view(3.0).sticks[0].worked_read_s is None
    setup.receive(1, m.Telemetry(40.0, None, 0.5), 6.0)
    seen = setup.regulator.view(7.0).sticks[0]
    assert (seen.read_s, seen.worked_read_s, seen.worked_s) == (55.0, 35.0, 50.0)


def test_telemetry_of_a_worker_that_has_no_seat_is_kept() -> None:
    setup = WorkersSetup(1)
    setup.open(1, sensor=True)
    setup.dispatcher.detach(stick_id(1))
    assert setup.receive(1, m.Telemetry(40.0, 2), 2.0) == [
        LogEvent("info", "sim-1", "is too hot: its firmware throttles it: resting", "times a stick was too hot"),
        LogEvent("warning", "clusters", "every stick is too hot: no frame is processed"),
    ]
    assert setup[1].zone.temperature_c(2.0) == 40.0
    assert setup.receive(1, m.Telemetry(40.0), 3.0) == [
        LogEvent("info", "sim-1", "has cooled down", "times a stick cooled down"),
        LogEvent("info", "clusters", "a stick has cooled down: frames are processed again"),
    ]


def test_telemetry_of_one_pool_does_not_regulate_another() -> None:
    setup = WorkersSetup(pools=[pool_of(1, name="usb"), pool_of(2, name="cpu")])
    setup.open(1, 2, sensor=True)
    setup.receive(1, m.Telemetry(40.0), 2.0)
    assert (setup.workers.regulators["usb"].active, setup.workers.regulators["cpu"].active) == (["sim-1"], [])
    setup.receive(2, m.Telemetry(40.0), 2.0)
    setup.workers.regulators["cpu"].active = []
    setup.receive(1, m.Telemetry(70.0), 3.0)
    assert (setup.workers.regulators["usb"].active, setup.workers.regulators["cpu"].active) == ([], [])


# -- regulation and time


def test_the_deadline_is_that_of_the_first_pool() -> None:
    setup = WorkersSetup(pools=[pool_of(1, name="usb"), pool_of(2, name="cpu")])
    usb, cpu = setup.workers.regulators.values()
    cpu.policy_deadline_s = 7.0
    assert setup.workers.deadline_s == 7.0
    usb.reading_deadline_s = 6.0
    assert setup.workers.deadline_s == 6.0


def test_a_pool_is_regulated_when_its_own_deadline_has_come() -> None:
    setup = WorkersSetup(pools=[pool_of(1, 2, clusters=ClusterSpec(1, "ring", 10.0), name="usb"), pool_of(3, 4, name="cpu")])
    setup.open(1, 2, 3, 4)
    usb, cpu = setup.workers.regulators.values()
    assert (usb.active, cpu.active, usb.deadline_s, cpu.deadline_s) == (["sim-1"], ["sim-3", "sim-4"], 11.0, None)
    usb.active, cpu.active = [], []
    assert (setup.workers.regulate_due(10.999), usb.active) == ([], [])
    assert setup.workers.regulate_due(11.0) == [LogEvent("info", "clusters", "switch to sim-2: switch interval is over", "")]
    assert (usb.active, usb.deadline_s, cpu.active) == (["sim-2"], 21.0, [])


def test_every_pool_whose_deadline_has_come_is_regulated() -> None:
    ring = ClusterSpec(1, "ring", 10.0)
    setup = WorkersSetup(pools=[pool_of(1, 2, clusters=ring, name="usb"), pool_of(3, 4, clusters=ring, name="cpu")])
    setup.open(1, 2, 3, 4)
    assert setup.workers.regulate_due(11.0) == [
        LogEvent("info", "clusters", "switch to sim-2: switch interval is over", ""),
        LogEvent("info", "clusters", "switch to sim-4: switch interval is over", ""),
    ]


def test_after_a_change_the_pool_of_that_stick_is_regulated() -> None:
    setup = WorkersSetup(pools=[pool_of(1, 2, name="usb"), pool_of(3, name="cpu")])
    setup.open(1, 2, 3)
    setup.workers.regulators["usb"].active = setup.workers.regulators["cpu"].active = []
    assert setup.workers.regulate(setup[3], 2.0) == []
    assert (setup.workers.regulators["usb"].active, setup.workers.regulators["cpu"].active) == ([], ["sim-3"])
    del setup.workers.regulators["cpu"]
    assert setup.workers.regulate(setup[3], 2.0) == [], "its pool is gone"
    assert setup.workers.record_telemetry(setup[3], m.Telemetry(40.0), 2.0) == []


def test_workers_whose_turn_to_boot_has_come_are_told_what_to_open() -> None:
    setup = WorkersSetup(3, stagger_s=0.5)
    setup.open(3)
    for number in (1, 2):
        setup.receive(number, HELLO, 1.1)
    assert setup.workers.open_due(1.4) == []
    assert setup.workers.open_due(1.5) == [
        Send(worker(1), m.OpenStick(setup[1].spec, [GRAPH], 1.0)),
        Send(worker(1), m.MapPool(POOL), pool=1),
    ]
    assert setup.receive(3, m.StickLost("it hangs"), 1.6)[1:] == []
    assert setup.workers.open_due(2.0) == [
        Send(worker(2), m.OpenStick(setup[2].spec, [GRAPH], 1.0)),
        Send(worker(2), m.MapPool(POOL), pool=1),
    ]
    assert setup.workers.open_due(2.5) == [Send(worker(3), m.Reopen())]


def test_every_stick_that_is_late_is_ended_and_no_other() -> None:
    setup = WorkersSetup(3)
    setup.open(1, 2, 3)
    setup.hand_over(0, 10.0)
    setup.hand_over(1, 10.0)
    setup.hand_over(2, 11.0)
    assert setup.workers.tick(20.0) == []
    assert setup.workers.tick(20.5) == [
        LogEvent("warning", "worker sim-1", f"killed: {HANGS}"),
        Kill(worker(1)),
        LogEvent("warning", "worker sim-2", f"killed: {HANGS}"),
        Kill(worker(2)),
    ]


def test_the_frames_of_workers_that_cannot_be_killed_go_to_others() -> None:
    setup = WorkersSetup(3)
    setup.open(1, 2, 3)
    units = [setup.hand_over(frame, 10.0) for frame in (0, 1)]
    for number in (1, 2):
        setup[number].child.kill(11.0, "hangs")
    setup.workers.requeue_fenced(11.0)
    assert sorted(setup.dispatcher.queues) == ["sim-1", "sim-2", "sim-3"]
    for number in (1, 2):
        setup[number].child.tick(16.0)
        assert setup[number].child.state is State.FENCED
    setup.workers.requeue_fenced(16.0)
    assert (sorted(setup.dispatcher.queues), [unit.tried for unit in units]) == (["sim-3"], [["sim-1"], ["sim-2"]])


# -- new settings


def test_the_same_settings_lead_to_nothing() -> None:
    setup = WorkersSetup(2)
    setup.open(1, 2)
    assert setup.workers.configure(setup.settings.pools, [GRAPH], 5.0) == []


def test_new_thresholds_are_sent_to_every_worker_that_listens() -> None:
    setup = WorkersSetup(3)
    setup.open(1)
    setup.receive(2, HELLO, 1.0)
    assert setup.workers.configure(setup.settings.pools, [STRICTER], 5.0) == [
        Send(worker(1), m.ChangeGraphs([STRICTER])),
        Send(worker(2), m.ChangeGraphs([STRICTER])),
    ]
    assert setup.workers.configure(setup.settings.pools, [STRICTER], 5.1) == []
    assert setup.receive(3, HELLO, 6.0)[:1] == [Send(worker(3), m.OpenStick(setup[3].spec, [STRICTER], 1.0))]


def test_a_worker_that_is_stopped_by_the_same_settings_is_not_sent_the_thresholds() -> None:
    setup = WorkersSetup(2)
    setup.open(1, 2)
    assert setup.workers.configure([pool_of(2)], [STRICTER], 5.0) == [
        LogEvent("info", "sim-1", "is removed"),
        Send(worker(1), m.Stop()),
        Send(worker(2), m.ChangeGraphs([STRICTER])),
    ]
    assert setup.duties == {"sim-1": 0.0, "sim-2": 1.0}


def test_new_clusters_hold_at_once_and_no_stick_starts_again() -> None:
    setup = WorkersSetup(pools=[pool_of(1, 2, 3, 4, name="usb"), pool_of(5, 6, name="cpu")])
    setup.open(1, 2, 3, 4, 5, 6)
    pools = [pool_of(1, 2, 3, 4, clusters=ClusterSpec(2, "ring", 20.0, 55.0), name="usb"), setup.settings.pools[1]]
    assert setup.workers.configure(pools, [GRAPH], 5.0) == [
        LogEvent("info", "clusters", "new settings: cluster_size, policy, switch_interval_s, switch_temp_c")
    ]
    assert setup.duties == {"sim-1": 1.0, "sim-2": 1.0, "sim-3": 0.0, "sim-4": 0.0, "sim-5": 1.0, "sim-6": 1.0}
    assert (setup.dispatcher.permits, setup.workers.regulators["usb"].policy_deadline_s) == ({"usb": 2, "cpu": 0}, 25.0)
    assert [setup[number].zone.switch_temp_c for number in range(1, 7)] == [55.0] * 4 + [65.0] * 2
    assert {setup[number].child.state for number in range(1, 7)} == {State.RUNNING}


def test_a_stick_that_is_added_has_the_new_temperature() -> None:
    setup = WorkersSetup(1)
    pools = [pool_of(1, 2, clusters=ClusterSpec(switch_temp_c=55.0))]
    assert setup.workers.configure(pools, [GRAPH], 5.0) == [
        LogEvent("info", "clusters", "new settings: switch_temp_c"),
        LogEvent("info", "sim-2", "is added"),
        Spawn(worker(2), "default"),
    ]
    assert [setup[number].zone.switch_temp_c for number in (1, 2)] == [55.0, 55.0]


def test_a_removed_stick_finishes_what_it_has_and_its_turn_passes() -> None:
    setup = WorkersSetup(pools=[pool_of(1, 2, clusters=ClusterSpec(1, "ring", 10.0))])
    setup.open(1, 2)
    unit = setup.hand_over(0, 2.0)
    assert setup.workers.configure([pool_of(2, clusters=ClusterSpec(1, "ring", 10.0))], [GRAPH], 2.05) == [
        LogEvent("info", "sim-1", "is removed"),
        Send(worker(1), m.Stop()),
    ]
    assert (unit.stick, setup.regulator.active, setup.duties) == ("sim-1", ["sim-2"], {"sim-1": 0.0, "sim-2": 1.0})
    assert setup.receive(1, e.Exited("exit code 0", 0), 2.5) == []
    assert (setup.duties, [each.stick for each in setup.dispatcher.assign(2.5)]) == ({"sim-2": 1.0}, ["sim-2"])


def test_a_pool_that_is_new_gets_a_regulator_of_its_own() -> None:
    setup = WorkersSetup(1)
    other = pool_of(7, clusters=ClusterSpec(1, "ring"), name="cpu")
    assert setup.workers.configure([*setup.settings.pools, other], [GRAPH], 5.0) == [
        LogEvent("info", "sim-7", "is added"),
        Spawn(worker(7), "default"),
    ]
    regulator = setup.workers.regulators["cpu"]
    assert (regulator.pool, [stick.spec for stick in regulator.members]) == (other, [spec(7, pool="cpu")])
    setup.open(7)
    assert (regulator.active, setup.dispatcher.permits["cpu"]) == (["sim-7"], 1)


def test_a_stick_with_other_options_gives_its_turn_away_until_it_is_open_again() -> None:
    setup = WorkersSetup(2)
    setup.open(1, 2)
    pool = pool_of(1, 2)
    pool.sticks[0] = msgspec.structs.replace(pool.sticks[0], options={"latency_ms": 50})
    assert setup.workers.configure([pool], [GRAPH], 5.0) == [
        LogEvent("info", "sim-1", "has new settings: restarting"),
        Send(worker(1), m.Stop()),
    ]
    assert setup.duties == {"sim-1": 0.0, "sim-2": 1.0}
    assert setup.receive(1, e.Exited("exit code 0", 0), 5.5) == [Spawn(worker(1), "default")]
    assert setup.receive(1, HELLO, 6.0)[:1] == [Send(worker(1), m.OpenStick(pool.sticks[0], [GRAPH], 1.0))]
    setup.receive(1, m.StickOpened("a device", False, 2), 6.5)
    assert (setup.duties, setup[1].child.failures) == ({"sim-1": 1.0, "sim-2": 1.0}, 0)


# -- reading


class Asked(World):
    """A world; with `by` somebody asks for its status at each action, and again at each step, also for times to come."""

    def __init__(self, settings: Settings, *, by: bool) -> None:
        super().__init__(settings)
        self.done: list[tuple[float, object]] = []
        self.asked = 0
        self._by = by
        self.watchers.append(self.watch)

    def watch(self, action: object) -> None:
        self.done.append((self.now_s, action))
        if self._by:
            self.asked += 1
            for ahead_s in (0.0, 5.0, 100.0, 0.0):
                report.status(self.engine, self.now_s + ahead_s, 1.7e9, version="1", pid=7, machine=None, usage={})
            assert self.engine.deadline_s == self.engine.deadline_s


def test_a_daemon_that_is_asked_for_its_status_at_every_step_does_as_one_that_is_not() -> None:
    worlds = []
    for by in (True, False):
        world = Asked(installation(5, ("cam0", "cam1"), cluster_size=2, interval_s=3.0, switch_temp_c=45.0, time_scale=5.0), by=by)
        world.start()
        for when_s, happens in (
            (5.0, lambda each: each.crash(worker(2))),
            (9.0, lambda each: each.unplug("sim-3")),
            (12.0, lambda each: each.plug("sim-3")),
            (15.0, lambda each: each.ask_switch()),
        ):
            world.at(EPOCH_S + when_s, partial(happens, world))
        world.run(25.0)
        worlds.append(world)
    asked, silent = worlds
    assert asked.done == silent.done
    assert (asked.asked == len(asked.done), silent.asked, len(silent.done) > 500) == (True, 0, True)
    assert asked.engine.workers.regulators["default"].switches > 5
