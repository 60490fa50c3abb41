"""What hosts and collectors read of each other's: only what this version writes, and no path that leads out of a mount."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.fleet.chunk import (
    LARGEST,
    LARGEST_CARRIED,
    Chunk,
    Malformed,
    Offer,
    Parcel,
    Result,
    Root,
    check,
    decoded,
    encoded,
    is_below,
    placed,
)
from ncs_cluster.fleet.film_part import FilmPart
from tests.hypothesis_profiles import examples

CHUNK = Chunk(1, "a1", "40", [Root("photos", b"2024", "")], [(0, b"a.jpg"), (0, b"b/\xff.jpg")])


WHOLE = encoded(CHUNK)


def test_a_chunk_is_read_as_it_was_written() -> None:
    assert decoded(encoded(CHUNK), Chunk) == CHUNK
    check(CHUNK)


@settings(max_examples=examples(300), deadline=None)
@given(st.one_of(st.binary(max_size=200), st.integers(0, 200).map(lambda at: WHOLE[:at] + b"\xff" + WHOLE[at + 1 :])))
def test_other_bytes_are_malformed_or_what_this_version_could_have_written(payload: bytes) -> None:
    for kind in (Chunk, Offer, Result):
        with suppress(Malformed):
            assert decoded(encoded(found := decoded(payload, kind)), kind) == found


def test_a_message_of_another_protocol_or_of_any_length_is_not_read() -> None:
    with pytest.raises(Malformed, match="protocol 7"):
        decoded(encoded(msgspec.structs.replace(CHUNK, protocol=7)), Chunk)
    with pytest.raises(Malformed, match="bytes"):
        decoded(b" " * (LARGEST + 1), Chunk)


@pytest.mark.parametrize("name", [b"/etc/passwd", b"../x", b"a/../../x", b"..", b"a\0b", b""])
def test_an_item_that_is_not_below_its_folder_is_refused(name: bytes) -> None:
    with pytest.raises(Malformed, match="item"):
        check(msgspec.structs.replace(CHUNK, items=[(0, name)]))


def test_only_one_film_has_a_part_and_a_host_that_does_not_know_parts_does_not_read_it() -> None:
    part = Chunk(2, "a1", "40-p1", CHUNK.roots, CHUNK.items[:1], part=FilmPart(300, 300, 12_000.0, 24_000.0))
    check(part)
    assert decoded(encoded(part), Chunk) == part
    for wrong in (msgspec.structs.replace(part, items=CHUNK.items), msgspec.structs.replace(part, protocol=1)):
        with pytest.raises(Malformed, match="part"):
            check(wrong)


@pytest.mark.parametrize("root", [-1, 1])
def test_an_item_of_no_folder_is_refused(root: int) -> None:
    with pytest.raises(Malformed, match="item"):
        check(msgspec.structs.replace(CHUNK, items=[(root, b"a.jpg")]))


def test_a_folder_that_is_not_below_its_mount_is_refused() -> None:
    with pytest.raises(Malformed, match="folder"):
        check(msgspec.structs.replace(CHUNK, roots=[Root("photos", b"../..", "")]))


def test_a_root_is_placed_below_its_mount_and_no_link_leads_out(tmp_path: Path) -> None:
    (tmp_path / "mount" / "2024").mkdir(parents=True)
    (tmp_path / "mount" / "out").symlink_to(tmp_path)
    mounts = {"photos": str(tmp_path / "mount")}
    assert placed(mounts, Root("photos", b"2024", "")) == str(tmp_path / "mount" / "2024")
    assert placed(mounts, Root("photos", b"", "")) == str(tmp_path / "mount")
    for refused in (Root("photos", b"out", ""), Root("photos", b"../mount", ""), Root("films", b"", "")):
        with pytest.raises(Malformed):
            placed(mounts, refused)


def test_dots_in_a_name_are_no_way_up() -> None:
    assert is_below(b"a..b/...jpg")
    assert not is_below(b"a/..")


@pytest.mark.parametrize("sizes", [[1], [1, 2, 3], [1, LARGEST_CARRIED]])
def test_files_that_are_not_those_of_the_items_or_too_large_are_refused(sizes: list[int | None]) -> None:
    with pytest.raises(Malformed, match="files"):
        check(msgspec.structs.replace(CHUNK, parcel=Parcel("0" * 64, sizes)))
    check(msgspec.structs.replace(CHUNK, parcel=Parcel("0" * 64, [None, LARGEST_CARRIED])))
