"""Regulators of several pools, and new settings of a pool."""

from __future__ import annotations

import pytest

from ncs_cluster import policies
from ncs_cluster.core.actions import LogEvent
from ncs_cluster.core.child import Limits
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.regulator import Regulator
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.core.work import Tally
from ncs_cluster.messages import StickOpened, Telemetry
from ncs_cluster.policies.base import Advice, View
from ncs_cluster.specs import ClusterSpec
from ncs_cluster.types import StickId
from tests.core.onepool import pool_of, stick_id
from tests.core.oneregulator import RegulatorSetup, ring

# -- several pools


class TwoPools:
    """sim-1 to sim-4 take turns by 2, ten times faster; sim-5 to sim-8 all work, no more than 3 at once. All are open."""

    def __init__(self) -> None:
        self.dispatcher = Dispatcher(Tally())
        pools = [
            pool_of(1, 2, 3, 4, clusters=ClusterSpec(2, "ring", 10.0, 60.0, 10.0), name="usb"),
            pool_of(5, 6, 7, 8, clusters=ClusterSpec(3, "all"), name="cpu"),
        ]
        self.sticks = Sticks(pools, [], self.dispatcher, Limits())
        for pool in pools:
            for each in pool.sticks:
                self.sticks.found(each, 0.0)
                stick = self.sticks.by_id[each.id]
                self.sticks.hello(stick, 1.0)
                self.sticks.opened(stick, StickOpened("a device", True, 2), 1.0)
                stick.record_telemetry(Telemetry(40.0), 2.0 * pool.clusters.time_scale, 0.0)
        self.usb, self.cpu = (Regulator(pool, self.sticks, self.dispatcher) for pool in pools)

    def duties(self) -> list[float]:
        return [queue.duty for queue in self.dispatcher.queues.values()]


def test_each_pool_has_its_own_policy_size_and_time_scale() -> None:
    both = TwoPools()
    assert both.usb.regulate(2.0) == []
    assert (both.duties(), both.dispatcher.permits) == ([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], {"usb": 2})
    assert both.cpu.regulate(2.0) == []
    assert (both.duties(), both.dispatcher.permits) == ([1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], {"usb": 2, "cpu": 3})
    assert (both.usb.active, both.cpu.active) == (["sim-1", "sim-2"], ["sim-5", "sim-6", "sim-7", "sim-8"])
    assert (both.usb.policy_deadline_s, both.cpu.policy_deadline_s) == (3.0, None)
    assert (both.usb.reading_deadline_s, both.cpu.reading_deadline_s) == (3.5, 17.0)
    assert both.usb.regulate(3.0) == [LogEvent("info", "clusters", "switch to sim-3, sim-4: switch interval is over", "")]
    assert both.duties() == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert (both.usb.switches, both.cpu.switches) == (1, 0)


def test_the_heat_of_one_pool_does_not_concern_the_other() -> None:
    both = TwoPools()
    both.usb.regulate(2.0)
    both.cpu.regulate(2.0)
    for number in (1, 2, 3, 4):
        both.sticks.by_id[stick_id(number)].record_telemetry(Telemetry(62.0), 20.0, 0.0)
    both.sticks.by_id[stick_id(5)].record_telemetry(Telemetry(62.0), 2.0, 0.0)
    assert both.cpu.regulate(2.0) == []
    assert both.usb.regulate(2.0) == [
        *(
            LogEvent("info", f"sim-{number}", "is too hot (62.0 °C): resting", "times a stick was too hot")
            for number in (1, 2, 3, 4)
        ),
        LogEvent("warning", "clusters", "every stick is too hot: no frame is processed"),
    ]
    assert both.duties() == [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    assert (both.usb.shedding, both.cpu.shedding) == (True, False)
    assert [both.usb.resting(stick_id(number)) for number in (1, 5)] == [True, False]


def test_the_size_of_a_cluster_depends_on_the_sticks_of_its_own_pool() -> None:
    both = TwoPools()
    assert (both.usb.present, both.usb.cluster_size, both.cpu.present, both.cpu.cluster_size) == (4, 2, 4, 3)
    both.sticks.gone(stick_id(4), 3.0)
    assert both.cpu.report_size() == []
    assert both.usb.report_size() == [LogEvent("warning", "clusters", "cluster size is now 1: 3 sticks present")]


# -- new settings


def test_the_same_settings_lead_to_nothing() -> None:
    setup = ring(4, 2)
    setup.regulator.regulate(2.0)
    assert setup.configure(ClusterSpec(2, "ring", 10.0, 65.0), 12.0) == []
    assert setup.regulator.active == ["sim-1", "sim-2"], "nothing was regulated"


def test_another_switch_temperature_holds_at_once_and_the_turn_goes_on() -> None:
    setup = ring(4, 2, sensor=True)
    setup.regulator.regulate(2.0)
    setup.regulator.regulate(12.0)
    for number in (1, 2, 3, 4):
        setup.measure(number, 58.0 if number == 3 else 40.0, 12.0)
    setup.regulator.regulate(12.0)
    assert setup.regulator.active == ["sim-3", "sim-4"]
    assert setup.configure(ClusterSpec(2, "ring", 10.0, 70.0), 13.0) == [
        LogEvent("info", "clusters", "new settings: switch_temp_c")
    ]
    assert (setup.regulator.active, setup.regulator.policy_deadline_s) == (["sim-3", "sim-4"], 22.0), "the turn is the same"
    assert setup.configure(ClusterSpec(2, "ring", 10.0, 58.0), 14.0) == [
        LogEvent("info", "clusters", "new settings: switch_temp_c"),
        LogEvent("info", "sim-3", "is too hot (58.0 °C): resting", "times a stick was too hot"),
        LogEvent("info", "clusters", "switch to sim-1, sim-2: sim-3 is too hot (58.0 °C)", "switches by heat"),
    ]
    assert [stick.zone.switch_temp_c for stick in setup.regulator.members] == [58.0] * 4
    assert setup.configure(ClusterSpec(2, "ring", 10.0, 63.0), 15.0) == [
        LogEvent("info", "clusters", "new settings: switch_temp_c"),
        LogEvent("info", "sim-3", "has cooled down", "times a stick cooled down"),
    ]


def test_another_interval_begins_the_turns_anew() -> None:
    setup = ring(4, 2)
    setup.regulator.regulate(2.0)
    setup.regulator.regulate(12.0)
    assert setup.configure(ClusterSpec(2, "ring", 30.0, 65.0), 13.0) == [
        LogEvent("info", "clusters", "new settings: switch_interval_s")
    ]
    assert (setup.regulator.active, setup.regulator.policy_deadline_s, setup.regulator.switches) == (["sim-1", "sim-2"], 43.0, 1)


def test_another_policy_decides_from_now_on() -> None:
    setup = ring(4, 2)
    setup.regulator.regulate(2.0)
    assert setup.configure(ClusterSpec(3, "all", 10.0, 65.0), 3.0) == [
        LogEvent("info", "clusters", "new settings: cluster_size, policy")
    ]
    assert (setup.regulator.active, setup.regulator.policy_deadline_s) == (["sim-1", "sim-2", "sim-3", "sim-4"], None)
    assert (setup.regulator.takes_turns, setup.dispatcher.permits) == (False, {"default": 3})
    assert set(setup.duties.values()) == {1.0}


def test_another_cluster_size_holds_at_once_and_the_turn_goes_on() -> None:
    setup = ring(4, 2)
    setup.regulator.regulate(2.0)
    setup.regulator.regulate(12.0)
    assert setup.configure(ClusterSpec(1, "ring", 10.0, 65.0), 13.0) == [LogEvent("info", "clusters", "new settings: cluster_size")]
    assert (setup.regulator.active, setup.dispatcher.permits, setup.regulator.policy_deadline_s) == (
        ["sim-3"],
        {"default": 1},
        22.0,
    )
    assert setup.regulator.report_size() == [], "as it was asked for"
    setup.configure(ClusterSpec(3, "ring", 10.0, 65.0), 14.0)
    assert setup.regulator.report_size() == [LogEvent("warning", "clusters", "cluster size is now 2: 4 sticks present")]
    setup.configure(ClusterSpec(3, "ring", 10.0, 70.0), 15.0)
    assert setup.regulator.report_size() == [], "once"


def test_new_sticks_of_a_pool_with_the_same_clusters_are_no_change_here() -> None:
    setup = ring(4, 2)
    setup.regulator.regulate(2.0)
    assert setup.regulator.configure(pool_of(1, 2, clusters=setup.pool.clusters), 3.0) == []
    assert len(setup.regulator.pool.sticks) == 2


def test_other_options_of_a_policy_apply_at_once() -> None:
    """With a dwell of 0 s the operator's switch needs no waiting."""
    setup = ring(4, 2)
    setup.regulator.regulate(2.0)
    new = ClusterSpec(2, "ring", 10.0, 65.0, policy_options={"dwell_s": 0.0})
    assert setup.configure(new, 2.5)[:1] == [LogEvent("info", "clusters", "new settings: policy_options")]
    setup.regulator.regulate(3.0, switch_requested=True)
    assert setup.regulator.active == ["sim-3", "sim-4"]


class Broken:
    """A policy with a fault in its code."""

    asked = False

    def advise(self, view: View) -> Advice:
        raise KeyError("sim-9")

    def ask_switch(self) -> None:
        raise ValueError("no")

    def clusters(self, view: View) -> list[list[StickId]]:
        raise KeyError("sim-9")


@pytest.mark.parametrize(("switch_requested", "reason"), [(False, "KeyError: 'sim-9'"), (True, "ValueError: no")])
def test_a_policy_that_raises_is_replaced_and_every_cool_stick_works(
    monkeypatch: pytest.MonkeyPatch, switch_requested: bool, reason: str
) -> None:
    monkeypatch.setattr(policies, "create", lambda spec: Broken())
    setup = RegulatorSetup(3, clusters=ClusterSpec(2, "all"))
    setup.open(1, 2, 3)
    assert setup.regulator.clusters(2.0) == [["sim-1", "sim-2", "sim-3"]]
    text = f"policy all failed ({reason}): every cool stick works now"
    assert setup.regulator.regulate(2.0, switch_requested=switch_requested) == [LogEvent("error", "clusters", text)]
    assert (setup.regulator.active, setup.dispatcher.permits) == (["sim-1", "sim-2", "sim-3"], {"default": 2})
    assert setup.regulator.regulate(3.0) == [], "once"
