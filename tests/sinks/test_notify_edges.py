"""When a change of the daemon's state is told, and what is told."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.sinks._notify_edges import Edges, notification

OK, BAD, DOWN = "ok", "degraded", "down"


def told(seen: list[tuple[float, str]], hold_off_s: float = 60.0) -> list[tuple[float, str, str]]:
    """Of states as they are seen: when which state was told, and the one before it."""
    edges, found = Edges(hold_off_s), []
    for now_s, state in seen:
        if (before := edges.look(state, now_s)) is not None:
            found.append((now_s, before, state))
    return found


def seconds(*spans: tuple[str, int]) -> list[tuple[float, str]]:
    """One look in each second."""
    states = [state for state, length in spans for _ in range(length)]
    return [(1000.0 + at, state) for at, state in enumerate(states)]


def test_trouble_is_told_once_when_it_has_lasted_and_so_is_its_end() -> None:
    assert told(seconds((OK, 10), (BAD, 200), (OK, 200))) == [(1069.0, OK, BAD), (1269.0, BAD, OK)]


def test_short_trouble_and_a_short_recovery_are_not_told() -> None:
    assert told(seconds((OK, 10), (BAD, 50), (OK, 500))) == []
    assert told(seconds((BAD, 100), (OK, 50), (BAD, 100))) == [(1060.0, OK, BAD)]


def test_a_daemon_that_is_in_trouble_from_its_start_is_told_after_the_hold_off_too() -> None:
    assert told(seconds((DOWN, 100))) == [(1060.0, OK, DOWN)]


def test_trouble_that_comes_again_and_again_is_told_and_its_pauses_are_not() -> None:
    found = told(seconds((OK, 10), *[(BAD, 40), (OK, 20)] * 20))
    assert [(before, state) for _, before, state in found] == [(OK, BAD)]


def test_worse_trouble_is_told_with_a_hold_off_of_its_own_whatever_lies_between() -> None:
    assert told(seconds((BAD, 100), (DOWN, 100))) == [(1060.0, OK, BAD), (1159.0, BAD, DOWN)]
    assert told(seconds((BAD, 30), (DOWN, 100))) == [(1060.0, OK, DOWN)]


def test_without_a_hold_off_every_change_is_told() -> None:
    assert told(seconds((OK, 2), (BAD, 1), (OK, 1)), 0.0) == [(1002.0, OK, BAD), (1003.0, BAD, OK)]


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.sampled_from([OK, BAD, DOWN])), max_size=60), st.floats(1.0, 100.0))
def test_no_two_are_told_within_a_hold_off_and_each_differs_from_the_one_before(
    steps: list[tuple[float, str]], hold_off_s: float
) -> None:
    now_s, seen = 0.0, []
    for passed_s, state in steps:
        now_s += passed_s
        seen.append((now_s, state))
    found = told(seen, hold_off_s)
    assert all(before != state for _, before, state in found)
    assert [before for _, before, _ in found] == [OK, *(state for _, _, state in found)][: len(found)]
    times = [0.0, *(at for at, _, _ in found)]
    assert all(later - earlier >= hold_off_s - 1e-6 for earlier, later in pairwise(times))


@pytest.mark.parametrize(
    ("state", "event", "title"), [(BAD, BAD, "is degraded"), (DOWN, DOWN, "is down"), (OK, "recovered", "has recovered")]
)
def test_a_notification_names_the_machine_the_change_and_the_reasons(state: str, event: str, title: str) -> None:
    made = notification(state, "x", ["sim-1 is absent", "y" * 1000], "pi", "1.0", 1.5)
    assert made.text == f"ncs_cluster on pi {title}\n- sim-1 is absent\n- {'y' * 300}"
    assert made.document() == {
        "schema": 1,
        "text": made.text,
        "event": event,
        "state": state,
        "before": "x",
        "reasons": ["sim-1 is absent", "y" * 300],
        "host": "pi",
        "version": "1.0",
        "at": 1.5,
    }


def test_of_many_reasons_the_first_are_told() -> None:
    reasons = notification(BAD, OK, [f"reason {number}" for number in range(500)], "pi", "1", 0.0).reasons
    assert (len(reasons), reasons[19], reasons[20]) == (21, "reason 19", "and 480 more")
