"""Each method of a child in each state leads to exact actions, state and deadline."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ncs_cluster.core.actions import Action
from ncs_cluster.core.child import Child, Limits, State
from ncs_cluster.core.events import Endpoint
from tests.core.onechild import SPAWN, STOP, WHO, child_in, fresh, healthy, killed, logged


def test_a_new_child_is_down_and_was_never_started() -> None:
    child = fresh()
    assert (child.endpoint, child.runtime, child.limits, child.state, child.pid) == (WHO, "default", Limits(), State.DOWN, None)
    assert (child.deadline_s, child.restarts, child.failures, child.last_error) == (None, 0, 0, None)
    assert Child(WHO, "default", Limits(starting_s=1.0)).limits == Limits(starting_s=1.0)


def test_the_limits_of_a_child_are_these_seconds() -> None:
    assert Limits() == Limits(45.0, 60.0, 180.0, 5.0, 3.0, 5.0)


def test_the_states_have_these_names() -> None:
    names = ["down", "starting", "opening", "running", "stopping", "killed", "fenced", "backoff"]
    assert [state.value for state in State] == names


@pytest.mark.parametrize(
    ("state", "alive", "listening", "accepts", "running"),
    [
        (State.DOWN, False, False, False, False),
        (State.STARTING, True, False, True, False),
        (State.OPENING, True, True, True, False),
        (State.RUNNING, True, True, True, True),
        (State.STOPPING, True, False, True, False),
        (State.KILLED, True, False, False, False),
        (State.FENCED, True, False, False, False),
        (State.BACKOFF, False, False, False, False),
    ],
)
def test_what_a_state_means(state: State, alive: bool, listening: bool, accepts: bool, running: bool) -> None:
    child = child_in(state)
    assert (child.state, child.alive, child.listening, child.accepts, child.running) == (state, alive, listening, accepts, running)


@pytest.mark.parametrize("state", list(State))
def test_a_child_that_shall_run_is_started_where_it_has_no_process(state: State) -> None:
    child = child_in(state)
    assert child.start(100.0) == (SPAWN if state in (State.DOWN, State.BACKOFF) else [])
    if state in (State.DOWN, State.BACKOFF):
        assert (child.state, child.deadline_s) == (State.STARTING, 145.0)
    else:
        assert child.state is state


@pytest.mark.parametrize("state", list(State))
def test_a_child_that_shall_not_run_is_sent_a_stop_where_it_reads_messages(state: State) -> None:
    child, asked = child_in(state), state in (State.STARTING, State.OPENING, State.RUNNING)
    assert child.stop(100.0) == (STOP if asked else [])
    if asked:
        assert (child.state, child.deadline_s) == (State.STOPPING, 103.0)
    elif state is State.BACKOFF:
        assert (child.state, child.deadline_s) == (State.DOWN, None)
    else:
        assert child.state is state
    assert child.exited("exit code 0", 101.0) == []
    assert (child.state, child.deadline_s, child.restarts) == (State.DOWN, None, 1 if state is State.BACKOFF else 0)


@pytest.mark.parametrize("state", list(State))
def test_a_child_is_killed_once_where_it_has_a_process(state: State) -> None:
    child, lives = child_in(state), state in (State.STARTING, State.OPENING, State.RUNNING, State.STOPPING)
    assert child.kill(100.0, "hangs") == (killed("hangs") if lives else [])
    if lives:
        assert (child.state, child.deadline_s) == (State.KILLED, 105.0)
    else:
        assert child.state is state


@pytest.mark.parametrize(
    ("do", "deadlines"),
    [
        (lambda child: child.message_received(100.0), {State.RUNNING: 105.0}),
        (lambda child: child.hello(100.0), {State.STARTING: 160.0}),
        (lambda child: child.extend_opening(100.0), {State.STARTING: 145.0, State.OPENING: 160.0}),
        (lambda child: child.phase("compiling", 100.0), {State.OPENING: 280.0, State.RUNNING: 280.0}),
        (lambda child: child.phase("opening", 100.0), {State.OPENING: 160.0, State.RUNNING: 160.0}),
        (lambda child: child.ready(100.0), {State.OPENING: 105.0}),
    ],
    ids=["heard", "hello", "waits", "compiling", "opening", "ready"],
)
@pytest.mark.parametrize("state", list(State))
def test_a_message_moves_the_deadline_in_these_states_alone(
    do: Callable[[Child], None], deadlines: dict[State, float], state: State
) -> None:
    child = child_in(state)
    before = child.deadline_s
    do(child)
    assert child.deadline_s == deadlines.get(state, before)


def test_hello_and_ready_lead_to_the_next_state() -> None:
    child = fresh()
    child.start(0.0)
    child.ready(1.0)
    assert child.state is State.STARTING
    child.hello(1.0)
    assert child.state is State.OPENING
    child.ready(2.0)
    assert child.state is State.RUNNING


@pytest.mark.parametrize("state", list(State))
def test_what_a_child_drives_is_lost_only_while_it_runs(state: State) -> None:
    child, runs = child_in(state), state is State.RUNNING
    text = "it hangs: resetting and reopening the stick"
    failures = child.failures
    assert child.device_lost("stick 1: it hangs", 100.0) == ([logged("warning", text)] if runs else [])
    if runs:
        assert (child.state, child.deadline_s, child.failures, child.last_error) == (State.OPENING, 160.0, 1, "it hangs")
    else:
        assert (child.state, child.failures) == (state, failures)


def test_the_fourth_loss_in_a_row_ends_the_child_unless_it_is_innocent() -> None:
    child = healthy()
    child.failures = 2
    assert child.device_lost("it hangs", 1.0, not_at_fault=True) == [
        logged("warning", "it hangs: resetting and reopening the stick")
    ]
    assert child.failures == 2
    child.ready(2.0)
    child.failures = 3
    assert child.device_lost("it hangs", 3.0, not_at_fault=True) == [
        logged("warning", "it hangs: resetting and reopening the stick")
    ]
    child.ready(4.0)
    assert child.device_lost("it hangs", 5.0) == killed("it hangs, 4 times in a row")


@pytest.mark.parametrize(("lost_s", "failures"), [(29.999, 3), (30.0, 1)])
def test_losses_before_a_stable_time_are_forgotten(lost_s: float, failures: int) -> None:
    child = healthy()
    child.failures = 2
    child.device_lost("it hangs", lost_s)
    assert child.failures == failures


def test_only_the_first_failure_is_kept_and_its_text_is_cut() -> None:
    child = healthy()
    child.record_failure("stick 1: " + "x" * 500, permanent=False)
    child.record_failure("other", permanent=False)
    assert child.exited("exit code 1", 1.0) == [logged("warning", f"ended (exit code 1; {'x' * 400}), restarting"), *SPAWN]
    assert (child.last_error, child.restarts, child.failures, child.pid) == ("x" * 400, 1, 1, None)


@pytest.mark.parametrize(
    ("permanent", "away", "failures", "wait_s"),
    [(True, False, 0, 60), (False, True, 0, 2), (False, True, 3, 8), (True, True, 0, 60), (False, False, 3, 8)],
)
def test_the_next_try_after_health_waits_where_there_is_a_reason(permanent: bool, away: bool, failures: int, wait_s: int) -> None:
    child = healthy()
    child.failures = failures
    child.record_failure("because", permanent=permanent, device_missing=away)
    assert child.exited("exit code 1", 1.0) == [logged("warning", f"ended (exit code 1; because), next try in {wait_s} s")]
    assert (child.state, child.deadline_s) == (State.BACKOFF, 1.0 + wait_s)
    assert child.tick(1.0 + wait_s) == SPAWN
    child.hello(2.0)
    child.ready(3.0)
    child.failures = 0
    assert child.exited("exit code 1", 4.0) == [logged("warning", "ended (exit code 1), restarting"), *SPAWN], "the next time"


@pytest.mark.parametrize(("failures", "quick"), [(0, True), (2, True), (3, False)])
def test_three_deaths_after_health_are_answered_at_once(failures: int, quick: bool) -> None:
    child = healthy()
    child.failures = failures
    again = "restarting" if quick else "next try in 8 s"
    assert child.exited("exit code 1", 1.0) == [logged("warning", f"ended (exit code 1), {again}"), *(SPAWN if quick else [])]
    assert (child.last_error, child.failures) == ("exit code 1", failures + 1)


def test_the_exit_of_a_child_that_was_killed_is_not_noted_again() -> None:
    child = child_in(State.KILLED)
    assert child.exited("killed by SIGKILL", 100.0) == SPAWN
    assert child.last_error == "hangs"
    assert child.exited("exit code 1", 101.0) == [logged("warning", "ended (exit code 1), next try in 2 s")], "only that one"


def test_the_exit_of_a_child_that_was_fenced_is_noted() -> None:
    child = child_in(State.FENCED)
    assert child.exited("killed by SIGKILL", 100.0) == [
        logged("warning", "ended (killed by SIGKILL; hangs), restarting"),
        *SPAWN,
    ]


@pytest.mark.parametrize("state", [State.DOWN, State.BACKOFF])
def test_what_has_no_process_cannot_exit(state: State) -> None:
    child = child_in(state)
    failures = child.failures
    assert child.exited("exit code 1", 100.0) == []
    assert (child.state, child.failures) == (state, failures)


@pytest.mark.parametrize(("failures", "wait_s"), [(0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (100, 60.0)])
def test_the_backoff_doubles_up_to_a_minute(failures: int, wait_s: float) -> None:
    child = fresh()
    child.failures = failures
    assert child.backoff_s() == wait_s


@pytest.mark.parametrize("kind", ["gateway", "sink", "camera"])
def test_a_child_whose_restart_costs_little_waits_five_seconds_at_most(kind: str) -> None:
    child = Child(Endpoint(kind), "default")
    child.failures = 100
    assert child.backoff_s() == 5.0
    child.record_failure("no such file", permanent=True)
    assert child.backoff_s() == 60.0, "another try would fail too"


@pytest.mark.parametrize(("worked_s", "wait_s"), [(9.9, 60.0), (10.0, 5.0)])
def test_a_stick_that_has_done_real_work_waits_five_seconds_at_most(worked_s: float, wait_s: float) -> None:
    child = healthy()
    child.failures = 100
    child.exited("killed by SIGSEGV", worked_s)
    assert child.deadline_s == worked_s + wait_s
    child.tick(200.0)
    child.exited("killed by SIGSEGV", 201.0)
    assert child.deadline_s == 261.0, "the last process did not work at all"


def test_a_stick_that_worked_and_was_lost_waits_five_seconds_at_most() -> None:
    child = healthy()
    child.failures = 50
    child.device_lost("it hangs", 11.0)
    child.exited("killed by SIGKILL", 12.0)
    assert child.deadline_s == 17.0


@pytest.mark.parametrize(("failures", "quarantined"), [(4, False), (5, True)])
def test_five_deaths_in_a_row_are_a_quarantine(failures: int, quarantined: bool) -> None:
    child = fresh()
    child.failures = failures
    assert child.quarantined is quarantined


@pytest.mark.parametrize(
    ("state", "deadline_s", "actions", "then"),
    [
        (State.STARTING, 45.0, killed("did not start in time"), State.KILLED),
        (State.OPENING, 120.0, killed("was not ready in time"), State.KILLED),
        (State.RUNNING, 103.0, killed("no heartbeat for 5 s"), State.KILLED),
        (State.STOPPING, 102.0, killed("did not stop in time"), State.KILLED),
        (State.BACKOFF, 100.5, SPAWN, State.STARTING),
        (
            State.KILLED,
            104.0,
            [logged("error", "process 7 survives SIGKILL (blocked in the kernel): fenced until it exits")],
            State.FENCED,
        ),
    ],
)
def test_a_deadline_that_has_passed_leads_to_this(state: State, deadline_s: float, actions: list[Action], then: State) -> None:
    child = child_in(state)
    assert child.deadline_s == deadline_s
    assert (child.tick(deadline_s - 0.001), child.state) == ([], state)
    assert (child.tick(deadline_s), child.state) == (actions, then)


@pytest.mark.parametrize("state", [State.DOWN, State.FENCED])
def test_without_a_deadline_time_leads_to_nothing(state: State) -> None:
    assert child_in(state).tick(1e9) == []


@pytest.mark.parametrize(
    ("state", "now_s", "deadline_s"),
    [
        (State.RUNNING, 100.0, 105.0),
        (State.STARTING, 45.0, 45.0),
        (State.STARTING, 45.5, 50.5),
        (State.STARTING, 10.0, 45.0),
        (State.DOWN, 100.0, None),
    ],
)
def test_after_a_stall_of_the_supervisor_a_child_has_five_seconds_more(
    state: State, now_s: float, deadline_s: float | None
) -> None:
    child = child_in(state)
    child.extend_deadlines(now_s)
    assert child.deadline_s == deadline_s


@pytest.mark.parametrize("state", list(State))
def test_a_child_whose_reason_for_waiting_is_over_is_started_and_its_deaths_are_forgotten(state: State) -> None:
    child = child_in(state)
    child.failures = 4
    assert child.retry_now(100.0) == (SPAWN if state is State.BACKOFF else [])
    assert child.failures == 0


def test_a_failure_of_a_stopped_process_does_not_affect_the_next_one() -> None:
    child = healthy()
    child.stop(1.0)
    child.record_failure("because", permanent=True, device_missing=True)
    assert child.exited("exit code 1", 2.0) == []
    child.record_failure("late", permanent=True, device_missing=True)
    assert child.start(3.0) == SPAWN
    assert child.exited("exit code 1", 4.0) == [logged("warning", "ended (exit code 1), next try in 1 s")]
