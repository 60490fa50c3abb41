"""Whether inferences succeed: exact notes at the begin and the end of a time in which each one fails."""

from __future__ import annotations

import pytest

from ncs_cluster.core.actions import LogEvent
from ncs_cluster.core.inference_health import InferenceHealth

FAILS = LogEvent("error", "daemon", "every inference fails: no blob")
AGAIN = LogEvent("info", "daemon", "inferences succeed again")


def failing() -> InferenceHealth:
    """Failures at 100, 103 and 106 s, of which the note was made."""
    inferences = InferenceHealth()
    for now_s in (100.0, 103.0, 106.0):
        inferences.failed("no blob", now_s)
    assert inferences.report(106.0) == [FAILS]
    return inferences


def test_at_first_there_is_nothing_to_say() -> None:
    inferences = InferenceHealth()
    assert (inferences.last_good_s, inferences.failing(0.0), inferences.report(0.0)) == (None, None, [])


def test_the_time_of_the_last_success_is_kept() -> None:
    inferences = InferenceHealth()
    inferences.succeeded(7.0)
    inferences.failed("no blob", 8.0)
    assert inferences.last_good_s == 7.0


@pytest.mark.parametrize(
    ("first_s", "last_s", "now_s", "fails"),
    [
        (100.0, 105.0, 105.0, False),
        (100.0, 105.0, 105.001, True),
        (100.0, 105.0, 109.999, True),
        (100.0, 105.0, 110.0, False),
        (100.0, 100.0, 106.0, False),
    ],
)
def test_inferences_fail_after_more_than_five_seconds_of_errors_of_which_the_last_is_younger(
    first_s: float, last_s: float, now_s: float, fails: bool
) -> None:
    inferences = InferenceHealth()
    inferences.failed("no blob", first_s)
    inferences.failed("no blob", last_s)
    assert inferences.failing(now_s) == ("every inference fails: no blob" if fails else None)


def test_the_note_names_the_newest_error() -> None:
    inferences = InferenceHealth()
    inferences.failed("one", 100.0)
    inferences.failed("two", 105.5)
    assert inferences.failing(105.5) == "every inference fails: two"


def test_a_success_between_errors_begins_the_five_seconds_anew() -> None:
    inferences = InferenceHealth()
    inferences.failed("no blob", 100.0)
    inferences.succeeded(104.0)
    inferences.failed("no blob", 105.0)
    inferences.failed("no blob", 109.0)
    assert inferences.failing(110.0) is None
    assert inferences.failing(110.001) == "every inference fails: no blob"


def test_failing_is_noted_once_when_it_begins_and_once_when_a_success_ends_it() -> None:
    inferences = failing()
    assert inferences.report(107.0) == []
    inferences.succeeded(108.0)
    assert inferences.report(108.0) == [AGAIN]
    assert inferences.report(109.0) == []


def test_errors_that_merely_come_to_an_end_are_not_noted_as_success() -> None:
    inferences = failing()
    assert inferences.report(111.0) == []
    for now_s in (120.0, 125.5):
        inferences.failed("no blob", now_s)
    assert inferences.report(125.5) == [FAILS], "from the first error on, at 100 s"


def test_a_success_before_the_errors_does_not_count_as_their_end() -> None:
    inferences = InferenceHealth()
    inferences.succeeded(99.0)
    assert inferences.report(99.0) == []
    inferences.failed("no blob", 100.0)
    inferences.failed("no blob", 106.0)
    assert inferences.report(106.0) == [FAILS]
    assert inferences.report(111.0) == []
