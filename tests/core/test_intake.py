"""Pictures that other programs send: each is answered once, by itself, whatever happens to sticks and to the process that asks."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action, Send
from ncs_cluster.core.events import GATEWAY, Endpoint
from ncs_cluster.core.intake import AHEAD, Intake
from ncs_cluster.testing.world import World, installation
from ncs_cluster.types import CameraName, FrameRef, GraphName, Outcome, Tensor
from tests.hypothesis_profiles import examples

WORKER = Endpoint("worker", "sim-1")


def world(every_s: float, *, sticks: int = 2, cameras: tuple[str, ...] = (), patience_s: float = 0.0) -> World:
    made = World(installation(sticks=sticks, cameras=cameras, gateway=True, results=False))
    made.clients.every_s, made.clients.patience_s = every_s, patience_s
    return made.start()


def intake(of: World) -> Intake:
    return of.engine.intakes.by_name["api"]


def quiet(of: World) -> None:
    """No more pictures; those that are open end."""
    of.clients.every_s = 1e9
    of.run(30.0)


def test_each_picture_has_one_answer_and_the_sticks_are_busy() -> None:
    them = world(0.03)
    them.run(20.0)
    at_s, before = them.now_s, sum(stick.done for stick in them.sticks.values())
    them.run(20.0)
    assert (sum(stick.done for stick in them.sticks.values()) - before) / (them.now_s - at_s) == pytest.approx(20.0, rel=0.03)
    quiet(them)
    assert them.clients.asked > 500
    assert all(len(them.clients.answers[number]) == 1 for number in range(them.clients.asked))
    assert all(not each[0].outcome.error and each[0].stick for each in them.clients.answers.values())
    assert (intake(them).answered, intake(them).asks, them.engine.tally.open, them.torn) == (them.clients.asked, {}, set(), 0)


def test_answers_wait_for_no_other() -> None:
    them = world(0.05)
    them.sticks["sim-1"].latency_s = 1.0
    them.run(20.0)
    order = list(them.clients.answers)
    assert order != sorted(order)


def test_a_picture_that_is_withdrawn_has_no_answer_and_its_slot_is_free_again() -> None:
    them = world(0.02, patience_s=0.5)
    them.sticks["sim-1"].latency_s = them.sticks["sim-2"].latency_s = 0.4
    them.run(30.0)
    quiet(them)
    assert len(them.clients.withdrawn) > 50
    late = [number for number in them.clients.withdrawn if them.clients.answers[number]]
    # an answer may cross its withdrawal
    assert len(late) <= 3
    assert intake(them).withdrawn >= len(them.clients.withdrawn) - len(late)
    assert (intake(them).asks, them.engine.tally.open, them.engine.tally.lost, them.torn) == ({}, set(), 0, 0)
    slots = intake(them).slots
    assert slots is not None
    assert (slots.leased, slots.granted) == (0, AHEAD)


def test_no_more_are_open_than_keep_the_sticks_busy() -> None:
    them = world(0.001)
    them.run(10.0)
    assert them.clients.refused > 1000
    assert len(intake(them).asks) <= 8


def test_a_new_process_of_the_gateway_begins_anew_and_nothing_is_left_of_the_old_one() -> None:
    them = world(0.02)
    them.run(10.0)
    them.crash(GATEWAY)
    them.run(0.1)
    assert intake(them).asks == {}
    asked = them.clients.asked
    them.run(30.0)
    assert them.clients.asked > asked
    quiet(them)
    assert all(len(them.clients.answers[number]) == 1 for number in range(asked, them.clients.asked))
    assert (them.engine.tally.open, them.engine.tally.lost, them.torn) == (set(), 0, 0)


def test_a_picture_that_crashes_three_workers_is_answered_with_the_reason() -> None:
    them = world(0.1, sticks=3)
    for stick in ("sim-1", "sim-2", "sim-3"):
        them.sticks[stick].poison = lambda frame: frame.frame == 20
    them.run(60.0)
    (answer,) = them.clients.answers[20]
    assert answer.outcome.error is not None
    assert answer.outcome.error.startswith("given up: 3 stick failures")
    assert not them.clients.answers[21][0].outcome.error


def test_a_picture_for_an_unknown_graph_is_refused() -> None:
    them = world(0.1)
    them.clients.graph = "another"
    them.run(5.0)
    assert {each[0].outcome.error for each in them.clients.answers.values()} == {"there is no graph another"}
    assert (intake(them).asks, them.engine.tally.open) == ({}, set())


def test_a_slot_that_was_not_granted_is_refused_and_said() -> None:
    them = world(1e6)
    them.run(5.0)
    them.deliver(GATEWAY, m.Ask(GraphName("demo"), FrameRef(CameraName("api"), 1, 200, 5, 640, 480)))
    assert "asked with slot 200 of pool 1, not granted: ignored" in them.log_text
    assert intake(them).asks == {}


def test_pictures_at_the_end_of_the_daemon_are_finished_or_answered_with_the_reason() -> None:
    them = world(0.02)
    them.run(10.0)
    them.ask_stop()
    them.run(10.0)
    assert them.exit_code == 0
    given = {number: each[0].outcome.error for number, each in them.clients.answers.items() if each}
    assert set(given.values()) == {None, "the daemon is stopping"}
    assert set(given) == set(range(them.clients.asked))


def test_the_tensors_of_a_raw_answer_are_passed_on() -> None:
    them = world(1e6, sticks=1)
    them.run(5.0)
    slots = intake(them).slots
    assert slots is not None
    process = them.processes[GATEWAY]
    grant = next(each for each in process.received if isinstance(each, m.Grant))
    sent: list[m.Infer] = []

    def watch(action: Action) -> None:
        if isinstance(action, Send) and isinstance(action.message, m.Infer):
            sent.append(action.message)

    them.watchers.append(watch)
    them.deliver(GATEWAY, m.Ask(GraphName("demo"), FrameRef(CameraName("api"), grant.pool, grant.slot, 0, 640, 480), raw=True))
    (infer,) = sent
    assert infer.raw
    them.deliver(WORKER, m.Inferred(infer.ticket, Outcome(), 0.04, [Tensor("boxes", [1, 2, 3])]))
    them.run(0.01)
    (answer,) = them.clients.answers[0]
    assert (answer.outputs, answer.stick, answer.latency_s) == ([Tensor("boxes", [1, 2, 3])], "sim-1", 0.04)


MISFORTUNES = st.sampled_from(["crash worker", "hang", "unplug", "plug", "hot", "cool", "crash gateway", "stall", "wait"])


@given(st.lists(st.tuples(MISFORTUNES, st.integers(1, 3), st.floats(0.0, 3.0)), max_size=25), st.booleans())
@settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_happens_each_picture_ends_once(happens: list[tuple[str, int, float]], impatient: bool) -> None:
    them = world(0.1, sticks=3, patience_s=1.0 if impatient else 0.0)
    them.run(2.0)
    for what, number, for_s in happens:
        stick = f"sim-{number}"
        if what == "crash worker":
            them.crash(Endpoint("worker", stick))
        elif what == "hang":
            them.sticks[stick].hangs = True
        elif what == "unplug":
            them.unplug(stick)
        elif what == "plug":
            them.plug(stick)
        elif what in ("hot", "cool"):
            them.sticks[stick].temperature_c = 80.0 if what == "hot" else 40.0
        elif what == "crash gateway":
            them.crash(GATEWAY)
        elif what == "stall":
            them.stall(for_s)
        them.run(for_s)
        assert (them.engine.tally.doubled, them.engine.tally.lost, them.torn) == (0, 0, 0)
    for number in (1, 2, 3):
        them.plug(f"sim-{number}")
        them.sticks[f"sim-{number}"].hangs = False
        them.sticks[f"sim-{number}"].temperature_c = 40.0
    them.run(200.0)
    assert all(len(each) <= 1 for each in them.clients.answers.values())
    before = intake(them).answered
    them.run(5.0)
    assert intake(them).answered > before
