"""Events that repeat are counted and told together."""

from __future__ import annotations

from ncs_cluster.core.actions import LogEvent
from ncs_cluster.processes.repeats import MOST_KINDS, Repeats


def retry(wait_s: int, origin: str = "worker sim-1") -> LogEvent:
    return LogEvent("warning", origin, f"ended (exit code 1), next try in {wait_s} s")


def test_texts_that_differ_in_numbers_are_told_twice_and_then_together() -> None:
    repeats = Repeats()
    assert [repeats.passes(retry(2**n), float(n)) for n in range(5)] == [True, True, False, False, False]
    assert repeats.passes(retry(1, "worker sim-2"), 5.0), "another origin"
    assert repeats.due(29.9) == []
    text = "5 times in 30 s: ended (exit code 1), next try in 16 s"
    assert repeats.due(30.0) == [LogEvent("warning", "worker sim-1", text, group="")]


def test_what_goes_on_is_told_once_in_each_window_and_what_has_ended_is_news_again() -> None:
    repeats = Repeats()
    for n in range(3):
        repeats.passes(retry(60), float(n))
    assert len(repeats.due(30.0)) == 1
    assert not repeats.passes(retry(60), 40.0)
    (goes_on,) = repeats.due(60.0)
    assert goes_on.text.startswith("3 times in 30 s")
    assert repeats.due(90.0) == []
    assert repeats.passes(retry(60), 91.0)


def test_a_group_counts_events_of_all_origins() -> None:
    repeats = Repeats()
    told = [repeats.passes(LogEvent("info", f"sim-{n}", f"too hot ({n} C)", "times a stick was too hot"), 0.0) for n in range(12)]
    assert told.count(True) == 2
    assert repeats.due(31.0) == [LogEvent("info", "clusters", "12 times a stick was too hot in 30 s", group="")]


def test_an_event_that_is_never_grouped_is_told_each_time() -> None:
    repeats = Repeats()
    assert all(repeats.passes(LogEvent("info", "clusters", "switch to sim-1", ""), 0.0) for _ in range(100))
    assert repeats.due(100.0) == []


def test_what_is_kept_of_kinds_is_bounded() -> None:
    repeats = Repeats()
    for n in range(2 * MOST_KINDS):
        for _ in range(3):
            repeats.passes(LogEvent("info", "x", chr(0x4E00 + n)), 0.0)
    assert len(repeats.due(30.0)) == MOST_KINDS
