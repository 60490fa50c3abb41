"""JSON Lines on a real file: whole lines or nothing."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.sinks.base import Found
from ncs_cluster.sinks.jsonl import JsonLines

LINES = st.lists(st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"")), max_size=6)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A disk that is full after so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_new_run_appends_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"old":1}\n')
    sink = JsonLines(str(path))
    assert sink.open(None) == Found(written=0, offset=10)
    assert sink.write(b'{"new":1}') == 20
    sink.close()
    assert path.read_bytes() == b'{"old":1}\n{"new":1}\n'


@given(before=LINES, behind=LINES, torn=st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"")))
def test_whole_lines_behind_the_offset_are_counted_and_a_torn_one_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, before: list[bytes], behind: list[bytes], torn: bytes
) -> None:
    path = tmp_path_factory.mktemp("sink") / "out.jsonl"
    known = b"".join(line + b"\n" for line in before)
    whole = known + b"".join(line + b"\n" for line in behind)
    path.write_bytes(whole + torn)
    sink = JsonLines(str(path))
    assert sink.open(len(known)) == Found(written=len(behind), offset=len(whole))
    sink.close()
    assert path.read_bytes() == whole


def test_a_torn_line_longer_than_a_block_is_cut_off_too(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"whole\n" + b"x" * (3 << 20))
    sink = JsonLines(str(path))
    assert sink.open(0) == Found(written=1, offset=6)
    sink.close()
    assert path.stat().st_size == 6


def test_a_full_disk_leaves_no_half_line_and_the_same_record_goes_out_later(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = JsonLines(str(path))
    sink.open(None)
    sink.write(b"first")
    with largest_file(10), pytest.raises(OSError, match="too large"):
        sink.write(b"second is longer")
    assert path.read_bytes() == b"first\n"
    sink.write(b"second is longer")
    sink.close()
    assert path.read_bytes() == b"first\nsecond is longer\n"


def test_a_pipe_that_is_full_gets_the_rest_of_the_line_not_all_of_it_again() -> None:
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    sink = JsonLines(f"/proc/self/fd/{writable}")
    sink.open(None)
    sink._fd, record = writable, b"x" * 100_000
    with pytest.raises(BlockingIOError):
        sink.write(record)
    got = os.read(readable, 200_000)
    assert 0 < len(got) < len(record)
    sink.write(record)
    assert got + os.read(readable, 200_000) == record + b"\n"
    os.close(readable)
    os.close(writable)
