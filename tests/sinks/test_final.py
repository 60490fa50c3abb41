"""Final names: only for whole files that are on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ncs_cluster.sinks._final import aside, link_or_copy, named, sync_file_system
from tests.sinks.test_lines import largest_file
from tests.sinks.test_parts import parts, row, written


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every fsync and rename, with the name of its file or folder."""
    seen: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def synced(fd: int) -> None:
        seen.append(("fsync", os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))))
        fsync(fd)

    def renamed(old: str, new: str) -> None:
        seen.append(("rename", os.path.basename(new)))
        rename(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    return seen


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_is_after_it(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    with aside(str(tmp_path / "out.csv")) as draft:
        Path(draft).write_bytes(b"whole")
    assert calls == [("fsync", ".out.csv.tmp"), ("rename", "out.csv"), ("fsync", tmp_path.name)]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"out.csv": b"whole"}


def test_a_draft_that_fails_leaves_the_file_of_that_name_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_bytes(b"earlier")
    with largest_file(2), pytest.raises(OSError, match="too large"), aside(str(tmp_path / "out.csv")) as draft:
        Path(draft).write_bytes(b"more than two")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"out.csv": b"earlier"}


def test_a_draft_that_a_killed_process_left_is_not_taken_up(tmp_path: Path) -> None:
    (tmp_path / ".out.csv.tmp").write_bytes(b"half of it, long")
    with aside(str(tmp_path / "out.csv")) as draft, open(draft, "ab") as file:
        file.write(b"whole")
    assert (tmp_path / "out.csv").read_bytes() == b"whole"


def test_sync_reaches_every_file_of_the_part_and_the_folder_of_a_new_one(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    made = parts(tmp_path, shard_size=2)
    made.begin()
    assert [name for _, name in calls] == ["out", ".parts", tmp_path.name]
    calls.clear()
    written(made, row(0))
    made.sync()
    assert [name for _, name in calls] == ["000000.one", "000000.two", "000000.index", "out"]
    calls.clear()
    written(made, row(1))
    made.sync()
    assert [name for _, name in calls] == ["000000.one", "000000.two", "000000.index"]
    calls.clear()
    written(made, row(2))
    assert [name for _, name in calls] == ["000000.one", "000000.two", "000000.index"], "a part is synced when the next begins"
    made.close()


def test_a_file_system_without_links_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    (tmp_path / "part").write_bytes(b"rows")
    monkeypatch.setattr(os, "link", refuse)
    link_or_copy(str(tmp_path / "part"), str(tmp_path / "draft"), copy=False)
    assert (tmp_path / "draft").read_bytes() == b"rows"
    assert (tmp_path / "draft").stat().st_nlink == 1


def test_shards_are_numbered_before_the_suffix() -> None:
    assert named("/a.b/out.csv", None) == "/a.b/out.csv"
    assert named("/a.b/out.csv", 7) == "/a.b/out-00007.csv"
    assert named("/a.b/out", 123_456) == "/a.b/out-123456"
    assert named("/a.b/out.json", 7, "_images.json") == "/a.b/out-00007_images.json"


def test_a_whole_file_system_is_synced_by_a_folder_of_it(tmp_path: Path) -> None:
    sync_file_system(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        sync_file_system(str(tmp_path / "none"))


def test_a_second_name_of_the_final_file_itself_leaves_no_draft(tmp_path: Path) -> None:
    """As when a killed process had given the file its name, and its successor does it again."""
    (tmp_path / "part").write_text("text")
    for _ in range(2):
        with aside(str(tmp_path / "final")) as draft:
            link_or_copy(str(tmp_path / "part"), draft, copy=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["final", "part"]
