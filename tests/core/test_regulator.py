"""One pool's regulator: whose turn it is, how hard sticks work, and what is too hot, by exact actions and duties."""

from __future__ import annotations

import copy
from collections import deque

import pytest
from msgspec import structs

from ncs_cluster import policies
from ncs_cluster.core.actions import LogEvent
from ncs_cluster.messages import Telemetry
from ncs_cluster.policies.base import Advice, StickView, View
from ncs_cluster.specs import ClusterSpec
from ncs_cluster.types import StickId
from tests.core.onepool import spec, stick_id
from tests.core.oneregulator import RegulatorSetup, ring


def test_a_new_regulator_has_decided_nothing() -> None:
    setup = RegulatorSetup(0, clusters=ClusterSpec(2, "ring"))
    regulator = setup.regulator
    assert (regulator.pool, regulator.spec, regulator.members, regulator.present) == (setup.pool, ClusterSpec(2, "ring"), [], 0)
    assert (regulator.active, regulator.switches, regulator.last_switch, regulator.shedding) == ([], 0, None, False)
    assert (regulator.policy_deadline_s, regulator.reading_deadline_s, regulator.deadline_s) == (None, None, None)
    assert (regulator.no_alternative, regulator.switch_pending, setup.dispatcher.permits) == (False, False, {})


def test_with_no_stick_open_regulating_leads_to_nothing() -> None:
    setup = RegulatorSetup(2)
    assert setup.regulator.regulate(1.0) == []
    assert (
        setup.regulator.active,
        setup.regulator.policy_deadline_s,
        setup.regulator.reading_deadline_s,
        setup.regulator.shedding,
    ) == (
        [],
        None,
        None,
        False,
    )
    assert (setup.regulator.switches, setup.regulator.last_switch, setup.regulator.no_alternative) == (0, None, False)


def test_every_stick_that_is_not_hot_works_under_the_policy_all() -> None:
    setup = RegulatorSetup(3)
    setup.open(1, 2, 3, sensor=True)
    setup.measure(1, 40.0, 2.0)
    setup.measure(2, 65.0, 2.0)
    assert setup.regulator.regulate(2.0) == [
        LogEvent("info", "sim-2", "is too hot (65.0 °C): resting", "times a stick was too hot")
    ]
    assert (setup.regulator.active, setup.duties) == (["sim-1"], {"sim-1": 1.0, "sim-2": 0.0, "sim-3": 0.0})
    assert [setup.regulator.resting(stick_id(number)) for number in (1, 2, 3)] == [False, True, False]
    assert setup.regulator.regulate(2.1) == [], "once"
    setup.measure(2, 62.0, 3.0)
    assert setup.regulator.regulate(3.0) == [LogEvent("info", "sim-2", "has cooled down", "times a stick cooled down")]
    assert setup.regulator.active == ["sim-1", "sim-2"]


def test_a_stick_that_was_hot_and_is_closed_is_not_noted_as_cooled_down() -> None:
    setup = RegulatorSetup(2)
    setup.open(1, 2, sensor=True)
    setup.measure(1, 70.0, 2.0)
    setup.measure(2, 40.0, 2.0)
    setup.regulator.regulate(2.0)
    setup[1].child.exited("exit code 1", 2.5)
    assert setup.regulator.regulate(3.0) == []


def test_a_stick_that_was_hot_and_comes_back_without_a_sensor_is_noted_as_such() -> None:
    setup = RegulatorSetup(2)
    setup.open(1, 2, sensor=True)
    setup.measure(1, 70.0, 2.0)
    setup.regulator.regulate(2.0)
    setup[1].zone.open(False)
    assert setup.regulator.regulate(3.0) == [
        LogEvent("info", "sim-1", "has no sensor", "times a stick cooled down"),
        LogEvent("info", "clusters", "a stick has cooled down: frames are processed again"),
    ]


def test_shedding_is_noted_once_when_it_begins_and_once_when_it_ends() -> None:
    setup = RegulatorSetup(2)
    setup.open(1, sensor=True)
    setup.measure(1, 70.0, 2.0)
    assert setup.regulator.regulate(2.0) == [
        LogEvent("info", "sim-1", "is too hot (70.0 °C): resting", "times a stick was too hot"),
        LogEvent("warning", "clusters", "every stick is too hot: no frame is processed"),
    ]
    assert (setup.regulator.shedding, setup.regulator.active) == (True, [])
    assert setup.regulator.regulate(2.1) == []
    setup.open(2)
    assert setup.regulator.regulate(2.2) == [LogEvent("info", "clusters", "a stick has cooled down: frames are processed again")]
    assert (setup.regulator.shedding, setup.regulator.active) == (False, ["sim-2"])


def test_sticks_without_a_temperature_are_not_called_too_hot() -> None:
    """Their readings stop: they rest after 15 s, and are counted apart."""
    setup = RegulatorSetup(3)
    setup.open(1, 2, 3, sensor=True)
    for number in (1, 2, 3):
        setup.measure(number, 40.0, 2.0)
    setup.regulator.regulate(2.0)
    setup.measure(1, 70.0, 18.0)
    shed = setup.regulator.regulate(18.0)
    assert shed[-1] == LogEvent("warning", "clusters", "1 stick is too hot, 2 report no temperature: no frame is processed")
    assert setup.regulator.rested == (1, 2)
    setup.measure(2, 41.0, 19.0)
    back = setup.regulator.regulate(19.0)
    text = "a stick reports its temperature again, or has cooled down: frames are processed again"
    assert back[-1] == LogEvent("info", "clusters", text)


def test_shedding_ends_without_a_note_when_the_last_hot_stick_is_closed() -> None:
    setup = RegulatorSetup(1)
    setup.open(1, sensor=True)
    setup.measure(1, 70.0, 2.0)
    setup.regulator.regulate(2.0)
    setup[1].child.exited("exit code 1", 2.5)
    assert setup.regulator.regulate(3.0) == []
    assert setup.regulator.shedding is False


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
    setup = RegulatorSetup(4)
    setup.open(1, 2, 3)
    setup[2].zone.open(True)
    setup[2].zone.read(70.0, 2.0)
    setup[3].child.kill(2.0, "hangs")
    assert setup.regulator.regulate(2.0) == [
        LogEvent("info", "sim-2", "is too hot (70.0 °C): resting", "times a stick was too hot")
    ]
    assert (setup.regulator.active, setup.duties) == (["sim-1"], {"sim-1": 0.5, "sim-2": 0.0, "sim-3": 0.0})


def test_the_turn_passes_when_its_time_is_over() -> None:
    setup = ring(4, 2)
    assert setup.regulator.regulate(2.0) == []
    assert (setup.regulator.active, setup.regulator.policy_deadline_s) == (["sim-1", "sim-2"], 12.0)
    assert setup.dispatcher.permits == {"default": 2}
    assert setup.regulator.clusters(2.0) == [["sim-1", "sim-2"], ["sim-3", "sim-4"]]
    assert setup.regulator.regulate(12.0) == [LogEvent("info", "clusters", "switch to sim-3, sim-4: switch interval is over", "")]
    assert (setup.regulator.active, setup.duties) == (["sim-3", "sim-4"], {"sim-1": 0.0, "sim-2": 0.0, "sim-3": 1.0, "sim-4": 1.0})
    assert (setup.regulator.switches, setup.regulator.last_switch) == (1, (12.0, "switch interval is over"))
    assert setup.regulator.policy_deadline_s == 22.0


def test_the_times_of_a_policy_are_plant_times() -> None:
    setup = ring(4, 2, time_scale=10.0)
    setup.regulator.regulate(2.0)
    assert setup.regulator.policy_deadline_s == 3.0
    assert setup.regulator.regulate(3.0) == [LogEvent("info", "clusters", "switch to sim-3, sim-4: switch interval is over", "")]
    assert setup.regulator.last_switch == (3.0, "switch interval is over")


def test_a_switch_that_the_operator_asks_for_waits_for_the_dwell() -> None:
    setup = ring(4, 2)
    setup.regulator.regulate(2.0)
    assert setup.regulator.regulate(3.0, switch_requested=True) == []
    assert (setup.regulator.switch_pending, setup.regulator.policy_deadline_s) == (True, 4.0)
    assert setup.regulator.regulate(4.0) == [LogEvent("info", "clusters", "switch to sim-3, sim-4: requested by the operator", "")]
    assert setup.regulator.switch_pending is False


def test_a_cluster_that_no_other_can_relieve_stays() -> None:
    setup = RegulatorSetup(2, clusters=ClusterSpec(1, "ring", 10.0))
    setup.open(1)
    setup.regulator.regulate(2.0)
    assert setup.regulator.no_alternative is False
    assert setup.regulator.regulate(12.0) == []
    assert (setup.regulator.no_alternative, setup.regulator.active, setup.regulator.policy_deadline_s) == (True, ["sim-1"], 14.0)


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
    setup = RegulatorSetup(sticks, clusters=ClusterSpec(size, policy))
    assert (setup.regulator.cluster_size, setup.regulator.present) == (holds, sticks)


def test_a_change_of_the_cluster_size_is_noted_once_with_the_number_of_sticks() -> None:
    setup = ring(4, 2)
    assert setup.regulator.report_size() == []
    setup.sticks.gone(stick_id(4), 5.0)
    assert setup.regulator.report_size() == [LogEvent("warning", "clusters", "cluster size is now 1: 3 sticks present")]
    assert setup.regulator.report_size() == []
    setup.sticks.found(spec(4), 6.0)
    assert setup.regulator.report_size() == [LogEvent("info", "clusters", "cluster size is now 2: 4 sticks present")]
    for number in (4, 3, 2):
        setup.sticks.gone(stick_id(number), 7.0)
    assert setup.regulator.report_size() == [LogEvent("warning", "clusters", "cluster size is now 1: 1 stick present")]


def test_the_cluster_size_is_not_noted_while_no_stick_is_there() -> None:
    assert RegulatorSetup(0, clusters=ClusterSpec(2, "ring")).regulator.report_size() == []


def test_the_view_of_a_policy_holds_every_recorded_stick_with_its_temperature() -> None:
    setup = RegulatorSetup(4, clusters=ClusterSpec(2, "ring", time_scale=10.0))
    setup.open(1, 2, sensor=True)
    setup.open(3)
    setup.measure(1, 70.0, 2.0)
    setup.measure(2, 40.0, 2.0)
    setup[4].zone.open(True)
    setup[4].zone.read(80.0, 20.0)
    assert setup.regulator.view(2.0) == View(
        20.0,
        [
            StickView(stick_id(1), True, True, 70.0, "is too hot (70.0 °C)", 70.0, 20.0),
            StickView(stick_id(2), True, False, 40.0, "", 40.0, 20.0),
            StickView(stick_id(3), True, False, None, ""),
            StickView(stick_id(4), False, False, 80.0, "", 80.0, 20.0),
        ],
        2,
        65.0,
    )


def test_the_view_tells_the_reading_as_it_came_the_work_done_the_throttle_level_and_the_limit() -> None:
    setup = RegulatorSetup(1, clusters=ClusterSpec(0, "all", switch_temp_c=61.0, time_scale=10.0))
    setup.open(1, sensor=True)
    setup[1].record_telemetry(Telemetry(40.0, 1), 20.0, 0.5)
    queue = setup.dispatcher.queues[stick_id(1)]
    queue.begin(2.0)
    queue.end(2.25)
    queue.begin(2.5)
    view = setup.regulator.view(3.0)
    assert view.sticks == [StickView(stick_id(1), True, False, 40.0 + 0.54 * 10.5, "", 40.0, 19.5, 7.5, 1)]
    assert view.limit_c == 61.0
    setup[1].record_telemetry(Telemetry(None), 30.0, 0.0)
    seen = setup.regulator.view(3.0).sticks[0]
    assert (seen.reading_c, seen.read_s, seen.throttle_level) == (None, None, 0), "an invalid reading is none"


@pytest.mark.parametrize("policy", ["all", "predictive"])
@pytest.mark.parametrize("sensor", [True, False])
def test_a_stick_that_its_firmware_throttles_though_it_is_not_hot_is_told_once_and_so_is_the_end(policy: str, sensor: bool) -> None:
    setup = RegulatorSetup(2, clusters=ClusterSpec(0, policy))
    setup.open(1, 2, sensor=sensor)
    told = []
    for now_s, level in ((2.0, 0), (3.0, 1), (4.0, 1), (5.0, 0), (6.0, 0)):
        setup[1].record_telemetry(Telemetry(40.0 if sensor else None, level), now_s, 0.0)
        setup[2].record_telemetry(Telemetry(40.0 if sensor else None, 0), now_s, 0.0)
        told += [(now_s, each) for each in setup.regulator.regulate(now_s)]
    assert told == [
        (3.0, LogEvent("info", "sim-1", "is throttled by its firmware", "times the firmware throttled a stick")),
        (
            5.0,
            LogEvent("info", "sim-1", "is no longer throttled by its firmware", "times the firmware no longer throttled a stick"),
        ),
    ]


def test_a_stick_that_rests_since_its_firmware_throttles_it_is_told_as_hot_alone() -> None:
    setup = RegulatorSetup(2, clusters=ClusterSpec(0, "all"))
    setup.open(1, 2, sensor=True)
    told = []
    for now_s, level in ((2.0, 0), (3.0, 2), (4.0, 0)):
        for number in (1, 2):
            setup[number].record_telemetry(Telemetry(40.0, level if number == 1 else 0), now_s, 0.0)
        told += [each.text for each in setup.regulator.regulate(now_s) if isinstance(each, LogEvent)]
    assert told == ["is too hot: its firmware throttles it: resting", "has cooled down"]


class Watchful(Reckless):
    """It wants to see new readings at 31 s, and switches for heat each time it is asked."""

    def advise(self, view: View) -> Advice:
        return Advice({stick_id(1): 1.0}, "a guess", 50.0, by_heat=True, look_s=31.0)


def test_a_policy_is_asked_when_it_wants_to_see_readings_and_says_itself_what_is_for_heat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "create", lambda spec: Watchful())
    setup = RegulatorSetup(1, clusters=ClusterSpec(0, "all", time_scale=10.0))
    setup.open(1)
    assert setup.regulator.regulate(2.0) == [LogEvent("info", "clusters", "switch to sim-1: a guess", "switches by heat")]
    assert (setup.regulator.policy_deadline_s, setup.regulator.look_deadline_s, setup.regulator.deadline_s) == (5.0, 3.1, 3.1)


class Failing(Reckless):
    """It raises until it is replaced."""

    def advise(self, view: View) -> Advice:
        raise ValueError("no")


def test_a_policy_that_keeps_the_limit_by_itself_has_the_cores_trip_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = structs.replace(policies.POLICIES.get("all"), trip_above_k=2.0)
    monkeypatch.setitem(policies.POLICIES.builtin, "all", plugin)
    setup = RegulatorSetup(1, clusters=ClusterSpec(0, "all"))
    setup.open(1, sensor=True)
    setup.measure(1, 66.9, 2.0)
    assert setup.regulator.regulate(2.0) == []
    setup.measure(1, 67.0, 3.0)
    assert setup.regulator.regulate(3.0)[0] == LogEvent(
        "info", "sim-1", "is too hot (67.0 °C): resting", "times a stick was too hot"
    )
    setup.configure(ClusterSpec(0, "all", switch_temp_c=60.0), 4.0)
    assert setup[1].zone.switch_temp_c == 62.0
    monkeypatch.setattr(setup.regulator, "_policy", Failing())
    setup.regulator.regulate(5.0)
    assert setup[1].zone.switch_temp_c == 60.0, "the policy that replaces one that failed foresees nothing"


def state(thing: object) -> object:
    """All that an object of plain classes holds, to compare."""
    if isinstance(thing, dict):
        return {key: state(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple | deque):
        return [state(value) for value in thing]
    return {name: state(value) for name, value in vars(thing).items()} if hasattr(thing, "__dict__") else thing


def test_asking_for_what_is_shown_changes_nothing() -> None:
    """Two pools get the same events; one is asked for its view and its clusters all the time."""
    asked, silent = ring(5, 2, sensor=True), ring(5, 2, sensor=True)
    for step in range(400):
        now_s = 2.0 + step / 4
        done = []
        for setup in (asked, silent):
            number, value_c = 1 + step % 5, 30.0 + (step * 7) % 40 if step % 11 else None
            if step % 60 < 45:
                setup.measure(number, value_c, now_s)
            if setup is asked:
                before = copy.deepcopy(
                    vars(setup.regulator) | {"_sticks": None, "_dispatcher": None, "_policy": None, "shadow": None}
                )
                policy, shadow = state(setup.regulator._policy), state(setup.regulator.shadow)
                zones = [copy.copy(vars(setup[each].zone)) for each in range(1, 6)]
                for ahead_s in (0.0, 20.0, 0.0):
                    assert setup.regulator.view(now_s + ahead_s) == setup.regulator.view(now_s + ahead_s)
                    assert setup.regulator.clusters(now_s + ahead_s) == setup.regulator.clusters(now_s + ahead_s)
                assert vars(setup.regulator) | {"_sticks": None, "_dispatcher": None, "_policy": None, "shadow": None} == before
                assert state(setup.regulator.shadow) == shadow
                assert state(setup.regulator._policy) == policy
                assert [vars(setup[each].zone) for each in range(1, 6)] == zones
            done.append(
                (setup.regulator.regulate(now_s, switch_requested=step % 97 == 0), setup.duties, setup.regulator.deadline_s)
            )
        assert done[0] == done[1]
    assert asked.regulator.switches == silent.regulator.switches > 10


def test_an_outlook_that_fails_is_told_and_begins_anew_and_no_stick_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = RegulatorSetup(1)
    setup.open(1, sensor=True)
    setup.measure(1, 40.0, 2.0)

    def fail(*_given: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(setup.regulator.shadow, "look", fail)
    told = LogEvent(
        "warning", "clusters", "the outlook of policy predictive begins anew (ValueError: no)", "restarts of the outlook"
    )
    assert setup.regulator.regulate(2.0) == [told]
    assert setup.duties == {"sim-1": 1.0}
    setup.measure(1, 40.0, 3.0)
    assert setup.regulator.regulate(3.0) == []
