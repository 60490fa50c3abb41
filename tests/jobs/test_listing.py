"""What a SOURCE of `ncsctl run` means: which files, in which order, under which names."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pytest

from ncs_cluster.errors import ConfigError
from ncs_cluster.jobs.listing import Items, named

WANTED = (".jpg", ".avi")


def listed(*sources: str, stdin: bytes = b"", part: int = 1, parts: int = 1) -> list[str]:
    found = named(sources, io.BytesIO(stdin), WANTED)
    return [os.path.join(found[index].root.prefix, os.fsdecode(name)) for index, name in Items(found, part, parts)]


def paths(*sources: str, stdin: bytes = b"") -> list[str]:
    found = named(sources, io.BytesIO(stdin), WANTED)
    return [os.path.join(found[index].root.folder, os.fsdecode(name)) for index, name in Items(found)]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a/10.jpg", "a/2.jpg", "a/sub/1.JPG", "a/notes.md", "a/.hidden/1.jpg", "a/.1.jpg", "b/2.jpg", "b/film.avi"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_means_its_pictures_and_films_in_natural_order_named_below_it(tree: Path) -> None:
    assert listed("a") == ["2.jpg", "10.jpg", "sub/1.JPG"]
    assert paths("a") == [str(tree / "a" / name) for name in ("2.jpg", "10.jpg", "sub/1.JPG")]


def test_equal_names_of_two_folders_stay_apart(tree: Path) -> None:
    assert listed("a", "b") == ["a/2.jpg", "a/10.jpg", "a/sub/1.JPG", "b/2.jpg", "b/film.avi"]


def test_a_file_is_taken_whatever_it_is_called(tree: Path) -> None:
    assert listed("a/notes.md") == ["a/notes.md"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a/*.jpg", ["a/2.jpg", "a/10.jpg"]),
        ("*/2.jpg", ["a/2.jpg", "b/2.jpg"]),
        ("**/*.jpg", ["a/2.jpg", "a/10.jpg", "b/2.jpg"]),
        ("a/**", ["a/2.jpg", "a/10.jpg", "a/notes.md", "a/sub/1.JPG"]),
        ("a/[0-9].jpg", ["a/2.jpg"]),
        ("a/?0.jpg", ["a/10.jpg"]),
        ("no/*.jpg", []),
    ],
)
def test_a_pattern_means_the_files_that_match_folder_by_folder(tree: Path, pattern: str, found: list[str]) -> None:
    assert sorted(listed(pattern)) == sorted(found)
    assert listed(pattern) == listed(pattern)


@pytest.mark.parametrize("pattern", ["**/**/*.jpg", "**/s*/**", "a/**/**", "**/**"])
def test_a_file_that_a_pattern_matches_in_several_ways_is_one_item(tree: Path, pattern: str) -> None:
    (tree / "a/sub/some/s3").mkdir(parents=True)
    (tree / "a/sub/some/s3/4.jpg").touch()
    found = listed(pattern)
    assert "a/sub/some/s3/4.jpg" in found
    assert len(found) == len(set(found))


def test_an_absolute_pattern_gives_absolute_names(tree: Path) -> None:
    assert listed(f"{tree}/b/*") == [f"{tree}/b/2.jpg", f"{tree}/b/film.avi"]


def test_a_list_file_names_files_beside_it_one_a_line_in_its_own_order(tree: Path) -> None:
    (tree / "a/list.txt").write_bytes(b"\xef\xbb\xbfsub/1.JPG\r\n\n2.jpg\n/abs x.jpg\n  \nno end")
    assert listed("a/list.txt") == ["sub/1.JPG", "2.jpg", "/abs x.jpg", "no end"]
    assert paths("a/list.txt")[:3] == [f"{tree}/a/sub/1.JPG", f"{tree}/a/2.jpg", "/abs x.jpg"]


def test_standard_input_is_a_list_whose_files_are_below_the_working_folder(tree: Path) -> None:
    assert listed("-", stdin=b"b/2.jpg\n\xff.jpg\n") == ["b/2.jpg", os.fsdecode(b"\xff.jpg")]
    assert paths("-", stdin=b"b/2.jpg\n") == [f"{tree}/b/2.jpg"]


@pytest.mark.parametrize("junk", [b"a" * 5000, b"a\0b\n", b"ok.jpg\n" + b"b" * 9000], ids=["long", "zero byte", "long later"])
def test_what_is_no_list_is_refused_in_one_line(tree: Path, junk: bytes) -> None:
    with pytest.raises(ConfigError, match="is no list of paths"):
        listed("-", stdin=junk)


def test_shards_take_turns_and_are_the_whole_together(tree: Path) -> None:
    whole = listed("a", "b")
    assert [listed("a", "b", part=part, parts=3) for part in (1, 2, 3)] == [whole[0::3], whole[1::3], whole[2::3]]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("nothing.jpg", "there is no such file or folder"),
        ("rtsp://host/stream", "a stream has no end"),
        ("/dev/null", "is neither a file nor a folder"),
    ],
)
def test_a_source_that_is_none_is_refused_in_one_line(tree: Path, source: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        listed(source)


def test_a_folder_that_may_not_be_listed_is_an_item_which_then_fails(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def closed(path: str) -> object:
        if path.endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert listed("a") == ["2.jpg", "10.jpg", "sub"]


def test_links_to_folders_are_not_followed(tree: Path) -> None:
    (tree / "a/loop").symlink_to(tree / "a")
    assert listed("a") == ["2.jpg", "10.jpg", "sub/1.JPG"]


def test_all_parts_know_the_names_and_the_count_of_all_items_wherever_the_folder_is(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.copytree(tree / "a", elsewhere)
    found = [Items(named([str(elsewhere)], io.BytesIO(), WANTED), part, 3) for part in (1, 2, 3)]
    found.append(Items(named(["a"], io.BytesIO(), WANTED)))
    assert [len(list(items)) for items in found] == [1, 1, 1, 3]
    assert {items.count for items in found} == {3}
    assert len({items.sha256 for items in found}) == 1


def test_other_names_or_another_order_are_another_list(tree: Path) -> None:
    def sha256(*sources: str, stdin: bytes = b"") -> str:
        items = Items(named(sources, io.BytesIO(stdin), WANTED))
        list(items)
        return items.sha256

    lists = [b"a/2.jpg\nb/2.jpg\n", b"b/2.jpg\na/2.jpg\n", b"a/2.jpg\n", b"a/2.jpgb/2.jpg\n", b""]
    assert len({sha256("-", stdin=each) for each in lists}) == len(lists)
    assert sha256("a", "b") != sha256("b", "a")
