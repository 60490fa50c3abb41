"""The life of a child, whatever happens to it: never two processes, never for ever in one state, never given up."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.core.actions import Action, Kill, Spawn
from ncs_cluster.core.child import DEVICE_MISSING_S, LONGEST_BACKOFF_S, STABLE_S, Limits, State
from tests.core.onechild import fresh, healthy
from tests.hypothesis_profiles import examples

LIMITS = Limits()
EVENTS = ["start", "stop", "kill", "hello", "ready", "heard", "phase", "lost", "failed", "permanent", "exited", "tick", "retry"]
EVENTS += ["deadline", "away", "restart"]


def spawns(actions: list[Action]) -> int:
    return sum(isinstance(action, Spawn) for action in actions)


@settings(deadline=None, max_examples=examples(300))
@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.floats(0.0, 100.0)), max_size=60))
def test_in_any_order(events: list[tuple[str, float]]) -> None:
    child, now_s, processes = fresh(), 0.0, 0
    for event, dt_s in events:
        now_s += dt_s
        actions: list[Action] = []
        match event:
            case "start":
                actions = child.start(now_s)
            case "stop":
                actions = child.stop(now_s)
            case "restart":
                actions = child.restart(now_s)
            case "kill":
                actions = child.kill(now_s, "test")
            case "hello":
                child.hello(now_s)
            case "ready":
                child.ready(now_s)
            case "heard":
                child.message_received(now_s)
            case "phase":
                child.phase("compiling", now_s)
            case "failed" | "permanent" | "away":
                child.record_failure("because", permanent=event == "permanent", device_missing=event == "away")
            case "lost":
                actions = child.device_lost("it hangs", now_s)
            case "exited":
                before = processes
                processes = 0
                actions = child.exited("exit code 1", now_s)
                assert before or not actions, "what does not run cannot end"
            case "tick":
                actions = child.tick(now_s)
            case "retry":
                actions = child.retry_now(now_s)
            case "deadline" if child.deadline_s is not None:
                now_s = max(now_s, child.deadline_s)
                actions = child.tick(now_s)
                assert actions, "a deadline that has passed leads to something"
        processes += spawns(actions)
        assert processes <= 1, "two processes"
        assert child.alive == (processes == 1)
        if child.state in (State.DOWN, State.FENCED):
            assert child.deadline_s is None
        else:
            assert child.deadline_s is not None
        if child.state is State.BACKOFF and event == "exited" and actions:
            assert child.deadline_s is not None
            # compared as it was added: now + 60 - now need not be 60
            assert now_s + 1.0 <= child.deadline_s <= now_s + LONGEST_BACKOFF_S


def test_after_health_it_is_started_again_at_once() -> None:
    child = healthy()
    assert spawns(child.exited("killed by SIGSEGV", 10.0)) == 1


def test_before_health_it_waits_longer_each_time_and_is_never_given_up() -> None:
    child, now_s, waits = fresh(), 0.0, []
    child.start(now_s)
    for _ in range(12):
        assert not spawns(child.exited("exit code 1", now_s))
        assert child.deadline_s is not None
        waits.append(child.deadline_s - now_s)
        now_s = child.deadline_s
        assert spawns(child.tick(now_s)) == 1
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0]


def test_one_that_often_dies_after_health_waits_too_until_it_has_been_stable() -> None:
    child, now_s, quick = healthy(), 0.0, []
    for _ in range(6):
        now_s += 1.0
        quick.append(spawns(child.exited("exit code 1", now_s)) == 1)
        if not quick[-1]:
            assert child.deadline_s is not None
            now_s = child.deadline_s
            child.tick(now_s)
        child.hello(now_s)
        child.ready(now_s)
    assert quick == [True, True, True, False, False, False]
    assert spawns(child.exited("exit code 1", now_s + STABLE_S)) == 1


def test_each_phase_has_its_deadline_and_what_passes_it_is_killed() -> None:
    child = fresh()
    child.start(0.0)
    for prepare, limit_s in (
        (lambda: None, LIMITS.starting_s),
        (lambda: child.hello(0.0), LIMITS.opening_s),
        (lambda: child.phase("compiling", 0.0), LIMITS.compiling_s),
        (lambda: child.ready(0.0), LIMITS.silent_s),
    ):
        prepare()
        assert child.deadline_s == limit_s
        assert not child.tick(limit_s - 0.01)
    assert any(isinstance(action, Kill) for action in child.tick(LIMITS.silent_s))
    assert child.state is State.KILLED


def test_what_cannot_be_killed_is_fenced_and_comes_back_when_it_is_gone() -> None:
    child = healthy()
    child.kill(1.0, "hangs")
    assert not any(isinstance(action, Kill) for action in child.tick(1.0 + LIMITS.killed_s))
    assert child.state is State.FENCED
    assert not child.start(2.0)
    assert not child.kill(3.0, "again")
    assert spawns(child.exited("killed by SIGKILL", 1000.0)) == 1


def test_an_innocent_death_does_not_count_against_it() -> None:
    child = healthy()
    for number in range(20):
        assert spawns(child.exited("killed by SIGSEGV", float(number), not_at_fault=True)) == 1
        child.hello(float(number))
        child.ready(float(number))
    assert not child.quarantined


def test_one_that_loses_what_it_drives_opens_it_again_and_is_ended_when_that_happens_too_often() -> None:
    child = healthy()
    for now_s in (1.0, 2.0, 3.0):
        assert not any(isinstance(action, Kill) for action in child.device_lost("it hangs", now_s))
        assert child.state is State.OPENING
        assert child.last_error == "it hangs"
        child.ready(now_s + 0.5)
    assert any(isinstance(action, Kill) for action in child.device_lost("it hangs", 4.0))
    assert spawns(child.exited("killed by SIGKILL", 4.1)) == 0
    assert child.state is State.BACKOFF
    calm = healthy()
    for now_s in (STABLE_S + 1, 2 * STABLE_S + 2, 3 * STABLE_S + 3, 4 * STABLE_S + 4, 5 * STABLE_S + 5):
        assert not any(isinstance(action, Kill) for action in calm.device_lost("it hangs", now_s)), (
            "a hang now and then is no habit"
        )
        calm.ready(now_s)


def test_one_whose_stick_is_away_is_not_started_before_it_shows_whether_that_was_pulled() -> None:
    child = healthy()
    child.record_failure("stick 1: the stick was unplugged", permanent=False, device_missing=True)
    assert spawns(child.exited("exit code 1", 10.0)) == 0
    assert child.last_error == "the stick was unplugged", "its own name is said anyway"
    assert spawns(child.tick(10.0 + DEVICE_MISSING_S)) == 1


def test_told_to_stop_it_stays_down() -> None:
    child = healthy()
    child.stop(1.0)
    assert child.exited("exit code 0", 1.2) == []
    assert child.state is State.DOWN
