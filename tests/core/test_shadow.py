"""What `predictive` would do: judged in the thermal laboratory by what it does, and by the sticks' true figures."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ncs_cluster.core.shadow import CAUTION, FORESEEN_S, SAID_AFTER_S, SETTLED_S, Said, Shadow, steadied
from ncs_cluster.policies import outlook
from ncs_cluster.policies.all import All
from ncs_cluster.policies.predictive import Predictive
from ncs_cluster.testing.thermal_lab import scenario
from ncs_cluster.testing.thermal_lab.core_pool import CorePool
from ncs_cluster.testing.thermal_lab.plant import INFERENCE_S
from ncs_cluster.testing.thermal_lab.scenario import Scenario
from ncs_cluster.testing.thermal_lab.trial import Trial
from ncs_cluster.types import StickId
from tests.policies.views import view

FULL = 1.0 / INFERENCE_S


def watched(
    story: Scenario, policy: str, seed: int, limit_c: float | None = None, each: Callable[[Trial, Shadow], None] | None = None
) -> tuple[Trial, Shadow]:
    """A trial, and a shadow beside it that is shown `limit_c` as the limit; `each` is called after each second."""
    trial, shadow = Trial(story, policy, seed), Shadow()
    rates = {StickId(f"lab-{number + 1}"): FULL for number in range(story.sticks)}
    while trial.now_s < story.until_s:
        begins_s = trial.now_s
        trial.second()
        assert isinstance(trial.pool, CorePool)
        regulator, queues = trial.pool.regulator, trial.pool._dispatcher.queues
        seen = regulator.view(begins_s)
        seen = seen if limit_c is None else structs.replace(seen, limit_c=limit_c)
        if shadow.is_due(seen):
            duties = {stick: queue.duty for stick, queue in queues.items() if queue.duty}
            shadow.look(seen, regulator._policy, policy, duties, rates)
        if each is not None:
            each(trial, shadow)
    return trial, shadow


@pytest.mark.slow
@pytest.mark.parametrize(("air_c", "size", "policy", "seed"), [(25.0, 1, "ring", 11), (35.0, 1, "coolest", 12)])
def test_what_it_says_would_be_sustained_is_what_predictive_sustains_on_the_same_sticks(
    air_c: float, size: int, policy: str, seed: int
) -> None:
    said: list[list[str]] = []

    def note(_: Trial, shadow: Shadow) -> None:
        if shadow.said not in said[-1:]:
            said.append(shadow.said)

    _, shadow = watched(scenario.constant(3, size, air_c, hours=0.6), policy, seed, each=note)
    truth = Trial(scenario.constant(3, 0, air_c, hours=1.0), "predictive", seed).run().rate
    assert shadow.settled
    assert shadow.unlimited == pytest.approx(truth, rel=0.06)
    assert shadow.with_size == pytest.approx(min(size * FULL, truth), rel=0.06)
    assert sum(shadow.sustainable_rate(stick) or 0.0 for stick in shadow.sticks) == pytest.approx(shadow.unlimited)
    assert said[0] == []
    assert len(said) == 2, "said once, and not changed"
    match = re.fullmatch(r"predictive would sustain (\d+)/s, not (\d+): --cluster-size costs (\d+)/s", said[1][0])
    assert match is not None
    best, now, costs = map(int, match.groups())
    assert (best, now, costs) == (round(shadow.unlimited or 0.0), size * FULL, best - now)


@pytest.mark.slow
def test_where_heat_and_not_the_cluster_size_is_the_limit_the_policy_is_what_costs() -> None:
    _, shadow = watched(scenario.constant(4, 2, 38.0, hours=0.7), "ring", 4)
    assert len(shadow.said) == 1
    assert re.fullmatch(r"predictive would sustain \d+/s, not \d+: ring costs \d+/s", shadow.said[0])
    assert shadow.unlimited == shadow.with_size


@pytest.mark.slow
def test_under_predictive_itself_its_own_dies_count_and_only_the_cluster_size_can_cost() -> None:
    trial, shadow = watched(scenario.constant(3, 1, 25.0, hours=0.6), "predictive", 5)
    assert isinstance(trial.pool, CorePool)
    assert shadow._asked is trial.pool.regulator._policy
    assert re.fullmatch(r"the sticks would sustain \d+/s, not 20: --cluster-size costs \d+/s", shadow.said[0])
    _, shadow = watched(scenario.constant(3, 0, 40.0, hours=0.6), "predictive", 5)
    assert (shadow.settled, shadow.said) == (True, [])
    assert shadow.unlimited == pytest.approx(shadow.allowed, rel=0.04), "it does what it says"


@pytest.mark.slow
def test_a_covered_stick_is_said_to_cool_worse_by_what_it_does_and_the_others_are_not() -> None:
    def resistance(stick: int, now_s: float) -> float:
        return 4.0 if stick == 0 and now_s >= 600.0 else 1.0

    story = scenario.covering(4, 2, 30.0)._replace(resistance=resistance, until_s=3000.0, parameters=0.05)
    trial, shadow = watched(story, "ring", 6)
    network = trial.plant.network
    work = [shadow.sticks[StickId(f"lab-{number}")].long_work for number in range(1, 5)]
    rise = network.die_k_w() @ (network.idle_w + network.work_w * work)
    true = {StickId(f"lab-{at + 1}"): float(rise[at]) / (0.45 + 1.35 * work[at]) for at in range(4)}
    worse = outlook.beside_peers(true, StickId("lab-1"))
    assert worse is not None
    assert worse > 0.3
    assert shadow.sticks[StickId("lab-1")].worse == pytest.approx(worse, abs=0.08)
    assert [shadow.remarks(StickId(f"lab-{number}")) != [] for number in range(1, 5)] == [True, False, False, False]
    assert re.fullmatch(r"cools \d\d % worse than its peers", shadow.remarks(StickId("lab-1"))[0])


def test_seconds_to_the_limit_are_mostly_less_and_rarely_much_more_than_the_true_ones() -> None:
    """From cold at full work, sticks of unknown figures: forecasts of the minute before the die's true temperature has 65 C."""
    errors: list[float] = []
    for seed in range(1, 13):
        told: list[list[float | None]] = []
        crossed: dict[int, int] = {}

        def note(trial: Trial, shadow: Shadow, told: list = told, crossed: dict = crossed) -> None:
            told.append([shadow.headroom_s(StickId(f"lab-{number + 1}")) for number in range(4)])
            for number in range(4):
                if trial.plant.dies_c[number] >= 65.0:
                    crossed.setdefault(number, len(told) - 1)

        story = scenario.constant(4, 0, 30.0)._replace(limit_c=90.0, until_s=240.0)
        watched(story, "all", seed, 65.0, note)
        for number, when in crossed.items():
            for ahead in (30, 60):
                if when - ahead > FORESEEN_S and (seconds := told[when - ahead][number]) is not None:
                    errors.append(seconds / ahead - 1.0)
    errors.sort()
    assert len(errors) >= 60
    assert errors[len(errors) // 2] == pytest.approx(CAUTION * 1.06 - 1.0, abs=0.15)
    assert errors[int(0.9 * len(errors))] < 0.3


def test_headroom_in_degrees_is_that_of_the_die() -> None:
    shadow, one = Shadow(), StickId("1")
    assert (shadow.headroom_c(one), shadow.headroom_s(one), shadow.sustainable_rate(one)) == (None, None, None)
    shadow.look(view(0.0, 40.0), All(), "all", {one: 1.0}, {one: 20.0})
    assert shadow.headroom_c(one) == 25.0
    assert shadow.headroom_s(one) is None, "known for too short a time"
    seen = view(1.0, 40.0)
    lower = structs.replace(seen, sticks=[structs.replace(seen.sticks[0], ceiling_c=60.0)])
    shadow.look(lower, All(), "all", {one: 1.0}, {one: 20.0})
    assert shadow.headroom_c(one) == pytest.approx(20.0, abs=0.5), "it has throttled at little more than 60"
    assert shadow.headroom_c(StickId("2")) is None


def test_a_stick_that_rests_has_no_time_to_the_limit() -> None:
    shadow, one, worked_s = Shadow(), StickId("1"), 0.0
    for second in range(60):
        worked_s += 1.0
        shadow.look(view(float(second), 40.0 + second // 4, worked_s=worked_s), All(), "all", {one: 1.0}, {one: 20.0})
    assert shadow.headroom_s(one) is not None
    shadow.look(view(60.0, 55.0, worked_s=worked_s), All(), "all", {}, {one: 20.0})
    assert (shadow.foresees(one), shadow.headroom_s(one)) == (True, None)


def test_without_a_temperature_it_is_never_due_and_has_no_figures() -> None:
    shadow = Shadow()
    assert not any(shadow.is_due(view(float(second), None, None)) for second in range(10))
    assert shadow.is_due(view(10.0, None, 40.0))


def test_it_looks_once_in_a_second() -> None:
    shadow = Shadow()
    shadow.look(view(3.1, 40.0), All(), "all", {}, {})
    assert [shadow.is_due(view(now_s, 41.0)) for now_s in (3.2, 3.99, 4.0)] == [False, False, True]


def test_before_a_die_is_known_for_long_nothing_is_settled_and_nothing_is_said() -> None:
    trial, shadow = watched(scenario.constant(2, 1, 25.0)._replace(until_s=SETTLED_S - 1.0, judged_s=60.0), "ring", 1)
    assert (shadow.settled, shadow.unlimited, shadow.said) == (False, None, [])
    assert all(shadow.sustainable_rate(stick) is None for stick in shadow.sticks)
    assert shadow.allowed == pytest.approx(FULL)
    assert trial.now_s == SETTLED_S - 1.0


def test_a_stick_that_comes_new_unsettles_the_pool_and_a_stick_that_is_gone_is_forgotten() -> None:
    _, shadow = watched(scenario.constant(2, 1, 25.0)._replace(until_s=1300.0), "ring", 1)
    assert shadow.settled
    ids = list(shadow.sticks)
    seen = view(1300.0, 50.0, 30.0)
    sticks = [structs.replace(seen.sticks[0], id=ids[0], worked_s=1e4), structs.replace(seen.sticks[1], id=StickId("new"))]
    shadow.look(structs.replace(seen, sticks=sticks), All(), "ring", {}, dict.fromkeys(ids, FULL))
    assert (shadow.settled, shadow.unlimited) == (False, None)
    assert set(shadow.sticks) == {ids[0], "new"}


def test_a_sensor_that_repeats_itself_is_told() -> None:
    shadow, policy, one = Shadow(), Predictive(), StickId("1")
    for second in range(600):
        seen = view(float(second), 50.0 + second % 2 if second < 500 else 50.0, worked_s=0.4 * second)
        policy.advise(seen)
        shadow.look(seen, policy, "predictive", {one: 1.0}, {one: 20.0})
    assert shadow.remarks(one) == ["its sensor repeats itself: works at 5%"]
    assert shadow.headroom_c(one) is None


@given(st.lists(st.tuples(st.floats(0.1, 200.0), st.none() | st.floats(-0.5, 0.5)), max_size=60))
def test_what_is_said_changes_only_after_a_minute_of_the_contrary_unless_it_becomes_unknown(
    steps: list[tuple[float, float | None]],
) -> None:
    said, now_s, history = Said(0.08, 0.04), 0.0, list[tuple[float, float]]()
    for dt_s, value in steps:
        now_s += dt_s
        before = said.said
        after = said.judge(value, now_s)
        if value is None:
            assert not after
            history.clear()
            continue
        history.append((now_s, value))
        if after != before:
            contrary = [at_s for at_s, each in reversed(history) if (each < 0.04 if before else each >= 0.08)]
            recent = [each for at_s, each in history if at_s >= now_s - SAID_AFTER_S]
            assert all(each < 0.04 if before else each >= 0.08 for each in recent)
            assert now_s - contrary[-1] >= SAID_AFTER_S


def test_a_figure_stays_until_it_is_off_by_more_than_its_band() -> None:
    assert [steadied(None, 5.0, 1.0), steadied(5.0, 5.9, 1.0), steadied(5.0, 6.1, 1.0)] == [5.0, 5.0, 6.1]
