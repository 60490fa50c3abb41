"""The coolest sticks: who works, who leaves, who takes over, and what never happens."""

from __future__ import annotations

from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.policies.base import View
from ncs_cluster.policies.coolest import ASKED, DWELL_S, MARGIN_K, SWAP_K, Coolest
from tests.hypothesis_profiles import examples
from tests.policies import views
from tests.policies.views import HOT

view = partial(views.view, size=2)


def at_work(policy: Coolest, seen: View) -> str:
    return "-".join(policy.advise(seen).duties)


def test_the_coolest_work_and_keep_working_while_they_warm_up() -> None:
    policy = Coolest()
    assert at_work(policy, view(0.0, 50.0, 40.0, 45.0, 41.0)) == "2-4"
    for second in range(1, 20):
        assert at_work(policy, view(float(second), 50.0, 40.0 + second / 4, 45.0, 41.0 + second / 4)) == "2-4"


def test_a_stick_that_is_three_kelvin_cooler_takes_the_place_of_the_hottest_after_the_dwell() -> None:
    policy = Coolest()
    readings_c = (45.0, 44.0, 41.0 - SWAP_K, 50.0)
    assert at_work(policy, view(0.0, 40.0, 39.0, 41.0, 50.0)) == "2-1"
    for now_s in (1.0, 2.0, 3.0, 4.0, DWELL_S - 0.01):
        assert at_work(policy, view(now_s, *readings_c)) == "2-1"
    advice = policy.advise(view(DWELL_S, *readings_c))
    assert set(advice.duties) == {"2", "3"}
    assert advice.switched is not None
    assert advice.switched.startswith("3 is ")
    assert advice.switched.endswith(" K cooler than 1")
    assert (advice.by_heat, advice.next_s) == (True, DWELL_S + 1.0)


def test_a_hot_stick_is_replaced_at_once_and_comes_back_when_it_can_work_for_a_while() -> None:
    policy = Coolest()
    at_work(policy, view(0.0, 50.0, 51.0, 55.0, size=2))
    advice = policy.advise(view(0.5, 50.0, 51.0, 55.0, size=2, hot=(2,)))
    assert (set(advice.duties), advice.switched, advice.by_heat) == ({"1", "3"}, f"2 {HOT}", True)
    assert set(policy.advise(view(1.0, 50.0, 51.0, 55.0, size=3)).duties) == {"1", "2", "3"}


def test_a_working_stick_leaves_before_it_is_hot_and_a_resting_one_waits_until_it_can_stay() -> None:
    policy = Coolest()
    assert at_work(policy, view(0.0, 60.0, size=1)) == "1"
    seen = [at_work(policy, view(second / 2, min(65.0 - MARGIN_K + 0.2, 60.0 + second), size=1)) for second in range(1, 20)]
    assert seen[0] == "1"
    assert seen[-1] == ""
    assert seen == sorted(seen, reverse=True), "once"
    assert at_work(policy, view(10.0, 63.8, size=1)) == "", "not over the limit less the margin, but soon"
    for second in range(11, 20):
        seen = [at_work(policy, view(float(second), 60.0, size=1))]
    assert seen == ["1"]


def test_without_a_cluster_size_all_that_are_cool_enough_work() -> None:
    policy = Coolest()
    assert set(policy.advise(view(0.0, 50.0, 64.5, 40.0, size=0)).duties) == {"1", "3"}


def test_sticks_without_a_sensor_come_last_and_are_not_compared() -> None:
    policy = Coolest()
    assert at_work(policy, view(0.0, None, 60.0, None, 40.0)) == "4-2"
    alone = Coolest()
    for second in range(30):
        assert at_work(alone, view(float(second), None, None, None, size=2)) == "1-2"


def test_an_operators_wish_gives_all_places_to_others_once() -> None:
    policy = Coolest()
    readings_c = (40.0, 41.0, 42.0, 42.5)
    assert at_work(policy, view(0.0, *readings_c)) == "1-2"
    policy.ask_switch()
    assert at_work(policy, view(1.0, *readings_c)) == "1-2"
    assert policy.asked
    advice = policy.advise(view(DWELL_S, *readings_c))
    assert (list(advice.duties), advice.switched, advice.by_heat, policy.asked) == (["3", "4"], ASKED, False, False)
    assert at_work(policy, view(DWELL_S + 1.0, *readings_c)) == "3-4"


def test_a_wish_that_nobody_can_grant_is_dropped() -> None:
    policy = Coolest()
    policy.advise(view(0.0, 40.0, 41.0))
    policy.ask_switch()
    assert at_work(policy, view(1.0, 40.0, 41.0)) == "1-2"
    assert not policy.asked


def test_a_stick_that_goes_is_replaced_and_this_is_no_switch() -> None:
    policy = Coolest()
    policy.advise(view(0.0, 40.0, 41.0, 42.0))
    advice = policy.advise(view(1.0, 40.0, 41.0, 42.0, away=(1,)))
    assert (list(advice.duties), advice.switched) == (["2", "3"], None)


def test_the_clusters_are_told_from_the_coolest_to_the_hottest() -> None:
    policy = Coolest()
    seen = view(0.0, 50.0, 40.0, 45.0, None, 41.0)
    policy.advise(seen)
    assert ["-".join(cluster) for cluster in policy.clusters(seen)] == ["2-5", "3-1", "4"]


STEPS = st.lists(
    st.tuples(
        st.floats(0.01, 4.0),
        st.lists(st.none() | st.floats(20.0, 64.9), min_size=7, max_size=7),
        st.sets(st.integers(1, 7), max_size=3),
        st.sets(st.integers(1, 7), max_size=2),
        st.booleans(),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=examples(80))
@given(sticks=st.integers(1, 7), size=st.integers(0, 4), steps=STEPS)
def test_whatever_happens(sticks: int, size: int, steps: list[tuple[float, list[float | None], set[int], set[int], bool]]) -> None:
    """Never a hot or absent stick, never more than K, no place empty that a cool stick could have, dwell between calm swaps."""
    policy, now_s, swapped_s = Coolest(), 0.0, -100.0
    for dt_s, readings_c, hot, away, asked in steps:
        now_s += dt_s
        seen = view(now_s, *readings_c[:sticks], size=size, hot=tuple(hot), away=tuple(away))
        if asked:
            policy.ask_switch()
        advice = policy.advise(seen)
        allowed = {stick.id for stick in seen.sticks if stick.usable and not stick.hot}
        assert set(advice.duties) <= allowed
        assert len(advice.duties) <= (size or sticks)
        cool = {stick.id for stick in seen.sticks if stick.id in allowed and (stick.temperature_c or 0.0) < 45.0}
        known = policy._dies.known
        cool = {stick for stick in cool if stick not in known or known[stick].filter.die_c < 50.0}
        assert cool <= set(advice.duties) or len(advice.duties) == (size or sticks)
        if advice.switched is not None and (advice.switched == ASKED or "cooler" in advice.switched):
            assert now_s - swapped_s >= DWELL_S - 1e-9
        if advice.switched is not None:
            swapped_s = now_s
        assert policy.clusters(seen) == policy.clusters(seen)
