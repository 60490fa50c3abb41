"""A child is started again with new settings, which is no failure: exact actions, state and deadline."""

from __future__ import annotations

import pytest

from ncs_cluster.core.actions import Spawn
from ncs_cluster.core.child import State
from tests.core.onechild import SPAWN, STOP, WHO, child_in, killed, logged


@pytest.mark.parametrize("state", list(State))
def test_a_child_that_shall_start_again_is_stopped_politely_where_it_reads_messages(state: State) -> None:
    child = child_in(state)
    asked, down = state in (State.STARTING, State.OPENING, State.RUNNING), state in (State.DOWN, State.BACKOFF)
    before = child.deadline_s
    assert child.restart(100.0) == (STOP if asked else SPAWN if down else [])
    if asked:
        assert (child.state, child.deadline_s) == (State.STOPPING, 103.0)
    elif down:
        assert (child.state, child.deadline_s) == (State.STARTING, 145.0)
    else:
        assert (child.state, child.deadline_s) == (state, before)


@pytest.mark.parametrize("state", [State.STARTING, State.OPENING, State.RUNNING, State.STOPPING])
def test_a_child_that_has_stopped_to_start_again_is_started_at_once_which_is_no_failure(state: State) -> None:
    child = child_in(state)
    child.failures = 3
    child.restart(100.0)
    child.runtime = "py39"
    child.record_failure("because", permanent=True, device_missing=True)
    assert child.exited("exit code 1", 101.0) == [Spawn(WHO, "py39")]
    assert (child.state, child.deadline_s, child.pid) == (State.STARTING, 146.0, None)
    assert (child.failures, child.restarts, child.last_error) == (3, 0, None)
    assert child.exited("exit code 1", 102.0) == [logged("warning", "ended (exit code 1), next try in 8 s")], "only that end"
    assert (child.failures, child.restarts) == (4, 1)


def test_a_child_that_waits_for_its_next_try_starts_again_at_once_and_its_deaths_are_forgotten() -> None:
    child = child_in(State.BACKOFF)
    child.failures = 4
    assert child.restart(100.0) == SPAWN
    assert child.failures == 0
    assert child.exited("exit code 1", 101.0) == [logged("warning", "ended (exit code 1), next try in 1 s")]


def test_a_child_that_does_not_stop_in_time_to_start_again_is_killed_and_then_started() -> None:
    child = child_in(State.RUNNING)
    child.restart(100.0)
    assert child.tick(103.0) == killed("did not stop in time")
    assert child.exited("killed by SIGKILL", 103.1) == SPAWN
    assert (child.failures, child.last_error) == (1, "did not stop in time")


@pytest.mark.parametrize("state", [State.KILLED, State.FENCED])
def test_the_death_of_a_child_that_is_being_killed_counts_although_it_shall_start_again(state: State) -> None:
    child = child_in(state)
    child.restart(100.0)
    assert child.exited("killed by SIGKILL", 101.0)[-1:] == SPAWN
    assert (child.failures, child.restarts, child.last_error) == (1, 1, "hangs")


def test_a_child_that_was_to_start_again_and_is_told_to_stop_stays_down() -> None:
    child = child_in(State.RUNNING)
    child.restart(100.0)
    assert child.stop(100.1) == []
    assert child.exited("exit code 0", 101.0) == []
    assert child.state is State.DOWN
    again = child_in(State.STOPPING)
    again.restart(100.0)
    assert again.exited("exit code 0", 101.0) == SPAWN, "it was to stop, and shall run now"


def test_a_child_that_stops_and_is_to_run_after_all_is_started_when_it_has_stopped_which_is_no_failure() -> None:
    child = child_in(State.STOPPING)
    assert child.start(100.0) == []
    assert child.exited("exit code 0", 101.0) == SPAWN
    assert (child.failures, child.restarts, child.last_error) == (0, 0, None)
