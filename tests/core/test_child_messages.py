"""What every child may say: exact actions, and what is known of the child afterwards."""

from __future__ import annotations

from typing import get_args

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Kill, LogEvent, Spawn
from ncs_cluster.core.child import State
from ncs_cluster.core.child_messages import CommonMessage, accepts, check_protocol, handle_common
from ncs_cluster.core.events import SINK
from tests.core.onechild import child_in

HEEDED = {State.STARTING, State.OPENING, State.RUNNING, State.STOPPING}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize(
    ("message", "states"),
    [
        (m.Hello(m.PROTOCOL, 7, "3.11"), {State.STARTING}),
        (m.Heartbeat(), HEEDED),
        (m.Failed("open", "no"), HEEDED),
        (e.Spawned(7), set(State)),
        (e.SpawnFailed("no such file"), set(State)),
        (e.Exited("exit code 1", 1), set(State)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_message_is_heeded_in_these_states_alone(message: object, states: set[State], state: State) -> None:
    child = child_in(state, SINK)
    assert child.state is state
    assert accepts(child, message) is (state in states)


def test_a_child_of_the_same_version_is_greeted_without_an_action() -> None:
    child = child_in(State.STARTING, SINK)
    assert check_protocol(child, m.Hello(m.PROTOCOL, 77, "3.11"), 1.0) == []
    assert (child.state, child.pid) == (State.STARTING, 77)


@pytest.mark.parametrize("protocol", [m.PROTOCOL - 1, m.PROTOCOL + 1])
def test_a_child_of_another_version_is_killed(protocol: int) -> None:
    child = child_in(State.STARTING, SINK)
    why = f"uses protocol {protocol}, not {m.PROTOCOL}: install the daemon's version for its interpreter"
    assert check_protocol(child, m.Hello(protocol, 77, "3.11"), 1.0) == [LogEvent("warning", "sink", f"killed: {why}"), Kill(SINK)]
    assert (child.state, child.pid, child.deadline_s) == (State.KILLED, 77, 6.0)


@pytest.mark.parametrize(("phase", "deadline_s"), [("compiling", 190.0), ("opening", 70.0)])
def test_a_phase_gives_the_child_the_time_of_that_phase(phase: str, deadline_s: float) -> None:
    child = child_in(State.OPENING, SINK)
    assert handle_common(child, m.Phase(phase), 10.0) == []
    assert child.deadline_s == deadline_s


@pytest.mark.parametrize(("permanent", "wait_s"), [(False, 1.0), (True, 60.0)])
def test_a_failure_explains_the_exit_and_a_permanent_one_delays_the_next_try(permanent: bool, wait_s: float) -> None:
    child = child_in(State.OPENING, SINK)
    assert handle_common(child, m.Failed("open", "cannot be opened", permanent), 10.0) == []
    text = f"ended (exit code 1; cannot be opened), next try in {wait_s:.0f} s"
    assert child.exited("exit code 1", 11.0) == [LogEvent("warning", "sink", text)]
    assert (child.last_error, child.deadline_s) == ("cannot be opened", 11.0 + wait_s)


def test_the_process_id_of_a_started_child_is_recorded() -> None:
    child = child_in(State.STARTING, SINK)
    assert handle_common(child, e.Spawned(4711), 1.0) == []
    assert (child.pid, child.state) == (4711, State.STARTING)


def test_a_process_that_could_not_be_started_is_tried_again_after_the_longest_time() -> None:
    child = child_in(State.STARTING, SINK)
    text = "ended (could not be started; no such file), next try in 60 s"
    assert handle_common(child, e.SpawnFailed("no such file"), 10.0) == [LogEvent("warning", "sink", text)]
    assert (child.state, child.deadline_s, child.last_error) == (State.BACKOFF, 70.0, "no such file")
    assert child.tick(70.0) == [Spawn(SINK, "default")]


def test_a_heartbeat_leads_to_nothing_here() -> None:
    child = child_in(State.RUNNING, SINK)
    assert handle_common(child, m.Heartbeat(), 3.0) == []
    assert (child.state, child.deadline_s, child.pid) == (State.RUNNING, 103.0, 7)


def test_the_messages_of_every_child_are_named_and_any_other_is_an_error_of_the_caller() -> None:
    assert set(get_args(CommonMessage)) == {m.Heartbeat, m.Phase, m.Failed, e.Spawned, e.SpawnFailed}
    with pytest.raises(AssertionError):
        handle_common(child_in(State.RUNNING, SINK), m.SinkBlocked("disk full"), 3.0)  # type: ignore[arg-type]
