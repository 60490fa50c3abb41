"""Checks of every policy on pools whose sticks come, go, heat up and cool down: random histories from fixed seeds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from ncs_cluster import policies
from ncs_cluster.policies import POLICIES
from ncs_cluster.policies.base import Policy, StickView, View
from ncs_cluster.specs import ClusterSpec
from ncs_cluster.testing.conformance._options import OptionsConformance
from ncs_cluster.types import StickId


class PolicyConformance(OptionsConformance):
    """Checks of `advise`, `ask_switch` and `clusters` along the history of a pool."""

    registry = POLICIES
    cluster_size = 2

    def made(self) -> Policy:
        return policies.create(ClusterSpec(self.cluster_size, self.plugin, 10.0, policy_options=dict(self.options)))

    def run(self, seed: int, policy: Policy, *, switches: bool = False) -> Iterator[tuple[View, Any]]:
        """Each Advice along one history of a pool. The policy is asked at its `next_s` and after each change of the pool."""
        next_s, story = None, pool(seed, self.cluster_size)
        for view in story:
            if next_s is not None and next_s < view.now_s:
                early = View(next_s, view.sticks, view.cluster_size)
                yield early, policy.advise(early)
            if switches and int(view.now_s) % 3 == 0:
                policy.ask_switch()
            advice = policy.advise(view)
            next_s = advice.next_s
            yield view, advice

    def test_unknown_options_are_refused_when_it_is_made(self) -> None:
        with pytest.raises(ValueError, match="no_such_option"):
            policies.create(ClusterSpec(self.cluster_size, self.plugin, policy_options={"no_such_option": 1}))

    @pytest.mark.parametrize("seed", range(20))
    def test_only_usable_sticks_that_are_not_hot_work_and_never_more_than_the_cluster(self, seed: int) -> None:
        for view, advice in self.run(seed, self.made(), switches=seed % 2 == 1):
            able = {stick.id for stick in view.sticks if stick.usable and not stick.hot}
            assert set(advice.duties) <= able
            assert all(0.0 < duty <= 1.0 for duty in advice.duties.values())
            if self.descriptor.takes_turns:
                assert len(advice.duties) <= view.cluster_size

    @pytest.mark.parametrize("seed", range(5))
    def test_some_stick_works_whenever_one_can(self, seed: int) -> None:
        for view, advice in self.run(seed, self.made()):
            if any(stick.usable and not stick.hot for stick in view.sticks):
                assert advice.duties

    @pytest.mark.parametrize("seed", range(5))
    def test_it_wants_to_be_asked_again_in_the_future(self, seed: int) -> None:
        for view, advice in self.run(seed, self.made(), switches=True):
            assert advice.next_s is None or advice.next_s > view.now_s, "the core would ask without end"

    def test_the_same_story_gets_the_same_advice(self) -> None:
        for seed in range(5):
            assert list(self.run(seed, self.made(), switches=True)) == list(self.run(seed, self.made(), switches=True))

    def test_a_pool_without_a_stick_is_no_error(self) -> None:
        policy, empty = self.made(), View(0.0, [], self.cluster_size)
        assert policy.advise(empty).duties == {}
        policy.ask_switch()
        assert policy.advise(empty).duties == {}
        assert all(not cluster for cluster in policy.clusters(empty))

    @pytest.mark.parametrize("seed", range(5))
    def test_the_clusters_it_shows_are_made_of_sticks_that_are_there(self, seed: int) -> None:
        policy = self.made()
        for view, _ in self.run(seed, policy):
            known = {stick.id for stick in view.sticks}
            assert all(set(cluster) <= known for cluster in policy.clusters(view))

    def test_an_operators_wish_is_granted_or_dropped_in_the_end(self) -> None:
        policy = self.made()
        sticks = [StickView(StickId(str(number)), True, False, 40.0) for number in range(4)]
        policy.advise(View(0.0, sticks, self.cluster_size))
        policy.ask_switch()
        for now_s in range(1, 200):
            policy.advise(View(float(now_s), sticks, self.cluster_size))
        assert not policy.asked


def pool(seed: int, cluster_size: int) -> Iterator[View]:
    """A pool whose sticks change at random; the sticks of a seed are always the same."""
    chance, now_s = random.Random(seed), 0.0
    ids = [StickId(str(number)) for number in range(chance.randint(1, 6))]
    usable, hot = set(ids), set[StickId]()
    for _ in range(100):
        now_s += chance.choice([0.05, 1.0, 3.0, 11.0])
        for group in (usable, hot):
            if chance.random() < 0.2:
                group.symmetric_difference_update({chance.choice(ids)})
        sticks = [
            StickView(each, each in usable, each in hot and each in usable, 70.0 if each in hot else 50.0, "is too hot (70.0 °C)")
            for each in ids
        ]
        yield View(now_s, sticks, cluster_size)
