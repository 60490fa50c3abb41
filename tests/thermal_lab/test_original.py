"""The original script's policy: its order of turns, its stale values, and the trap it never leaves."""

from __future__ import annotations

import pytest

from ncs_cluster.policies.original import LOOKS_PER_S, Original
from ncs_cluster.testing.thermal_lab import scenario
from ncs_cluster.testing.thermal_lab.trial import Trial


def plugged(count: int, size: int) -> Original:
    policy = Original(count, size, 65.0)
    for number in range(count):
        policy.plug(number, 0.0)
    return policy


def active(policy: Original, count: int) -> list[int]:
    return [number for number, work in enumerate(policy.work(count)) if work]


def test_clusters_take_turns_by_the_timer_and_wrap_round() -> None:
    policy, seen = plugged(5, 2), []
    for now_s in range(0, 60, 10):
        policy.regulate(float(now_s))
        seen.append(active(policy, 5))
    assert seen == [[0, 1], [2, 3], [0, 4], [1, 2], [3, 4], [0, 1]]
    assert policy.switches == 5


def test_a_hot_stick_passes_the_turn_and_its_value_stays_while_it_cools() -> None:
    policy = plugged(4, 2)
    policy.measured(1, 65.0, 0, 1.0)
    policy.regulate(1.0)
    assert active(policy, 4) == [2, 3]
    policy.measured(1, 40.0, 0, 2.0)
    policy.regulate(11.0)
    assert active(policy, 4) == [2, 3], "the turn comes back to a cool stick whose old value is hot, and passes at once"
    assert policy.switches == 3


def test_when_all_values_are_hot_all_sticks_work_and_the_turn_passes_at_every_look() -> None:
    policy = plugged(4, 2)
    policy.measured(0, 66.0, 0, 1.0)
    policy.regulate(1.0)
    policy.measured(3, 66.0, 0, 2.0)
    before = policy.switches
    policy.regulate(2.0)
    assert active(policy, 4) == [0, 1, 2, 3]
    assert policy.switches >= before + LOOKS_PER_S
    policy.measured(0, 60.0, 0, 3.0)
    policy.regulate(3.0)
    assert active(policy, 4) == [0, 1], "all are measured while they all work; one cool cluster ends it"


def test_it_never_recovers_from_a_heat_wave_and_the_ring_does() -> None:
    wave = scenario.heat_wave(5, 2)
    original, ring = (Trial(wave, policy, 1).run() for policy in ("original", "ring"))
    assert original.hottest_c >= 70.0
    assert original.throttle_events > 100
    assert original.over_s > 4000.0, "to the end, though the air has been cool for an hour"
    assert original.rate > 1.5 * 40.0, "more sticks work than the cluster has: this is what keeps them hot"
    assert (ring.throttle_events, ring.rate) == (0, pytest.approx(40.0))
    assert ring.hottest_c < 66.0
