"""A file whose writes do not fail: what was written is read back, on the disk or not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.sinks._shielded import Shielded
from tests.sinks.test_lines import largest_file

WRITES = st.lists(st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=30)), min_size=1, max_size=12)


@given(before=WRITES, after=WRITES, limit=st.integers(0, 90))
def test_reading_gives_what_was_written_also_after_the_disk_was_full(
    tmp_path_factory: pytest.TempPathFactory, before: list[tuple[int, bytes]], after: list[tuple[int, bytes]], limit: int
) -> None:
    path = tmp_path_factory.mktemp("shielded") / "file"
    model = bytearray()

    def write(offset: int, text: bytes) -> None:
        model.extend(bytes(max(0, offset + len(text) - len(model))))
        model[offset : offset + len(text)] = text
        file.seek(offset)
        assert file.write(text) == len(text)

    file = Shielded(os.fspath(path))
    for each in before:
        write(*each)
    assert file.error is None
    assert path.read_bytes() == model
    with largest_file(limit):
        for each in after:
            write(*each)
    for offset in range(0, len(model) + 5, 7):
        file.seek(offset)
        assert file.read(25) == model[offset : offset + 25]
    assert file.seek(0, os.SEEK_END) == len(model)
    if file.error is None:
        assert path.read_bytes() == model
    else:
        with pytest.raises(OSError, match="too large"):
            file.check()
    file.close()


def test_a_file_is_cut_and_grows_by_truncate(tmp_path: Path) -> None:
    file = Shielded(os.fspath(tmp_path / "file"))
    file.write(b"abcdef")
    assert file.truncate(3) == 3
    file.seek(0)
    assert file.read() == b"abc"
    assert file.truncate(5) == 5
    file.seek(0)
    assert file.read() == b"abc\0\0"
    file.close()
    file.close()
    assert (tmp_path / "file").read_bytes() == b"abc\0\0"


def test_a_file_that_cannot_be_made_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Shielded(os.fspath(tmp_path / "none" / "file"))
