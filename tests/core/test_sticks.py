"""All sticks: their coming and going, their turns to boot, and new settings, by exact actions."""

from __future__ import annotations

import pytest

from ncs_cluster.core.actions import Kill, LogEvent, Send, Spawn
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.core.work import Tally
from ncs_cluster.messages import OpenStick, StickOpened, Stop
from ncs_cluster.specs import ClusterSpec, StickSpec
from ncs_cluster.types import StickId
from tests.core.onepool import GRAPH, SticksSetup, pool_of, spec, stick_id, worker


def test_a_new_set_of_sticks_is_empty_and_without_a_stagger_all_boot_at_once() -> None:
    sticks = Sticks([pool_of()], [], Dispatcher(Tally()), Limits())
    assert (sticks.by_id, sticks.of_pool("default"), sticks.present, sticks.without_boot) == ({}, [], 0, set())
    assert [sticks.boots.request(StickId(name), 0.0) for name in ("a", "b")] == [True, True]


def test_the_longest_stagger_of_all_pools_holds() -> None:
    pools = [pool_of(stagger_s=0.3), pool_of(name="usb", stagger_s=0.5), pool_of(name="cpu")]
    sticks = Sticks(pools, [], Dispatcher(Tally()), Limits())
    assert [sticks.boots.request(StickId(name), 10.0) for name in ("a", "b")] == [True, False]
    assert sticks.boots.deadline_s == 10.5


# -- coming and going


def test_a_new_stick_is_recorded_and_its_worker_is_spawned() -> None:
    setup = SticksSetup(0)
    assert setup.sticks.found(spec(1), 5.0) == [Spawn(worker(1), "default")]
    stick = setup[1]
    assert (stick.spec, stick.child.endpoint, stick.child.deadline_s, stick.zone.switch_temp_c) == (spec(1), worker(1), 50.0, 65.0)
    assert (stick.present, stick.device, stick.firmware, stick.throttle_level, stick.measured_s) == (True, None, None, None, None)
    assert (stick.resets, stick.reset_epoch, stick.throttled_s, stick.inferences) == (0, 0, 0.0, 0)
    assert (stick.reported_missing, stick.renamed, stick.usable) == (False, False, False)


def test_sticks_are_kept_in_their_natural_order() -> None:
    setup = SticksSetup(0)
    names = ["sim-10", "sim-2", "1.10", "1.2", "sim-1", "b", "1.9.3"]
    for name in names:
        setup.sticks.found(StickSpec(StickId(name), "port", "simulated"), 0.0)
    assert list(setup.sticks.by_id) == ["1.2", "1.9.3", "1.10", "b", "sim-1", "sim-2", "sim-10"]


def test_a_stick_that_is_there_already_only_gets_its_new_spec() -> None:
    setup = SticksSetup(1)
    assert setup.sticks.found(spec(1, port="other"), 5.0) == []
    assert (setup[1].spec.port, setup[1].child.state) == ("other", State.STARTING)


@pytest.mark.parametrize(("exclusive_boot", "due_s"), [(False, 7.0), (True, 16.0)])
def test_a_boot_to_learn_from_is_over_when_its_stick_is_found_to_need_none(exclusive_boot: bool, due_s: float) -> None:
    setup = SticksSetup(0, stagger_s=0.3)
    setup.sticks.found(spec(1, exclusive_boot=True), 0.0)
    setup.sticks.hello(setup[1], 1.0)
    setup.sticks.boots.request(stick_id(2), 1.5)
    assert setup.sticks.found(spec(1, exclusive_boot=exclusive_boot), 7.0) == []
    assert setup.sticks.boots.deadline_s == due_s


def test_a_stick_that_is_pulled_is_noted_and_its_worker_is_killed() -> None:
    setup = SticksSetup(1)
    setup.open(1)
    assert setup.sticks.gone(stick_id(1), 5.0) == [
        LogEvent("warning", "sim-1", "is unplugged"),
        LogEvent("warning", "worker sim-1", "killed: its stick is unplugged"),
        Kill(worker(1)),
    ]
    assert (setup[1].present, setup[1].renamed, setup[1].child.last_error, setup[1].usable) == (False, False, "unplugged", False)
    assert setup.sticks.gone(stick_id(1), 6.0) == [], "once"
    assert setup.sticks.gone(stick_id(9), 6.0) == []
    assert setup[1].child.exited("killed by SIGKILL", 6.0) == []
    assert setup[1].child.state is State.DOWN


def test_a_stick_that_is_pulled_while_its_worker_waits_for_its_next_try_has_nothing_to_kill() -> None:
    setup = SticksSetup(1)
    setup[1].child.exited("exit code 1", 1.0)
    assert setup.sticks.gone(stick_id(1), 5.0) == [LogEvent("warning", "sim-1", "is unplugged")]
    assert setup[1].child.state is State.DOWN


def test_a_stick_that_is_pulled_while_its_worker_stops_is_left_to_that() -> None:
    setup = SticksSetup(1)
    setup.open(1)
    setup[1].child.stop(4.0)
    assert setup.sticks.gone(stick_id(1), 5.0) == [LogEvent("warning", "sim-1", "is unplugged")]
    assert (setup[1].child.state, setup[1].child.deadline_s) == (State.STOPPING, 7.0)


def test_a_stick_that_gets_another_name_is_not_called_unplugged() -> None:
    setup = SticksSetup(1)
    setup[1].child.exited("exit code 1", 1.0)
    text = "was left booted by another process; after a reset its id is its boot port"
    assert setup.sticks.gone(stick_id(1), 5.0, renamed=True) == [LogEvent("info", "sim-1", text)]
    assert (setup[1].present, setup[1].renamed) == (False, True)


def test_a_stick_that_is_plugged_in_again_starts_anew() -> None:
    setup = SticksSetup(1)
    setup[1].child.exited("exit code 1", 1.0)
    setup.sticks.gone(stick_id(1), 5.0, renamed=True)
    assert setup.sticks.found(spec(1, port="other"), 6.0) == [
        LogEvent("info", "sim-1", "is plugged in again"),
        Spawn(worker(1), "default"),
    ]
    assert (setup[1].present, setup[1].renamed, setup[1].spec.port, setup[1].child.failures) == (True, False, "other", 0)


def test_a_stick_that_is_back_before_its_worker_has_died_starts_at_its_death() -> None:
    setup = SticksSetup(1)
    setup.open(1)
    setup.sticks.gone(stick_id(1), 5.0)
    assert setup.sticks.found(spec(1), 5.1) == [LogEvent("info", "sim-1", "is plugged in again")]
    assert setup[1].child.exited("killed by SIGKILL", 5.2) == [Spawn(worker(1), "default")]


# -- what a worker says


def test_a_hello_is_answered_with_what_to_open() -> None:
    setup = SticksSetup(1, clusters=ClusterSpec(time_scale=20.0))
    setup[1].reported_missing, setup[1].reset_epoch = True, 3
    assert setup.sticks.hello(setup[1], 1.0) == [Send(worker(1), OpenStick(spec(1), [GRAPH], 20.0))]
    assert (setup[1].child.state, setup[1].reported_missing, setup[1].reset_epoch) == (State.OPENING, False, 0)


def test_a_worker_that_waits_for_its_turn_is_sent_nothing_and_is_not_late() -> None:
    setup = SticksSetup(3, stagger_s=0.5)
    assert setup.sticks.hello(setup[1], 1.0) == [Send(worker(1), OpenStick(spec(1), [GRAPH], 1.0))]
    assert setup.sticks.hello(setup[2], 1.1) == []
    assert setup.sticks.hello(setup[3], 1.2) == []
    setup.sticks.extend_boot_deadlines(40.0)
    assert [setup[number].child.deadline_s for number in (1, 2, 3)] == [61.0, 85.0, 85.0]
    assert setup.sticks.due(1.4) == []
    assert setup.sticks.due(1.5) == [setup[2]]
    assert setup.sticks.due(1.6) == []
    assert setup.sticks.due(2.0) == [setup[3]]


def test_a_boot_alone_keeps_the_next_one_waiting() -> None:
    setup = SticksSetup(1)
    setup.sticks.found(spec(2, exclusive_boot=True), 0.0)
    setup.sticks.hello(setup[2], 1.0)
    assert setup.sticks.hello(setup[1], 2.0) == []
    assert setup.sticks.boots.deadline_s == 16.0
    setup.sticks.opened(setup[2], StickOpened("a device", False, 2), 5.0)
    assert setup.sticks.boots.deadline_s == 5.0, "its boot is over"


@pytest.mark.parametrize("state", list(State))
def test_the_turn_of_a_worker_that_is_no_longer_about_to_open_is_passed_over(state: State) -> None:
    setup = SticksSetup(2, stagger_s=0.5)
    setup.sticks.boots.request(stick_id(9), 1.0)
    setup.sticks.boots.request(stick_id(1), 1.0)
    setup[1].child.state = state
    assert setup.sticks.due(1.5) == ([setup[1]] if state in (State.STARTING, State.OPENING) else [])


def test_a_stick_that_is_open_has_a_seat_and_is_noted() -> None:
    setup = SticksSetup(1)
    setup.sticks.hello(setup[1], 1.0)
    setup[1].throttle_level, setup[1].measured_s = 2, 0.5
    message = StickOpened("a device", True, 4, "2.0", True)
    assert setup.sticks.opened(setup[1], message, 2.0) == [LogEvent("info", "sim-1", "is ready: a device")]
    stick, queue = setup[1], setup.dispatcher.queues[stick_id(1)]
    assert (stick.child.state, stick.child.deadline_s, stick.device, stick.firmware) == (State.RUNNING, 7.0, "a device", "2.0")
    assert (stick.throttle_level, stick.measured_s, stick.zone.has_sensor) == (None, None, True)
    assert (queue.max_in_flight, queue.can_reset, queue.duty) == (4, True, 0.0)


def test_sticks_that_are_open_or_reported_gone_are_settled() -> None:
    setup = SticksSetup(4)
    setup.open(1)
    setup[2].reported_missing = True
    setup.sticks.hello(setup[3], 1.0)
    assert setup.sticks.without_boot == {"sim-1", "sim-2"}


def test_a_stick_of_a_pool_that_is_not_configured_is_ignored_with_a_note() -> None:
    setup = SticksSetup(1)
    text = 'belongs to pool "usb", which is not configured: ignored'
    assert setup.sticks.found(spec(2, pool="usb"), 1.0) == [LogEvent("error", "sim-2", text)]
    assert (list(setup.sticks.by_id), setup.sticks.of_pool("usb")) == (["sim-1"], [])


# -- several pools


def two_pools() -> Sticks:
    """sim-1 and sim-3 in the pool usb, which has the trip at 60 °C and runs 20 times faster, sim-2 in the pool cpu."""
    pools = [pool_of(1, 3, clusters=ClusterSpec(switch_temp_c=60.0, time_scale=20.0), name="usb"), pool_of(2, name="cpu")]
    sticks = Sticks(pools, [GRAPH], Dispatcher(Tally()), Limits())
    for pool in pools:
        for each in pool.sticks:
            assert sticks.found(each, 0.0) == [Spawn(worker(int(each.id[-1])), "default")]
    return sticks


def test_each_stick_is_of_its_pool_in_ring_order() -> None:
    sticks = two_pools()
    assert list(sticks.by_id) == ["sim-1", "sim-2", "sim-3"]
    assert [stick.spec.id for stick in sticks.of_pool("usb")] == ["sim-1", "sim-3"]
    assert [stick.spec.id for stick in sticks.of_pool("cpu")] == ["sim-2"]
    assert (sticks.of_pool("other"), sticks.present) == ([], 3)


def test_each_stick_has_the_trip_and_the_time_scale_of_its_pool() -> None:
    sticks = two_pools()
    first, second = sticks.by_id[stick_id(1)], sticks.by_id[stick_id(2)]
    assert (first.zone.switch_temp_c, sticks.time_scale(first)) == (60.0, 20.0)
    assert (second.zone.switch_temp_c, sticks.time_scale(second)) == (65.0, 1.0)
    assert sticks.hello(first, 1.0) == [Send(worker(1), OpenStick(first.spec, [GRAPH], 20.0))]
    assert sticks.hello(second, 1.0) == [Send(worker(2), OpenStick(second.spec, [GRAPH], 1.0))]


def test_the_seat_of_a_stick_is_of_its_pool() -> None:
    sticks = two_pools()
    for number in (1, 2):
        sticks.hello(sticks.by_id[stick_id(number)], 1.0)
        sticks.opened(sticks.by_id[stick_id(number)], StickOpened("a device", False, 2), 1.0)
    assert {stick: queue.pool for stick, queue in sticks._dispatcher.queues.items()} == {"sim-1": "usb", "sim-2": "cpu"}


def test_a_stick_whose_pool_is_not_known_any_more_runs_in_real_time() -> None:
    sticks = two_pools()
    sticks.configure([pool_of(2, name="cpu")], 5.0)
    assert sticks.time_scale(sticks.by_id[stick_id(1)]) == 1.0


# -- new settings


def test_the_same_settings_lead_to_nothing() -> None:
    setup = SticksSetup(2)
    setup.open(1)
    assert setup.sticks.configure([setup.pool], 5.0) == []
    assert [setup[number].child.state for number in (1, 2)] == [State.RUNNING, State.STARTING]


def test_a_counted_stick_that_is_new_is_started_and_those_that_stay_notice_nothing() -> None:
    setup = SticksSetup(1)
    setup.open(1)
    assert setup.sticks.configure([pool_of(1, 10, 2)], 5.0) == [
        LogEvent("info", "sim-10", "is added"),
        Spawn(worker(10), "default"),
        LogEvent("info", "sim-2", "is added"),
        Spawn(worker(2), "default"),
    ]
    assert (list(setup.sticks.by_id), setup[1].child.state) == (["sim-1", "sim-2", "sim-10"], State.RUNNING)
    assert [stick.spec.id for stick in setup.sticks.of_pool("default")] == ["sim-1", "sim-2", "sim-10"]


def test_a_counted_stick_that_is_no_longer_configured_is_stopped_politely_and_then_forgotten() -> None:
    setup = SticksSetup(2)
    setup.open(1, 2)
    assert setup.sticks.configure([pool_of(2)], 5.0) == [LogEvent("info", "sim-1", "is removed"), Send(worker(1), Stop())]
    assert (setup[1].present, setup[1].removed, setup[1].usable, setup.sticks.present) == (False, True, False, 1)
    setup.sticks.forget_removed()
    assert list(setup.sticks.by_id) == ["sim-1", "sim-2"], "its process still ends"
    assert setup[1].child.exited("exit code 0", 5.5) == []
    setup.sticks.forget_removed()
    assert list(setup.sticks.by_id) == ["sim-2"]
    assert [stick.spec.id for stick in setup.sticks.of_pool("default")] == ["sim-2"]


def test_a_stick_that_is_merely_unplugged_is_not_forgotten() -> None:
    setup = SticksSetup(1)
    setup.sticks.gone(stick_id(1), 1.0)
    setup[1].child.exited("killed by SIGKILL", 1.1)
    setup.sticks.forget_removed()
    assert list(setup.sticks.by_id) == ["sim-1"]


def test_a_stick_that_was_found_rather_than_counted_stays() -> None:
    setup = SticksSetup(1, stagger_s=0.3)
    setup.sticks.found(spec(7), 1.0)
    assert setup.sticks.configure([pool_of(1, stagger_s=0.3)], 5.0) == []
    assert (list(setup.sticks.by_id), setup[7].removed) == (["sim-1", "sim-7"], False)


def test_a_stick_with_other_options_starts_again_politely_which_is_no_failure() -> None:
    setup = SticksSetup(2)
    setup.open(1, 2)
    changed = StickSpec(stick_id(1), "port", "simulated", {"latency_ms": 50}, "py39")
    pool = pool_of(1, 2)
    pool.sticks[0] = changed
    assert setup.sticks.configure([pool], 5.0) == [
        LogEvent("info", "sim-1", "has new settings: restarting"),
        Send(worker(1), Stop()),
    ]
    assert (setup[1].spec, setup[1].child.state, setup[2].child.state) == (changed, State.STOPPING, State.RUNNING)
    assert setup.sticks.configure([pool], 5.1) == [], "once"
    assert setup[1].child.exited("exit code 0", 5.5) == [Spawn(worker(1), "py39")]
    assert (setup[1].child.failures, setup[1].child.restarts, setup[1].child.last_error, setup[1].present) == (0, 0, None, True)
    assert setup.sticks.hello(setup[1], 6.0) == [Send(worker(1), OpenStick(changed, [GRAPH], 1.0))]


def test_an_unplugged_stick_with_other_options_is_started_with_them_once_it_is_back() -> None:
    setup = SticksSetup(1)
    setup.sticks.gone(stick_id(1), 1.0)
    setup[1].child.exited("killed by SIGKILL", 1.1)
    pool = pool_of()
    pool.sticks.append(spec(1, port="other", runtime="py39"))
    assert setup.sticks.configure([pool], 5.0) == []
    assert (setup[1].present, setup[1].child.state, setup[1].spec.port) == (False, State.DOWN, "other")
    assert setup.sticks.found(pool.sticks[0], 6.0) == [LogEvent("info", "sim-1", "is plugged in again"), Spawn(worker(1), "py39")]


def test_a_stick_that_is_back_at_another_runtime_starts_with_that() -> None:
    setup = SticksSetup(1)
    setup.sticks.gone(stick_id(1), 1.0)
    setup[1].child.exited("killed by SIGKILL", 1.1)
    assert setup.sticks.found(spec(1, runtime="py39"), 6.0) == [
        LogEvent("info", "sim-1", "is plugged in again"),
        Spawn(worker(1), "py39"),
    ]


@pytest.mark.parametrize("exited", [False, True])
def test_a_stick_that_is_removed_and_added_again_starts_when_its_process_is_gone_which_is_no_failure(exited: bool) -> None:
    setup = SticksSetup(1)
    setup.open(1)
    setup.sticks.configure([pool_of()], 5.0)
    began = []
    if exited:
        began = [Spawn(worker(1), "default")]
        setup[1].child.exited("exit code 0", 5.5)
    assert setup.sticks.configure([pool_of(1)], 6.0) == [LogEvent("info", "sim-1", "is added"), *began]
    assert (setup[1].present, setup[1].removed) == (True, False)
    if not exited:
        assert setup[1].child.exited("exit code 0", 6.5) == [Spawn(worker(1), "default")]
    assert (setup[1].child.failures, setup[1].child.restarts, setup[1].child.state) == (0, 0, State.STARTING)
    setup.sticks.forget_removed()
    assert list(setup.sticks.by_id) == ["sim-1"]


def test_a_removed_stick_that_is_plugged_in_again_before_its_process_is_gone_is_kept() -> None:
    setup = SticksSetup(1)
    setup.open(1)
    setup.sticks.configure([pool_of()], 5.0)
    assert setup.sticks.found(spec(1), 5.1) == [LogEvent("info", "sim-1", "is plugged in again")]
    setup[1].child.state = State.DOWN
    setup.sticks.forget_removed()
    assert (list(setup.sticks.by_id), setup[1].removed) == (["sim-1"], False)


def test_a_stick_that_is_removed_a_second_time_is_removed_once() -> None:
    setup = SticksSetup(1)
    setup.open(1)
    setup.sticks.configure([pool_of()], 5.0)
    assert setup.sticks.configure([pool_of()], 5.1) == []


def test_a_stick_that_waits_for_its_next_try_is_removed_at_once() -> None:
    setup = SticksSetup(1)
    setup[1].child.exited("exit code 1", 1.0)
    assert setup.sticks.configure([pool_of()], 1.5) == [LogEvent("info", "sim-1", "is removed")]
    setup.sticks.forget_removed()
    assert setup.sticks.by_id == {}


def test_a_stick_that_moves_to_another_pool_starts_again_there() -> None:
    sticks = two_pools()
    pools = [pool_of(3, clusters=ClusterSpec(switch_temp_c=60.0, time_scale=20.0), name="usb"), pool_of(2, 1, name="cpu")]
    assert sticks.configure(pools, 5.0) == [
        LogEvent("info", "sim-1", "has new settings: restarting"),
        Send(worker(1), Stop()),
    ]
    first = sticks.by_id[stick_id(1)]
    assert (first.zone.switch_temp_c, sticks.time_scale(first)) == (65.0, 1.0)
    assert [stick.spec.id for stick in sticks.of_pool("usb")] == ["sim-3"]
    assert [stick.spec.id for stick in sticks.of_pool("cpu")] == ["sim-1", "sim-2"]
