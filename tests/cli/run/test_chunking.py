"""How a job's items are cut into chunks: each item once, a film alone, and the same cuts from wherever a command goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.cli.run import chunking
from ncs_cluster.errors import ConfigError
from ncs_cluster.fleet.chunk import LARGEST, MOST_ITEMS, Chunk, Root, encoded
from ncs_cluster.jobs.ledger import Failure, Ledger
from ncs_cluster.jobs.ledger import Root as Found
from tests.hypothesis_profiles import examples

PICTURE, FILM, LONG = "a.jpg", "a.mp4", "x" * 4000 + ".jpg"


def book(names: list[str]) -> Ledger:
    made = Ledger(":memory:", create=True)
    made.begin({}, [Found("/nowhere", "", confined=True)], ((0, name.encode()) for name in names), ["jsonl"])
    return made


def numbers(cuts: list[chunking.Cut]) -> list[list[int]]:
    return [[each.item.number for each in cut.items] for cut in cuts]


@settings(max_examples=examples(200), deadline=None)
@given(names=st.lists(st.sampled_from([PICTURE, PICTURE, PICTURE, FILM, LONG]), min_size=1, max_size=60), size=st.integers(1, 50))
def test_each_item_is_in_one_cut_and_later_commands_make_the_same_cuts(names: list[str], size: int) -> None:
    made = book(names)
    whole = numbers(list(chunking.cuts(made, size, 0)))
    assert [number for cut in whole for number in cut] == list(range(len(names)))
    assert all(len(cut) <= size for cut in whole)
    assert all(len(cut) == 1 for cut in whole for number in cut if names[number] == FILM)
    for item in range(len(names)):
        assert numbers(list(chunking.cuts(made, size, item))) == [cut for cut in whole if cut[-1] >= item]


@pytest.mark.parametrize("size", [1, 2, 20])
def test_a_retry_cuts_the_items_that_failed_alone_and_goes_on_where_it_was(size: int) -> None:
    made = book([PICTURE, FILM, *[PICTURE] * 20])
    # the film has three frames
    made.film_begins(1, 1)
    made.film_ends(1, 3)
    made.set_end(24)
    failed = [0, 5, 6, 22, 23]
    for frame in failed:
        made.fail(Failure(frame, None, None, "cannot be read"))
    assert made.begin_retry() == len(failed)
    whole = numbers(list(chunking.retried(made, size, 0)))
    items = [0, 3, 4, 20, 21]
    assert [number for cut in whole for number in cut] == items
    assert all(len(cut) <= size for cut in whole)
    for turn, item in enumerate(items):
        cuts = list(chunking.retried(made, size, turn))
        assert numbers(cuts) == [cut for cut in whole if cut[-1] >= item]
        first = made.turn_of(made.first_frame(cuts[0].first))
        assert (items[first], turn - first < size) == (cuts[0].first, True)
    assert list(chunking.retried(made, size, len(items))) == []
    chunking.check_retry(made)


def test_frames_of_a_film_are_not_tried_again_on_hosts() -> None:
    made = book([PICTURE, FILM])
    made.film_begins(1, 1)
    made.film_ends(1, 3)
    made.set_end(4)
    made.fail(Failure(2, None, None, "cannot be decoded"))
    made.begin_retry()
    with pytest.raises(
        ConfigError, match=r"^--retry-failed: a\.mp4 is a film, whose frames are not tried again on hosts; leave --nats out$"
    ):
        chunking.check_retry(made)


def test_a_chunk_of_the_longest_names_fits_into_a_message() -> None:
    made = book([LONG] * MOST_ITEMS)
    for cut in chunking.cuts(made, MOST_ITEMS, 0):
        items = [(each.root, each.name) for each in cut.items]
        assert len(encoded(Chunk(1, "a", "0", [Root("photos", b"", "")], items))) < LARGEST


@pytest.mark.parametrize(("items", "size"), [(0, 20), (100, 20), (20_000, 333), (10**6, 500)])
def test_a_larger_job_has_larger_chunks(items: int, size: int) -> None:
    assert chunking.size_for(items) == size


def test_roots_are_named_below_the_nearest_mount_through_links_too(tmp_path: Path) -> None:
    (tmp_path / "data" / "photos" / "2024").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data" / "photos")
    made = Ledger(":memory:", create=True)
    roots = [Found(str(tmp_path / "link" / "2024"), "", confined=True), Found(str(tmp_path / "data"), "data", confined=False)]
    made.begin({}, roots, iter([(0, b"a.jpg")]), ["jsonl"])
    mounts = {"data": str(tmp_path / "data"), "photos": str(tmp_path / "link")}
    assert chunking.roots(made, mounts) == [Root("photos", b"2024", ""), Root("data", b"", "data")]
    with pytest.raises(ConfigError, match=r"^[^\n]+: is below no mount; name one above it by --mount"):
        chunking.roots(made, {"photos": str(tmp_path / "link")})


def test_only_a_job_with_films_asks_more_of_its_hosts() -> None:
    assert chunking.has_films(book([PICTURE, "b/c.MKV"]))
    assert not chunking.has_films(book([PICTURE, "mp4.jpg"]))


@pytest.mark.parametrize("name", ["/data/a.jpg", "../a.jpg", "b/../../a.jpg"])
def test_a_name_that_hosts_could_not_find_below_a_mount_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^[^\n]+: hosts need names below a folder"):
        chunking.check(book([PICTURE, name]))
    chunking.check(book([PICTURE, os.path.join("b", "..a.jpg")]))
