"""All sticks: their coming and going, what their workers say, and whose turn it is, by exact actions and rates."""

from __future__ import annotations

import pytest

from ncs_cluster import policies
from ncs_cluster.core.actions import Kill, LogEvent, Send, Spawn
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.sticks import Stick, Sticks
from ncs_cluster.core.work import Ledger
from ncs_cluster.messages import OpenStick, StickOpened, Telemetry
from ncs_cluster.policies.base import Advice, StickView, View
from ncs_cluster.specs import ClusterSpec, GraphSpec, StickSpec
from ncs_cluster.types import GraphName, StickId

GRAPH = GraphSpec(GraphName("demo"), "demo.xml", "ssd")


def spec(number: int, *, port: str = "port", alone: bool = False) -> StickSpec:
    return StickSpec(StickId(f"sim-{number}"), port, "simulated", alone=alone)


def worker(number: int) -> Endpoint:
    return Endpoint("worker", f"sim-{number}")


class House:
    """The sticks sim-1, sim-2, ... found at 0 s."""

    def __init__(self, count: int = 1, *, clusters: ClusterSpec | None = None, stagger_s: float = 0.0) -> None:
        self.dispatcher = Dispatcher(Ledger())
        self.sticks = Sticks(clusters or ClusterSpec(), [GRAPH], self.dispatcher, Limits(), stagger_s)
        for number in range(1, count + 1):
            self.sticks.found(spec(number), 0.0)

    def __getitem__(self, number: int) -> Stick:
        return self.sticks.by_id[StickId(f"sim-{number}")]

    def open(self, *numbers: int, sensor: bool = False) -> None:
        """Their workers have opened them, at 1 s."""
        for number in numbers:
            self.sticks.hello(self[number], 1.0)
            self.sticks.opened(self[number], StickOpened("a device", sensor, 2), 1.0)

    def measure(self, number: int, value_c: float | None, now_s: float, level: int | None = None, age_s: float = 0.0) -> None:
        self.sticks.measured(self[number], Telemetry(value_c, level, age_s), now_s)

    @property
    def duties(self) -> dict[StickId, float]:
        return {stick: queue.duty for stick, queue in self.dispatcher.queues.items()}


def test_a_new_set_of_sticks_is_empty_and_without_a_stagger_all_boot_at_once() -> None:
    sticks = Sticks(ClusterSpec(), [], Dispatcher(Ledger()), Limits())
    assert (sticks.by_id, sticks.active, sticks.switches, sticks.last_switch, sticks.shedding) == ({}, [], 0, None, False)
    assert (sticks.next_s, sticks.reading_deadline_s, sticks.no_alternative, sticks.present) == (None, None, False, 0)
    assert [sticks.boots.ask(StickId(name), 0.0) for name in ("a", "b")] == [True, True]


# -- coming and going


def test_a_new_stick_is_recorded_and_its_worker_is_spawned() -> None:
    house = House(0)
    assert house.sticks.found(spec(1), 5.0) == [Spawn(worker(1), "default")]
    stick = house[1]
    assert (stick.spec, stick.child.endpoint, stick.child.deadline_s, stick.zone.switch_temp_c) == (spec(1), worker(1), 50.0, 65.0)
    assert (stick.present, stick.device, stick.firmware, stick.throttle_level, stick.measured_s) == (True, None, None, None, None)
    assert (stick.resets, stick.reset_epoch, stick.throttled_s, stick.inferences) == (0, 0, 0.0, 0)
    assert (stick.reported_missing, stick.renamed, stick.usable) == (False, False, False)


def test_sticks_are_kept_in_their_natural_order() -> None:
    house = House(0)
    names = ["sim-10", "sim-2", "1.10", "1.2", "sim-1", "b", "1.9.3"]
    for name in names:
        house.sticks.found(StickSpec(StickId(name), "port", "simulated"), 0.0)
    assert list(house.sticks.by_id) == ["1.2", "1.9.3", "1.10", "b", "sim-1", "sim-2", "sim-10"]


def test_a_stick_that_is_there_already_only_gets_its_new_spec() -> None:
    house = House(1)
    assert house.sticks.found(spec(1, port="other"), 5.0) == []
    assert (house[1].spec.port, house[1].child.state) == ("other", State.STARTING)


@pytest.mark.parametrize(("alone", "due_s"), [(False, 7.0), (True, 16.0)])
def test_a_boot_to_learn_from_is_over_when_its_stick_is_found_to_need_none(alone: bool, due_s: float) -> None:
    house = House(0, stagger_s=0.3)
    house.sticks.found(spec(1, alone=True), 0.0)
    house.sticks.hello(house[1], 1.0)
    house.sticks.boots.ask(StickId("sim-2"), 1.5)
    assert house.sticks.found(spec(1, alone=alone), 7.0) == []
    assert house.sticks.boots.deadline_s == due_s


def test_a_stick_that_is_pulled_is_noted_and_its_worker_is_killed() -> None:
    house = House(1)
    house.open(1)
    assert house.sticks.gone(StickId("sim-1"), 5.0) == [
        LogEvent("warning", "sim-1", "is gone: unplugged"),
        LogEvent("warning", "worker sim-1", "killed: its stick is gone"),
        Kill(worker(1)),
    ]
    assert (house[1].present, house[1].renamed, house[1].child.last_error, house[1].usable) == (False, False, "unplugged", False)
    assert house.sticks.gone(StickId("sim-1"), 6.0) == [], "once"
    assert house.sticks.gone(StickId("sim-9"), 6.0) == []
    assert house[1].child.exited("killed by SIGKILL", 6.0) == []
    assert house[1].child.state is State.DOWN


def test_a_stick_that_is_pulled_while_its_worker_waits_for_its_next_try_has_nothing_to_kill() -> None:
    house = House(1)
    house[1].child.exited("exit code 1", 1.0)
    assert house.sticks.gone(StickId("sim-1"), 5.0) == [LogEvent("warning", "sim-1", "is gone: unplugged")]
    assert house[1].child.state is State.DOWN


def test_a_stick_that_gets_another_name_is_not_called_unplugged() -> None:
    house = House(1)
    house[1].child.exited("exit code 1", 1.0)
    text = "was left booted by another process; once reset it is called by the port it waits at"
    assert house.sticks.gone(StickId("sim-1"), 5.0, renamed=True) == [LogEvent("info", "sim-1", text)]
    assert (house[1].present, house[1].renamed) == (False, True)


def test_a_stick_that_is_plugged_in_again_starts_anew() -> None:
    house = House(1)
    house[1].child.exited("exit code 1", 1.0)
    house.sticks.gone(StickId("sim-1"), 5.0, renamed=True)
    assert house.sticks.found(spec(1, port="other"), 6.0) == [LogEvent("info", "sim-1", "is back"), Spawn(worker(1), "default")]
    assert (house[1].present, house[1].renamed, house[1].spec.port, house[1].child.failures) == (True, False, "other", 0)


def test_a_stick_that_is_back_before_its_worker_has_died_starts_at_its_death() -> None:
    house = House(1)
    house.open(1)
    house.sticks.gone(StickId("sim-1"), 5.0)
    assert house.sticks.found(spec(1), 5.1) == [LogEvent("info", "sim-1", "is back")]
    assert house[1].child.exited("killed by SIGKILL", 5.2) == [Spawn(worker(1), "default")]


# -- what a worker says


def test_a_hello_is_answered_with_what_to_open() -> None:
    house = House(1, clusters=ClusterSpec(time_scale=20.0))
    house[1].reported_missing, house[1].reset_epoch = True, 3
    assert house.sticks.hello(house[1], 1.0) == [Send(worker(1), OpenStick(spec(1), [GRAPH], 20.0))]
    assert (house[1].child.state, house[1].reported_missing, house[1].reset_epoch) == (State.OPENING, False, 0)


def test_a_worker_that_waits_for_its_turn_is_sent_nothing_and_is_not_late() -> None:
    house = House(3, stagger_s=0.5)
    assert house.sticks.hello(house[1], 1.0) == [Send(worker(1), OpenStick(spec(1), [GRAPH], 1.0))]
    assert house.sticks.hello(house[2], 1.1) == []
    assert house.sticks.hello(house[3], 1.2) == []
    house.sticks.extend_boot_deadlines(40.0)
    assert [house[number].child.deadline_s for number in (1, 2, 3)] == [61.0, 85.0, 85.0]
    assert house.sticks.due(1.4) == []
    assert house.sticks.due(1.5) == [house[2]]
    assert house.sticks.due(1.6) == []
    assert house.sticks.due(2.0) == [house[3]]


def test_a_boot_alone_keeps_the_next_one_waiting() -> None:
    house = House(1)
    house.sticks.found(spec(2, alone=True), 0.0)
    house.sticks.hello(house[2], 1.0)
    assert house.sticks.hello(house[1], 2.0) == []
    assert house.sticks.boots.deadline_s == 16.0
    house.sticks.opened(house[2], StickOpened("a device", False, 2), 5.0)
    assert house.sticks.boots.deadline_s == 5.0, "its boot is over"


@pytest.mark.parametrize("state", list(State))
def test_the_turn_of_a_worker_that_is_no_longer_about_to_open_is_passed_over(state: State) -> None:
    house = House(2, stagger_s=0.5)
    house.sticks.boots.ask(StickId("sim-9"), 1.0)
    house.sticks.boots.ask(StickId("sim-1"), 1.0)
    house[1].child.state = state
    assert house.sticks.due(1.5) == ([house[1]] if state in (State.STARTING, State.OPENING) else [])


def test_a_stick_that_is_open_has_a_seat_and_is_noted() -> None:
    house = House(1)
    house.sticks.hello(house[1], 1.0)
    house[1].throttle_level, house[1].measured_s = 2, 0.5
    message = StickOpened("a device", True, 4, "2.0", True)
    assert house.sticks.opened(house[1], message, 2.0) == [LogEvent("info", "sim-1", "is ready: a device")]
    stick, queue = house[1], house.dispatcher.queues[StickId("sim-1")]
    assert (stick.child.state, stick.child.deadline_s, stick.device, stick.firmware) == (State.RUNNING, 7.0, "a device", "2.0")
    assert (stick.throttle_level, stick.measured_s, stick.zone.has_sensor) == (None, None, True)
    assert (queue.max_in_flight, queue.can_reset, queue.duty) == (4, True, 0.0)


@pytest.mark.parametrize(("sensor", "usable"), [(True, False), (False, True)])
def test_a_stick_with_a_sensor_is_usable_after_its_first_reading(sensor: bool, usable: bool) -> None:
    house = House(1)
    house.open(1, sensor=sensor)
    assert house[1].usable is usable
    house.measure(1, 40.0, 2.0)
    assert house[1].usable is True
    house[1].present = False
    assert house[1].usable is False


def test_a_reading_is_kept_in_plant_time_with_its_age() -> None:
    house = House(1, clusters=ClusterSpec(time_scale=10.0))
    house.open(1, sensor=True)
    house.measure(1, 40.0, 5.0, level=1, age_s=0.5)
    stick = house[1]
    assert (stick.zone.temperature_c(50.0), stick.zone.age_s(50.0)) == (pytest.approx(40.0 + 0.54 * 5.0), 5.0)
    assert (stick.throttle_level, stick.measured_s, stick.throttled_s) == (1, 50.0, 0.0)
    assert house.dispatcher.queues[StickId("sim-1")].throttled is True
    house.measure(1, 40.0, 5.25, level=None)
    assert (stick.throttle_level, stick.measured_s, stick.throttled_s) == (None, 52.5, 2.5)
    assert house.dispatcher.queues[StickId("sim-1")].throttled is False
    house.measure(1, 40.0, 6.0, level=0)
    assert stick.throttled_s == 2.5, "it was not throttled since the last reading"


def test_a_reading_of_a_stick_without_a_sensor_changes_its_pace_alone() -> None:
    house = House(1)
    house.open(1)
    house.measure(1, 80.0, 2.0, level=2)
    assert (house[1].zone.hot(2.0), house[1].zone.temperature_c(2.0)) == (False, None)
    assert house.dispatcher.queues[StickId("sim-1")].throttled is True


def test_a_reading_of_a_stick_without_a_seat_is_kept_all_the_same() -> None:
    house = House(1)
    house.open(1, sensor=True)
    house.dispatcher.detach(StickId("sim-1"))
    house.measure(1, 50.0, 2.0, level=2)
    assert (house[1].zone.temperature_c(2.0), house[1].zone.hot(2.0)) == (50.0, True)
    house.measure(1, 50.0, 3.0)
    assert house[1].zone.hot(3.0) is False, "its firmware does not slow it any more"


# -- whose turn it is


def test_with_no_stick_open_regulating_leads_to_nothing() -> None:
    house = House(2)
    assert house.sticks.regulate(1.0) == []
    assert (house.sticks.active, house.sticks.next_s, house.sticks.reading_deadline_s, house.sticks.shedding) == (
        [],
        None,
        None,
        False,
    )
    assert (house.sticks.switches, house.sticks.last_switch, house.sticks.no_alternative) == (0, None, False)


def test_every_stick_that_is_not_hot_works_under_the_policy_all() -> None:
    house = House(3)
    house.open(1, 2, 3, sensor=True)
    house.measure(1, 40.0, 2.0)
    house.measure(2, 65.0, 2.0)
    assert house.sticks.regulate(2.0) == [LogEvent("info", "sim-2", "is too hot (65.0 °C): resting")]
    assert (house.sticks.active, house.duties) == (["sim-1"], {"sim-1": 1.0, "sim-2": 0.0, "sim-3": 0.0})
    assert [house.sticks.resting(StickId(f"sim-{number}")) for number in (1, 2, 3)] == [False, True, False]
    assert house.sticks.regulate(2.1) == [], "once"
    house.measure(2, 62.0, 3.0)
    assert house.sticks.regulate(3.0) == [LogEvent("info", "sim-2", "has cooled down")]
    assert house.sticks.active == ["sim-1", "sim-2"]


def test_a_stick_that_was_hot_and_is_closed_is_not_noted_as_cooled_down() -> None:
    house = House(2)
    house.open(1, 2, sensor=True)
    house.measure(1, 70.0, 2.0)
    house.measure(2, 40.0, 2.0)
    house.sticks.regulate(2.0)
    house[1].child.exited("exit code 1", 2.5)
    assert house.sticks.regulate(3.0) == []


def test_a_stick_that_was_hot_and_comes_back_without_a_sensor_is_noted_as_such() -> None:
    house = House(2)
    house.open(1, 2, sensor=True)
    house.measure(1, 70.0, 2.0)
    house.sticks.regulate(2.0)
    house[1].zone.open(False)
    assert house.sticks.regulate(3.0) == [
        LogEvent("info", "sim-1", "has no sensor"),
        LogEvent("info", "clusters", "a stick has cooled down: working again"),
    ]


def test_shedding_is_noted_once_when_it_begins_and_once_when_it_ends() -> None:
    house = House(2)
    house.open(1, sensor=True)
    house.measure(1, 70.0, 2.0)
    assert house.sticks.regulate(2.0) == [
        LogEvent("info", "sim-1", "is too hot (70.0 °C): resting"),
        LogEvent("warning", "clusters", "every stick is too hot: no frame is worked on"),
    ]
    assert (house.sticks.shedding, house.sticks.active) == (True, [])
    assert house.sticks.regulate(2.1) == []
    house.open(2)
    assert house.sticks.regulate(2.2) == [LogEvent("info", "clusters", "a stick has cooled down: working again")]
    assert (house.sticks.shedding, house.sticks.active) == (False, ["sim-2"])


def test_shedding_ends_without_a_note_when_the_last_hot_stick_is_closed() -> None:
    house = House(1)
    house.open(1, sensor=True)
    house.measure(1, 70.0, 2.0)
    house.sticks.regulate(2.0)
    house[1].child.exited("exit code 1", 2.5)
    assert house.sticks.regulate(3.0) == []
    assert house.sticks.shedding is False


def test_the_next_look_is_when_the_first_reading_will_have_aged_up_to_the_trip() -> None:
    house = House(3, clusters=ClusterSpec(time_scale=10.0))
    house.open(1, 2, sensor=True)
    house.measure(1, 63.65, 2.0)
    house.measure(2, 40.0, 1.9)
    house.sticks.regulate(2.0)
    assert house.sticks.reading_deadline_s == pytest.approx((20.0 + 2.5) / 10)
    house[1].child.exited("exit code 1", 2.0)
    house.sticks.regulate(2.0)
    assert house.sticks.reading_deadline_s == pytest.approx((19.0 + 15.0) / 10)


class Reckless:
    """A policy that lets every stick work."""

    asked = False

    def advise(self, view: View) -> Advice:
        return Advice({stick.id: 0.5 for stick in view.sticks})

    def ask_switch(self) -> None:
        self.asked = True

    def clusters(self, view: View) -> list[list[StickId]]:
        return [[stick.id for stick in view.sticks]]


def test_a_stick_that_is_hot_or_not_usable_does_not_work_whatever_the_policy_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "create", lambda spec: Reckless())
    house = House(4)
    house.open(1, 2, 3)
    house[2].zone.open(True)
    house[2].zone.read(70.0, 2.0)
    house[3].child.kill(2.0, "hangs")
    assert house.sticks.regulate(2.0) == [LogEvent("info", "sim-2", "is too hot (70.0 °C): resting")]
    assert (house.sticks.active, house.duties) == (["sim-1"], {"sim-1": 0.5, "sim-2": 0.0, "sim-3": 0.0})


def ring(count: int, size: int, *, time_scale: float = 1.0) -> House:
    house = House(count, clusters=ClusterSpec(size, "ring", 10.0, 65.0, time_scale))
    house.open(*range(1, count + 1))
    return house


def test_the_turn_passes_when_its_time_is_over() -> None:
    house = ring(4, 2)
    assert house.sticks.regulate(2.0) == []
    assert (house.sticks.active, house.sticks.next_s, house.dispatcher.permits) == (["sim-1", "sim-2"], 12.0, 2)
    assert house.sticks.clusters(2.0) == [["sim-1", "sim-2"], ["sim-3", "sim-4"]]
    assert house.sticks.regulate(12.0) == [LogEvent("info", "clusters", "switch to sim-3, sim-4: its time is over")]
    assert (house.sticks.active, house.duties) == (["sim-3", "sim-4"], {"sim-1": 0.0, "sim-2": 0.0, "sim-3": 1.0, "sim-4": 1.0})
    assert (house.sticks.switches, house.sticks.last_switch, house.sticks.next_s) == (1, (12.0, "its time is over"), 22.0)


def test_the_times_of_a_policy_are_plant_times() -> None:
    house = ring(4, 2, time_scale=10.0)
    house.sticks.regulate(2.0)
    assert house.sticks.next_s == 3.0
    assert house.sticks.regulate(3.0) == [LogEvent("info", "clusters", "switch to sim-3, sim-4: its time is over")]
    assert house.sticks.last_switch == (3.0, "its time is over")


def test_a_switch_that_the_operator_asks_for_waits_for_the_dwell() -> None:
    house = ring(4, 2)
    house.sticks.regulate(2.0)
    assert house.sticks.regulate(3.0, asked=True) == []
    assert (house.sticks.switch_pending, house.sticks.next_s) == (True, 4.0)
    assert house.sticks.regulate(4.0) == [LogEvent("info", "clusters", "switch to sim-3, sim-4: asked for by the operator")]
    assert house.sticks.switch_pending is False


def test_a_cluster_that_no_other_can_relieve_stays() -> None:
    house = House(2, clusters=ClusterSpec(1, "ring", 10.0))
    house.open(1)
    house.sticks.regulate(2.0)
    assert house.sticks.no_alternative is False
    assert house.sticks.regulate(12.0) == []
    assert (house.sticks.no_alternative, house.sticks.active, house.sticks.next_s) == (True, ["sim-1"], 14.0)


@pytest.mark.parametrize(
    ("policy", "size", "sticks", "holds"),
    [
        ("ring", 2, 0, 1),
        ("ring", 2, 3, 1),
        ("ring", 2, 4, 2),
        ("ring", 2, 9, 2),
        ("ring", 0, 4, 0),
        ("all", 3, 2, 3),
        ("ring", 3, 4, 2),
    ],
)
def test_a_cluster_is_never_more_than_half_of_the_sticks_where_turns_are_taken(
    policy: str, size: int, sticks: int, holds: int
) -> None:
    house = House(sticks, clusters=ClusterSpec(size, policy))
    assert (house.sticks.cluster_size, house.sticks.present) == (holds, sticks)


def test_a_change_of_the_cluster_size_is_noted_once_with_the_number_of_sticks() -> None:
    house = ring(4, 2)
    assert house.sticks.say_size() == []
    house.sticks.gone(StickId("sim-4"), 5.0)
    assert house.sticks.say_size() == [LogEvent("warning", "clusters", "cluster size is now 1: 3 sticks are there")]
    assert house.sticks.say_size() == []
    house.sticks.found(spec(4), 6.0)
    assert house.sticks.say_size() == [LogEvent("info", "clusters", "cluster size is now 2: 4 sticks are there")]
    for number in (4, 3, 2):
        house.sticks.gone(StickId(f"sim-{number}"), 7.0)
    assert house.sticks.say_size() == [LogEvent("warning", "clusters", "cluster size is now 1: 1 stick is there")]


def test_the_cluster_size_is_not_noted_while_no_stick_is_there() -> None:
    assert House(0, clusters=ClusterSpec(2, "ring")).sticks.say_size() == []


def test_the_view_of_a_policy_holds_every_recorded_stick_with_its_temperature() -> None:
    house = House(4, clusters=ClusterSpec(2, "ring", time_scale=10.0))
    house.open(1, 2, sensor=True)
    house.open(3)
    house.measure(1, 70.0, 2.0)
    house.measure(2, 40.0, 2.0)
    house[4].zone.open(True)
    house[4].zone.read(80.0, 20.0)
    assert house.sticks.view(2.0) == View(
        20.0,
        [
            StickView(StickId("sim-1"), True, True, 70.0, "is too hot (70.0 °C)"),
            StickView(StickId("sim-2"), True, False, 40.0, ""),
            StickView(StickId("sim-3"), True, False, None, ""),
            StickView(StickId("sim-4"), False, False, 80.0, ""),
        ],
        2,
    )


def test_sticks_that_are_open_or_reported_gone_are_settled() -> None:
    house = House(4)
    house.open(1)
    house[2].reported_missing = True
    house.sticks.hello(house[3], 1.0)
    assert house.sticks.settled == {"sim-1", "sim-2"}
