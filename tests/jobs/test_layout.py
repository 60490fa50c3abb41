"""Where the frames of a job lie: from its ledger alone, as its records name them; and over the parts of a job."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.jobs import layout
from ncs_cluster.jobs.layout import Frame
from ncs_cluster.jobs.ledger import Failure, Ledger, Root
from tests.hypothesis_profiles import examples

lengths = st.lists(st.one_of(st.none(), st.integers(1, 4)), max_size=9)
"""Of each item: None is a picture, a number is a film of so many frames."""


def book(of: list[int | None]) -> Ledger:
    made, first = Ledger(":memory:", create=True), 0
    made.begin({}, [Root("/", "", confined=False)], ((0, b"%d" % number) for number in range(len(of))), ["csv"])
    for item, length in enumerate(of):
        if length is not None:
            made.film_begins(item, first)
            made.film_ends(item, length)
        first += length or 1
    return made


@settings(max_examples=examples(200), deadline=None)
@given(of=lengths, failed=st.frozensets(st.integers(0, 30)), first=st.integers(0, 40), count=st.integers(0, 40))
def test_frames_are_named_as_their_records_name_them_from_any_frame_on(
    of: list[int | None], failed: frozenset[int], first: int, count: int
) -> None:
    made = book(of)
    places = [(str(item), None if length is None else number) for item, length in enumerate(of) for number in range(length or 1)]
    expected = [Frame(number, *place, number in failed) for number, place in enumerate(places)]
    for number in failed & set(range(len(places))):
        made.fail(Failure(number, *places[number], "is torn"))
    assert layout.total(made) == len(expected)
    assert list(layout.frames(made)) == expected
    if first < len(expected):
        assert list(layout.frames(made, first, first + count)) == expected[first : first + count]
        assert list(layout.frames(made, first)) == expected[first:]


def test_a_failed_frame_is_named_as_its_record_was() -> None:
    made = book([None, 1, 3])
    made.fail(Failure(1, "1", None, "cannot be opened"))
    made.fail(Failure(3, None, None, "the camera process crashed"))
    assert list(layout.frames(made)) == [
        Frame(0, "0", None, False),
        Frame(1, "1", None, True),
        Frame(2, "2", 0, False),
        Frame(3, None, None, True),
        Frame(4, "2", 2, False),
    ]
    assert list(layout.films(made)) == ["2"]


def test_a_film_whose_first_frame_crashed_its_reader_was_opened() -> None:
    made = book([2])
    made.fail(Failure(0, None, None, "the camera process crashed"))
    assert list(layout.films(made)) == ["0"]


@settings(max_examples=examples(200), deadline=None)
@given(of=lengths, parts=st.integers(1, 12))
def test_the_order_over_parts_is_that_of_the_items_whatever_their_lengths(of: list[int | None], parts: int) -> None:
    expected = [item % parts for item, length in enumerate(of) for _ in range(length or 1)]
    assert list(layout.order([book(of[part::parts]) for part in range(parts)])) == expected


def test_more_items_than_are_read_at_once_keep_their_order() -> None:
    of: list[int | None] = [None] * 999 + [2] * 1002 + [None] * 5
    made = book(of)
    names = [str(item) for item, length in enumerate(of) for _ in range(length or 1)]
    assert [frame.item for frame in layout.frames(made)] == names
    assert [frame.item for frame in layout.frames(made, 1500)] == names[1500:]
