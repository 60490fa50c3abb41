"""Frigate's entries and sticks in virtual time: work is done in time, not in vain."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.processes.frigate.admission import Admission

DEADLINE_S = 0.18


class Everything(Admission):
    """Without a limit."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = 1000

    def may_start(self, sticks: int) -> bool:
        return True

    def worth(self, left_s: float, now_s: float) -> bool:
        return True


def world(
    entries: int, sticks: Callable[[float], int], latency_s: float, seconds: float, admission: Admission
) -> list[tuple[float, bool]]:
    """When each frame was answered, and whether by a stick. Each entry sends a frame, waits for its answer, and sends the next;
    `sticks(now_s)` of them work, each on one frame for `latency_s`; a frame that is late stays on its stick to the end."""
    numbers = itertools.count()
    events: list[tuple[float, int, str, int]] = []
    answers: list[tuple[float, bool]] = []
    sent: dict[int, float] = {}
    started: dict[int, float] = {}
    waiting: deque[int] = deque()
    queue: deque[int] = deque()
    busy = 0
    now_s = 0.0

    def send() -> None:
        frame = next(numbers)
        sent[frame] = now_s
        waiting.append(frame)
        heapq.heappush(events, (now_s + DEADLINE_S, frame, "deadline", frame))

    def end(frame: int, found: bool) -> None:
        del sent[frame]
        answers.append((now_s, found))
        # the network, and Frigate's own work
        heapq.heappush(events, (now_s + 0.002, next(numbers), "send", 0))

    for _ in range(entries):
        send()
    while now_s < seconds:
        while waiting and (waiting[-1] not in sent or admission.may_start(sticks(now_s))):
            frame = waiting.pop()
            if frame not in sent:
                continue
            if not admission.worth(sent[frame] + DEADLINE_S - now_s, now_s):
                end(frame, False)
                continue
            admission.started(now_s)
            started[frame] = now_s
            queue.append(frame)
        while queue and busy < sticks(now_s):
            frame = queue.popleft()
            if frame in started:
                busy += 1
                heapq.heappush(events, (now_s + latency_s, next(numbers), "done", frame))
        now_s, _, what, frame = heapq.heappop(events)
        if what == "send":
            send()
        elif what == "done":
            busy -= 1
            if frame in sent:
                admission.answered(now_s - started.pop(frame), DEADLINE_S)
                end(frame, True)
        elif frame in sent:
            if started.pop(frame, None) is not None:
                admission.late(DEADLINE_S, now_s)
            end(frame, False)
    return answers


def rate(answers: list[tuple[float, bool]], since_s: float, until_s: float) -> float:
    """Frames per second that a stick has answered in time."""
    return sum(found for at_s, found in answers if since_s <= at_s < until_s) / (until_s - since_s)


def test_without_a_limit_a_stick_with_two_entries_works_for_nothing() -> None:
    answers = world(2, lambda now_s: 1, 0.1, 20.0, Everything())
    assert rate(answers, 5.0, 20.0) < 1.0


@pytest.mark.parametrize(
    ("entries", "sticks", "latency_s"),
    [(1, 1, 0.1), (2, 1, 0.1), (8, 1, 0.1), (5, 4, 0.05), (16, 4, 0.05), (4, 4, 0.15), (8, 4, 0.15), (3, 2, 0.17), (40, 3, 0.03)],
)
def test_the_sticks_answer_as_many_frames_in_time_as_they_can(entries: int, sticks: int, latency_s: float) -> None:
    answers = world(entries, lambda now_s: sticks, latency_s, 30.0, Admission())
    possible = min(entries, sticks) / (latency_s + (0.002 if entries <= sticks else 0.0))
    assert rate(answers, 5.0, 30.0) >= 0.9 * possible


def test_sticks_that_go_and_come_back_are_used_again() -> None:
    answers = world(4, lambda now_s: 1 if 20.0 <= now_s < 40.0 else 4, 0.1, 60.0, Admission())
    assert rate(answers, 5.0, 20.0) >= 0.95 * 4 / 0.102
    assert rate(answers, 25.0, 40.0) >= 0.9 * 1 / 0.102
    assert rate(answers, 45.0, 60.0) >= 0.95 * 4 / 0.102


def test_after_a_time_in_which_all_were_late_frames_are_answered_again() -> None:
    slow = Admission()
    slow.expected_s, slow.limit = 0.2, 1
    assert rate(world(3, lambda now_s: 2, 0.05, 20.0, slow), 5.0, 20.0) >= 0.9 * 2 / 0.05


def test_sticks_that_are_slower_than_the_deadline_get_one_frame_after_the_other() -> None:
    admission = Admission()
    answers = world(4, lambda now_s: 2, 0.5, 20.0, admission)
    assert not any(found for _, found in answers)
    assert admission.limit == 1


@given(st.integers(1, 12), st.lists(st.integers(0, 5), min_size=1, max_size=6), st.floats(0.005, 0.4))
def test_every_frame_is_answered_before_its_deadline_and_the_books_are_right(
    entries: int, sticks: list[int], latency_s: float
) -> None:
    admission = Admission()
    answers = world(entries, lambda now_s: sticks[int(now_s) % len(sticks)], latency_s, 6.0, admission)
    assert len(answers) >= entries * int(6.0 / (DEADLINE_S + 0.002)) - entries
    assert 0 <= admission.open <= entries
    assert admission.limit >= 1
