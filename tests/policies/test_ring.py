"""The ring: whose turn it is, by time, by heat, by an operator; and what it never does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.policies.base import StickView, View
from ncs_cluster.policies.ring import DWELL_S, Ring
from ncs_cluster.types import StickId
from tests.hypothesis_profiles import examples

HOT = "is too hot (70.0 °C)"


def view(
    now_s: float, sticks: int = 5, size: int = 2, hot: tuple[int, ...] = (), away: tuple[int, ...] = (), known: bool = True
) -> View:
    """Sticks are numbered from 1."""
    return View(
        now_s,
        [
            StickView(StickId(str(number)), known and number not in away, number in hot, 50.0, HOT if number in hot else "")
            for number in range(1, sticks + 1)
        ],
        size,
    )


def at_work(ring: Ring, seen: View) -> str:
    return "-".join(ring.advise(seen).duties)


def test_five_sticks_by_two_take_turns_in_ring_order() -> None:
    ring = Ring(10.0)
    seen = [at_work(ring, view(now_s)) for now_s in range(0, 60, 10)]
    assert seen == ["1-2", "3-4", "5-1", "2-3", "4-5", "1-2"]


def test_clusters_are_told_in_the_order_of_their_turns() -> None:
    ring = Ring(10.0)
    ring.advise(view(0.0))
    ring.advise(view(10.0))
    assert ["-".join(cluster) for cluster in ring.clusters(view(10.0))] == ["3-4", "5-1", "2-3", "4-5", "1-2"]


def test_an_interval_of_zero_turns_the_timer_off() -> None:
    ring = Ring(0.0)
    assert {at_work(ring, view(now_s)) for now_s in range(0, 100_000, 100)} == {"1-2"}
    assert at_work(ring, view(100_001.0, hot=(2,))) == "3-4"


def test_whichever_comes_first_interval_or_heat() -> None:
    ring = Ring(10.0)
    at_work(ring, view(0.0))
    assert at_work(ring, view(4.0, hot=(1,))) == "3-4"
    assert at_work(ring, view(13.9)) == "3-4"
    assert at_work(ring, view(14.0)) == "5-1"


def test_a_cluster_with_a_hot_member_is_passed_over() -> None:
    ring = Ring(10.0)
    at_work(ring, view(0.0, hot=(3,)))
    assert at_work(ring, view(10.0, hot=(3,))) == "5-1"


def test_when_no_cluster_is_cool_the_cool_sticks_work_alone() -> None:
    ring = Ring(10.0)
    at_work(ring, view(0.0, sticks=4))
    assert at_work(ring, view(5.0, sticks=4, hot=(1, 3))) in ("2-4", "4-2")
    assert at_work(ring, view(6.0, sticks=4, hot=(1, 3, 4))) == "2"


def test_when_all_are_hot_nothing_works_and_nothing_flips() -> None:
    ring = Ring(10.0)
    at_work(ring, view(0.0))
    for step in range(100):
        advice = ring.advise(view(1.0 + step * 0.1, hot=(1, 2, 3, 4, 5)))
        assert not advice.duties
        assert advice.switched is None
    assert at_work(ring, view(20.0, hot=(1, 2, 3, 5))) == "4"


def test_a_switch_that_is_not_for_safety_keeps_the_dwell() -> None:
    ring = Ring(0.5)
    at_work(ring, view(0.0))
    assert at_work(ring, view(0.6)) == "1-2"
    assert at_work(ring, view(DWELL_S)) == "3-4"
    ring.ask_switch()
    advice = ring.advise(view(DWELL_S + 0.1))
    assert "-".join(advice.duties) == "3-4"
    assert advice.next_s == 2 * DWELL_S
    assert at_work(ring, view(DWELL_S + 0.2, hot=(3,))) == "5-1"


def test_a_member_that_goes_is_replaced_by_the_next_in_the_ring() -> None:
    ring = Ring(10.0)
    at_work(ring, view(0.0))
    assert at_work(ring, view(1.0, away=(2,))) == "1-3"
    assert at_work(ring, view(2.0, away=(1, 2))) == "3-4"


def test_a_stick_that_comes_back_has_its_place_again() -> None:
    ring = Ring(10.0)
    seen = {at_work(ring, view(float(now_s), away=(2,) if now_s < 50 else ())) for now_s in range(0, 50, 10)}
    assert not any("2" in cluster for cluster in seen)
    after = {at_work(ring, view(float(now_s))) for now_s in range(50, 150, 10)}
    assert any("2" in cluster for cluster in after)


def test_a_stick_ready_before_the_first_of_the_ring_does_not_keep_the_turn() -> None:
    """As when they boot one after the other, and the second is quicker: switch interval is over while it is alone."""
    ring = Ring(2.0)
    assert at_work(ring, view(0.0, sticks=2, size=1, away=(1,))) == "2"
    assert at_work(ring, view(2.5, sticks=2, size=1, away=(1,))) == "2"
    advice = ring.advise(view(4.5, sticks=2, size=1))
    assert (list(advice.duties), advice.switched) == (["1"], "switch interval is over")
    assert at_work(ring, view(6.5, sticks=2, size=1)) == "2"


def test_a_hot_stick_that_comes_back_does_not_stop_the_turns_of_the_cool_ones() -> None:
    ring = Ring(2.0)
    assert at_work(ring, view(0.0, sticks=3, size=1)) == "1"
    assert at_work(ring, view(1.0, sticks=3, size=1, away=(1,))) == "2"
    assert at_work(ring, view(1.5, sticks=3, size=1, hot=(1,))) == "2"
    assert at_work(ring, view(2.5, sticks=3, size=1, hot=(1,))) == "3"
    assert at_work(ring, view(4.5, sticks=3, size=1, hot=(1,))) == "2"


def test_one_cluster_alone_stays_and_says_nothing_of_switching() -> None:
    ring = Ring(10.0)
    for now_s in range(100):
        advice = ring.advise(view(float(now_s), sticks=2))
        assert "-".join(advice.duties) == "1-2"
        assert advice.switched is None


def warm(now_s: float, *readings_c: float, size: int = 2, hot: tuple[int, ...] = ()) -> View:
    """Sticks numbered from 1, each just read."""
    return View(
        now_s,
        [
            StickView(StickId(str(number)), True, number in hot, value_c, HOT if number in hot else "", value_c, now_s)
            for number, value_c in enumerate(readings_c, start=1)
        ],
        size,
    )


def test_the_turn_passes_before_a_working_stick_is_hot() -> None:
    ring = Ring(10.0)
    assert at_work(ring, warm(0.0, 58.0, 50.0, 50.0, 50.0)) == "1-2"
    for now_s in (0.5, 1.0, 1.5, 2.0):
        advice = ring.advise(warm(now_s, 64.5, 50.0, 50.0, 50.0))
        if advice.switched:
            break
    assert "-".join(advice.duties) == "3-4"
    assert (advice.switched, advice.by_heat) == ("1 would be too hot soon (63.5 °C)", True)


def test_the_coolest_cluster_follows_one_that_gets_hot_and_the_next_one_follows_by_the_timer() -> None:
    temperatures = (50.0, 50.0, 55.0, 55.0, 45.0, 50.0)
    by_heat, by_timer = Ring(10.0), Ring(10.0)
    at_work(by_heat, warm(0.0, *temperatures))
    at_work(by_timer, warm(0.0, *temperatures))
    assert at_work(by_heat, warm(9.0, *temperatures, hot=(2,))) == "5-6"
    assert at_work(by_timer, warm(10.0, *temperatures)) == "3-4"


def test_a_resting_stick_has_no_turn_before_it_can_keep_it() -> None:
    ring = Ring(10.0)
    at_work(ring, warm(0.0, 50.0, 50.0, 63.5, 50.0, 50.0))
    assert at_work(ring, warm(10.0, 50.0, 50.0, 63.5, 50.0, 50.0)) == "5-1", "3 would be too hot within its dwell"


def test_where_no_cluster_fits_the_sticks_that_fit_work_alone_and_where_none_does_all_rest() -> None:
    ring = Ring(10.0)
    at_work(ring, warm(0.0, 50.0, 50.0, 50.0, 50.0))
    assert at_work(ring, warm(1.0, 64.5, 50.0, 64.5, 50.0, hot=(1, 3))) == "2-4"
    assert ring.advise(warm(2.0, 64.5, 64.6, 64.5, 64.6, hot=(1, 3))).duties == {}


def test_a_stick_that_is_hot_for_ever_does_not_keep_its_partner_from_working() -> None:
    ring, worked = Ring(10.0), dict.fromkeys(map(StickId, "1234"), 0)
    for second in range(400):
        for stick in ring.advise(warm(float(second), 45.0, 70.0, 45.0, 45.0, hot=(2,))).duties:
            worked[stick] += second >= 100
    assert worked[StickId("2")] == 0
    assert all(150 <= worked[StickId(each)] <= 250 for each in "134"), "three sticks share the two places"


def test_it_wants_to_see_every_reading_where_there_are_sensors() -> None:
    assert Ring(10.0).advise(warm(3.0, 50.0, 50.0)).look_s == 4.0
    without = View(3.0, [StickView(StickId("1"), True, False), StickView(StickId("2"), True, False)], 1)
    assert Ring(10.0).advise(without).look_s is None


STEPS = st.lists(
    st.tuples(
        st.floats(0.01, 4.0),
        st.just(set[int]()) | st.sets(st.integers(1, 7)),
        st.sets(st.integers(1, 7), max_size=3),
        st.booleans(),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=examples(200))
@given(sticks=st.integers(1, 7), size=st.integers(0, 4), interval_s=st.sampled_from([0.0, 1.0, 5.0]), steps=STEPS)
def test_whatever_happens(sticks: int, size: int, interval_s: float, steps: list[tuple[float, set[int], set[int], bool]]) -> None:
    """Never a hot or absent stick, never more than K, never idle while a cool stick is there, dwell between calm switches."""
    ring, now_s, last_calm_s = Ring(interval_s), 0.0, -100.0
    since_s = None
    for dt_s, hot, away, asked in steps:
        now_s += dt_s
        seen = view(now_s, sticks, size, tuple(hot), tuple(away))
        if asked:
            ring.ask_switch()
        advice = ring.advise(seen)
        allowed = {stick.id for stick in seen.sticks if stick.usable and not stick.hot}
        assert set(advice.duties) <= allowed
        assert len(advice.duties) <= (size or sticks)
        assert bool(advice.duties) == bool(allowed)
        assert advice.next_s is None or advice.next_s > now_s
        calm = advice.switched is not None and "too hot" not in advice.switched
        if calm:
            assert now_s - last_calm_s >= DWELL_S - 1e-9
            assert since_s is None or now_s - since_s >= DWELL_S - 1e-9
            last_calm_s = now_s
        if advice.switched is not None:
            since_s = now_s
        assert ring.clusters(seen) == ring.clusters(seen)


@settings(deadline=None, max_examples=examples(300))
@given(
    sticks=st.integers(2, 5),
    size=st.integers(1, 2),
    interval_s=st.sampled_from([1.0, 5.0]),
    before=st.lists(
        st.tuples(
            st.floats(0.01, 9.0), st.sets(st.integers(1, 5), max_size=1), st.sets(st.integers(1, 5), max_size=2), st.booleans()
        ),
        max_size=20,
    ),
    hot=st.sets(st.integers(1, 5), max_size=1),
)
def test_whatever_has_been_every_cool_stick_has_its_turn_within_a_round(
    sticks: int, size: int, interval_s: float, before: list[tuple[float, set[int], set[int], bool]], hot: set[int]
) -> None:
    ring, now_s = Ring(interval_s), 0.0
    for dt_s, was_hot, away, asked in before:
        now_s += dt_s
        if asked:
            ring.ask_switch()
        ring.advise(view(now_s, sticks, size, tuple(was_hot), tuple(away)))
    if size > 1:
        hot = set()  # one whose neighbours in the ring are hot may be in no cool cluster
    worked: set[StickId] = set()
    until_s = now_s + (sticks + 1) * max(interval_s, DWELL_S)
    while now_s < until_s:
        now_s += 0.25
        worked |= set(ring.advise(view(now_s, sticks, size, tuple(hot))).duties)
    assert worked == {StickId(str(number)) for number in set(range(1, sticks + 1)) - hot}
