"""A token file is read when it changes, and refused in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ncs_cluster.token_file import TokenFile, read_token

ONE, OTHER = "a-good-long-token-1", "a-good-long-token-2"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_token_stands_on_one_line(tmp_path: Path) -> None:
    assert read_token(write(tmp_path / "token", f"{ONE}\n")) == ONE


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        ("short", 0o600, "16 characters or more"),
        ("", 0o600, "16 characters or more"),
        (f"{ONE}\n{OTHER}", 0o600, "on one line"),
        ("x" * 5000, 0o600, "16 characters or more"),
        ("pässword-of-some-length", 0o600, "ASCII letters"),
        (ONE, 0o604, "chmod o-rwx"),
    ],
)
def test_what_is_no_token_is_refused_in_one_line_without_it(tmp_path: Path, text: str, mode: int, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        read_token(write(tmp_path / "token", text, mode))
    assert "\n" not in str(refused.value)
    assert not text or text not in str(refused.value)


def test_a_fifo_and_a_folder_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(ValueError, match=r"is not a file|cannot be read"):
            read_token(path)


def test_a_change_is_seen_once_however_it_is_made(tmp_path: Path) -> None:
    path = write(tmp_path / "token", ONE)
    file = TokenFile(str(path))
    assert [file.changed(), file.changed()] == [ONE, None]
    write(path, OTHER)
    assert [file.changed(), file.changed()] == [OTHER, None]
    write(tmp_path / "new", ONE).rename(path)
    assert [file.changed(), file.changed()] == [ONE, None]
    path.unlink()
    path.symlink_to(write(tmp_path / "elsewhere", OTHER))
    assert [file.changed(), file.changed()] == [OTHER, None]


def test_a_file_that_is_gone_or_half_written_is_told_once_and_read_when_it_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "token", ONE)
    file = TokenFile(str(path))
    assert file.changed() == ONE
    path.unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        file.changed()
    assert file.changed() is None
    write(path, OTHER[:8])
    with pytest.raises(ValueError, match="16 characters"):
        file.changed()
    assert file.changed() is None
    write(path, OTHER)
    assert file.changed() == OTHER
