"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ncs_cluster.cli import fresh_file
from ncs_cluster.cli.fresh_file import NotWritten


def test_a_file_has_the_permissions_of_the_umask_and_those_that_are_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        fresh_file.write(tmp_path / "a", b"x", force=False)
        fresh_file.write(tmp_path / "b", b"x", force=False, mode=0o600)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o640, 0o600]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_comes_while_another_is_written_is_kept(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"

    def arrives(_: int) -> None:
        path.write_text("mine")

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fsync", arrives)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(NotWritten, match="is there already"):
        fresh_file.write(path, b"x", force=False)
    assert (path.read_text(), os.listdir(tmp_path)) == ("mine", ["a"])


def test_on_a_file_system_without_links_it_is_written_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    fresh_file.write(tmp_path / "a", b"x", force=False)
    assert ((tmp_path / "a").read_bytes(), os.listdir(tmp_path)) == (b"x", ["a"])


def test_a_full_disk_leaves_nothing_and_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "a").write_text("mine")
    with pytest.raises(NotWritten, match=r"a' cannot be written: No space left on device$"):
        fresh_file.write(tmp_path / "a", b"x", force=True)
    assert ((tmp_path / "a").read_text(), os.listdir(tmp_path)) == ("mine", ["a"])


def test_a_folder_and_a_link_that_leads_nowhere_are_no_place_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(NotWritten, match="is a folder"):
        fresh_file.check(tmp_path, force=True)
    with pytest.raises(NotWritten, match="is there already"):
        fresh_file.check(tmp_path / "link", force=False)
