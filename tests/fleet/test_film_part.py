"""How a film is cut into parts: each frame is in one of them, whatever its packets say; and which parts join."""

from __future__ import annotations

import bisect
import itertools
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.fleet.film_part import FROM_START, LEAST, MOST_PARTS, Edge, FilmPart, divided, joins

EDGE = Edge(40, 1600.0, 0, "x86_64 OpenCV 5.0.0", "ab" * 32, bytes(range(192)))


def at_even_times(count: int, keys: int) -> list[FilmPart]:
    """The parts of a film with so many frames from one keyframe to the next."""
    return divided([number * 40.0 for number in range(count)], [number % keys == 0 for number in range(count)])


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(0, 4000),
    keys=st.integers(1, 900),
    reorder=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
    lacking=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
)
def test_each_frame_is_in_one_part_and_no_part_is_short(count: int, keys: int, reorder: int, seed: int, lacking: float) -> None:
    chance = random.Random(seed)
    times, at_ms = list[float](), 0.0
    for _ in range(count):
        times.append(0.0 if chance.random() < lacking else at_ms)
        at_ms += chance.choice([33.3, 40.0, 400.0])
    stored = [
        time for at in range(0, count, reorder) for time in chance.sample(times[at : at + reorder], len(times[at : at + reorder]))
    ]
    parts = divided(stored, [number % keys == 0 for number in range(count)])
    assert parts[0].first == 0
    assert parts[0].begin_ms is None
    assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
    for part, following in itertools.pairwise(parts):
        assert part.first + part.frames == following.first
        assert (part.end_ms, part.behind) in ((following.begin_ms, None), (None, following.first))
    shown = sorted({*times})
    for part in parts[1:]:
        assert part.begin_ms is None or bisect.bisect_left(shown, part.begin_ms) == part.first
    assert len(parts) <= MOST_PARTS + 1
    assert len(parts) == 1 or min(part.frames for part in parts) >= LEAST // 2


def test_parts_begin_at_keyframes_that_are_near_and_elsewhere_where_none_is() -> None:
    assert [part.first for part in at_even_times(2000, 200)] == [0, 400, 800, 1200, 1600]
    assert [part.first for part in at_even_times(1300, 700)] == [0, 300, 700, 1000]
    assert at_even_times(2 * LEAST - 1, 10) == [FilmPart(0, 2 * LEAST - 1)]


def test_a_film_in_which_hosts_cannot_seek_is_cut_into_few_parts() -> None:
    times = [number * 40.0 for number in range(4000)]
    assert [part.first for part in divided(times, [True] * 4000, seeks=False)] == [0, 1000, 2000, 3000]
    one_key = [number == 0 for number in range(4000)]
    assert [part.first for part in divided(times, one_key)] == [0, 1000, 2000, 3000]


def test_a_film_without_times_is_cut_by_numbers_into_few_parts() -> None:
    parts = divided([0.0] * 4000, [True] * 4000)
    assert parts == [FilmPart(0, 1000, behind=1000), FilmPart(1000, 1000, behind=2000), *parts[2:]]
    assert (len(parts), parts[-1]) == (FROM_START, FilmPart(3000, 1000))


@pytest.mark.parametrize(
    "other",
    [
        {"time_ms": 1640.0},
        {"pending": 1},
        {"sha256": "cd" * 32},
        {"decoder": "aarch64 OpenCV 5.0.0", "small": bytes(192)},
        {"decoder": "aarch64 OpenCV 5.0.0", "small": b""},
    ],
)
def test_parts_that_tell_of_different_frames_do_not_join(other: dict[str, object]) -> None:
    assert joins(EDGE, EDGE)
    assert not joins(EDGE, msgspec.structs.replace(EDGE, **other))
    assert not joins(None, EDGE)
    assert not joins(EDGE, None)


def test_another_processor_may_round_colours_differently() -> None:
    other = msgspec.structs.replace(EDGE, decoder="aarch64 OpenCV 5.0.0", sha256="cd" * 32, number=41)
    assert joins(EDGE, msgspec.structs.replace(other, small=bytes(each ^ 1 for each in EDGE.small)))
