"""What is told of a child that does not work, and of one that works again."""

from __future__ import annotations

from ncs_cluster.core.child import Child, Limits, State
from ncs_cluster.core.child_health import RECOVERED_S, complaint, last_error, shown_state
from tests.core.onechild import fresh, healthy


def test_a_child_that_shall_not_run_is_no_complaint() -> None:
    child = healthy()
    child.stop(10.0)
    assert complaint(child, 12.9) is None
    child.exited("exit code 0", 13.0)
    assert (child.state, complaint(child, 100.0)) == (State.DOWN, None)
    assert complaint(fresh(), 100.0) is None


def test_its_first_start_may_take_two_seconds() -> None:
    child = fresh()
    child.start(10.0)
    assert (complaint(child, 12.0), complaint(child, 12.1)) == (None, "is starting")
    child.hello(12.5)
    assert complaint(child, 12.6) == "is opening"
    child.phase("compiling", 12.7)
    assert complaint(child, 12.7) == "is loading its graphs"
    child.ready(13.0)
    assert complaint(child, 13.1) is None


def test_a_failure_is_told_until_it_works_again() -> None:
    child = healthy()
    child.exited("killed by SIGSEGV", 10.0)
    assert (child.state, complaint(child, 10.0)) == (State.STARTING, "killed by SIGSEGV")
    child.hello(11.0)
    assert complaint(child, 11.0) == "killed by SIGSEGV"
    child.ready(12.0)
    assert complaint(child, 12.0) is None


def test_silence_is_told_after_less_than_two_seconds_but_not_in_a_step_that_has_a_time_of_its_own() -> None:
    child = healthy(10.0)
    assert (complaint(child, 11.75), shown_state(child, 11.75)) == (None, "running")
    assert (complaint(child, 11.8), shown_state(child, 11.8)) == ("no heartbeat for 2 s", "silent")
    child.phase("compiling", 13.0)
    assert complaint(child, 13.0 + child.limits.compiling_s) is None
    child.message_received(20.0)
    assert complaint(child, 22.1) == "no heartbeat for 2 s"


def test_a_killed_child_is_told_with_its_reason_and_one_that_survives_it_with_its_process() -> None:
    child: Child = healthy()
    child.spawned(77)
    child.kill(10.0, "it hangs")
    assert (child.state, complaint(child, 10.0)) == (State.KILLED, "it hangs")
    child.tick(10.0 + Limits().killed_s)
    assert complaint(child, 20.0) == "process 77 survives SIGKILL (blocked in the kernel)"


def test_an_error_is_told_with_the_time_since_it_is_past_and_then_forgotten() -> None:
    child = healthy()
    assert last_error(child, 1.0) == (None, None)
    child.exited("killed by SIGSEGV", 10.0)
    assert last_error(child, 11.0) == ("killed by SIGSEGV", None)
    child.hello(11.0)
    child.ready(12.0)
    assert last_error(child, 52.0) == ("killed by SIGSEGV", 40.0)
    assert last_error(child, 11.9 + RECOVERED_S) == ("killed by SIGSEGV", 299.9)
    assert last_error(child, 12.0 + RECOVERED_S) == (None, None)
    child.last_error = "no memory"
    assert last_error(child, 400.0) == ("no memory", None)
    child.works(401.0)
    child.works(405.0)
    assert last_error(child, 411.0) == ("no memory", 10.0)
