"""Sticks that answer the known picture differently from most are quarantined; where there is no majority, it is told."""

from __future__ import annotations

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, Kill, LogEvent
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.known_answers import KnownAnswers, equal
from ncs_cluster.types import StickId
from tests.core.oneworkers import WorkersSetup

RIGHT, CLOSE, OTHER, THIRD = [[1.0, 200.0]], [[1.01, 201.0]], [[1.0, 100.0]], [[1.0, 10.0]]
UNLIKE = "gives another answer to the known picture than most sticks"


def opened(setup: WorkersSetup, number: int, answers: list[list[float]], now_s: float = 3.0) -> list[Action]:
    """A stick's worker has opened it."""
    setup.receive(number, m.Hello(m.PROTOCOL, 100 + number, "3.11"), now_s - 1.0)
    for each in setup.sticks.due(now_s - 1.0):
        setup.sticks.open(each, now_s - 1.0)
    return setup.receive(number, m.StickOpened("a device", False, 4, None, True, 1, answers), now_s)


def test_figures_within_two_percent_are_the_same() -> None:
    assert equal(RIGHT, CLOSE)
    assert not equal(RIGHT, OTHER)
    assert not equal(RIGHT, [*RIGHT, [0.0]])
    assert equal([[0.0, 100.0]], [[1.9, 100.0]]), "of the graph's largest figure"


@pytest.mark.parametrize(
    ("answers", "differ", "wrong"),
    [
        ([RIGHT], [], []),
        ([RIGHT, CLOSE, RIGHT], [], []),
        ([RIGHT, OTHER], [1], []),
        ([RIGHT, RIGHT, OTHER], [1, 2], [3]),
        ([OTHER, RIGHT, RIGHT], [1], [1]),
        ([RIGHT, RIGHT, OTHER, OTHER], [1, 2], []),
        ([RIGHT, OTHER, THIRD], [1, 2], []),
        ([RIGHT, RIGHT, RIGHT, OTHER, THIRD], [1, 2, 3, 4], [4, 5]),
        ([RIGHT, RIGHT, []], [], []),
    ],
)
def test_all_that_differ_from_a_majority_are_wrong(answers: list[list[list[float]]], differ: list[int], wrong: list[int]) -> None:
    known = KnownAnswers()
    for number, each in enumerate(answers, 1):
        known.set(StickId(str(number)), "xlink", each)
    assert known.differing(StickId(str(len(answers)))) == ([str(n) for n in differ], [str(n) for n in wrong])


def test_sticks_of_other_backends_and_forgotten_ones_are_not_compared() -> None:
    known = KnownAnswers()
    known.set(StickId("1"), "myriad", OTHER)
    known.set(StickId("2"), "xlink", OTHER)
    known.forget(StickId("2"))
    known.forget(StickId("9"))
    known.set(StickId("3"), "xlink", RIGHT)
    assert known.differing(StickId("3")) == ([], [])


def test_a_stick_unlike_two_others_is_quarantined_and_gets_no_frame() -> None:
    setup = WorkersSetup(3)
    for number, answers in ((1, RIGHT), (2, CLOSE)):
        assert not any(isinstance(action, Kill) for action in opened(setup, number, answers))
    worker = Endpoint("worker", "sim-3")
    actions = opened(setup, 3, OTHER)
    assert [action for action in actions if isinstance(action, (Kill, LogEvent))][-2:] == [
        LogEvent("warning", "worker sim-3", f"killed: {UNLIKE}"),
        Kill(worker),
    ]
    setup.receive(3, e.Exited("killed by SIGKILL", -9), 3.1)
    child = setup[3].child
    assert (child.quarantined, child.last_error, child.deadline_s) == (True, UNLIKE, 63.1)
    assert "sim-3" not in setup.dispatcher.queues


def test_of_two_sticks_that_differ_both_work_and_it_is_told() -> None:
    setup = WorkersSetup(2)
    opened(setup, 1, RIGHT)
    actions = opened(setup, 2, OTHER)
    text = "gives another answer to the known picture than sim-1: one of them computes wrongly"
    assert LogEvent("warning", "sim-2", text) in actions
    assert not any(isinstance(action, Kill) for action in actions)


def test_a_stick_that_reports_a_wrong_answer_is_quarantined_however_long_it_has_worked() -> None:
    setup = WorkersSetup(1)
    opened(setup, 1, RIGHT)
    assert setup.receive(1, m.Failed("wrong", "a known picture gives nothing but zeros"), 500.0) == []
    setup.receive(1, e.Exited("exit code 1", 1), 500.1)
    child = setup[1].child
    assert (child.quarantined, child.last_error, child.deadline_s) == (True, "a known picture gives nothing but zeros", 560.1)
