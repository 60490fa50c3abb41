"""The file of results: whole lines only, whatever ended the one who wrote it."""

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

from ncs_cluster.sinks import _lines, _lock
from ncs_cluster.sinks._lines import LONGEST_TAIL, Found, LineFile

ONE, TWO = b'{"frame":1}', b'{"frame":2}'
LINE = st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b""))


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


def opened(path: Path, offset: int | None = None) -> tuple[LineFile, Found]:
    sink = LineFile(os.fspath(path))
    return sink, sink.open(offset)


def test_a_new_file_is_made_and_each_record_is_a_line(tmp_path: Path) -> None:
    sink, found = opened(tmp_path / "out.jsonl")
    assert found == Found(written=0, offset=0)
    assert sink.write(ONE) == 12
    assert sink.write(TWO) == 24
    sink.close()
    assert (tmp_path / "out.jsonl").read_bytes() == ONE + b"\n" + TWO + b"\n"


def test_what_stands_in_the_file_stays_and_does_not_count_as_written_by_us(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(ONE + b"\n")
    sink, found = opened(path)
    assert found == Found(written=0, offset=12)
    sink.write(TWO)
    sink.close()
    assert path.read_bytes() == ONE + b"\n" + TWO + b"\n"


@pytest.mark.parametrize(
    "torn", [b'{"fra', b'{"frame":2', b"\0" * 5000, b'{"fr\0\0\0'], ids=["begin", "end", "zeros", "zeros behind"]
)
@pytest.mark.parametrize("before", [b"", ONE + b"\n"], ids=["alone", "behind a line"])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, before: bytes, torn: bytes) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(before + torn)
    sink, found = opened(path)
    sink.write(TWO)
    sink.close()
    assert found.offset == len(before)
    assert path.read_bytes() == before + TWO + b"\n"


def test_a_whole_record_that_only_lacks_its_line_end_is_kept_at_the_daemons_start(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(ONE)
    sink, found = opened(path)
    sink.write(TWO)
    sink.close()
    assert found == Found(written=0, offset=12)
    assert path.read_bytes() == ONE + b"\n" + TWO + b"\n"


@pytest.mark.parametrize("content", [b"my diary", b"\x00\x01film", b"line\nno result", b"{" * (LONGEST_TAIL + 1)])
def test_a_file_whose_end_was_never_a_result_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "named-by-mistake"
    path.write_bytes(content)
    with pytest.raises(OSError, match="is not a result"):
        opened(path)
    assert path.read_bytes() == content


@given(before=st.lists(LINE, max_size=6), behind=st.lists(LINE, max_size=6), torn=LINE)
def test_after_a_death_whole_lines_behind_the_known_offset_are_counted_and_a_torn_one_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, before: list[bytes], behind: list[bytes], torn: bytes
) -> None:
    path = tmp_path_factory.mktemp("sink") / "out.jsonl"
    known = b"".join(line + b"\n" for line in before)
    whole = known + b"".join(line + b"\n" for line in behind)
    path.write_bytes(whole + torn)
    sink, found = opened(path, offset=len(known))
    sink.close()
    assert found == Found(written=len(behind), offset=len(whole))
    assert path.read_bytes() == whole


def test_a_torn_line_longer_than_a_block_is_cut_off_too(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"whole\n" + b"x" * (3 << 20))
    _, found = opened(path, offset=0)
    assert found == Found(written=1, offset=6)
    assert path.stat().st_size == 6


def test_lines_are_counted_across_blocks(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    line = b"{" + b" " * 99_998 + b"}\n"
    path.write_bytes(line * 40)
    _, found = opened(path, offset=len(line))
    assert found == Found(written=39, offset=40 * len(line))


def test_a_file_that_became_shorter_than_what_was_known_holds_nothing_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(ONE + b"\n")
    _, found = opened(path, offset=1000)
    assert found == Found(written=0, offset=12)


def test_a_folder_or_a_place_that_does_not_exist_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "out.jsonl"):
        with pytest.raises(OSError):
            opened(path)


def test_a_full_device_refuses_a_record_and_the_sink_can_be_asked_again() -> None:
    sink, _ = opened(Path("/dev/full"))
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            sink.write(ONE)
    sink.close()


def test_a_full_disk_leaves_no_half_line_and_the_same_record_goes_out_later(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink, _ = opened(path)
    sink.write(b"first")
    with largest_file(10), pytest.raises(OSError, match="too large"):
        sink.write(b"second is longer")
    assert path.read_bytes() == b"first\n"
    sink.write(b"second is longer")
    sink.close()
    assert path.read_bytes() == b"first\nsecond is longer\n"


def test_a_file_that_was_cut_by_somebody_has_no_hole_when_the_disk_is_full_later(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink, _ = opened(path)
    for _ in range(100):
        sink.write(ONE)
    os.truncate(path, 0)
    sink.write(ONE)
    with largest_file(20), pytest.raises(OSError, match="too large"):
        sink.write(ONE)
    assert path.read_bytes() == ONE + b"\n"
    assert sink.write(TWO) == 24
    sink.close()


def test_what_lies_in_its_place_and_is_no_result_is_refused_and_never_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lines, "LOOK_S", 0.0)
    path = tmp_path / "out.jsonl"
    sink, _ = opened(path)
    path.rename(tmp_path / "out.1")
    path.write_bytes(b"some notes, no line end")
    for _ in range(2):
        with pytest.raises(OSError, match="is not a result"):
            sink.follow()
    assert path.read_bytes() == b"some notes, no line end"
    path.unlink()
    assert sink.follow() == 0
    sink.close()


def test_two_cannot_write_to_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lock, "OTHER_S", 0.1)
    path = tmp_path / "out.jsonl"
    sink, _ = opened(path)
    with pytest.raises(OSError, match="another daemon writes to it"):
        opened(path)
    sink.write(ONE)
    sink.close()
    other, _ = opened(path)
    other.close()
    assert path.read_bytes() == ONE + b"\n"


@pytest.mark.parametrize("how", ["moved", "removed"])
def test_a_file_that_is_taken_away_is_begun_anew_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(_lines, "LOOK_S", 0.0)
    path = tmp_path / "out.jsonl"
    sink, _ = opened(path)
    sink.write(ONE)
    if how == "moved":
        path.rename(tmp_path / "out.1")
    else:
        path.unlink()
    assert sink.follow() == 0
    assert sink.write(TWO) == 12
    assert sink.follow() is None
    sink.close()
    assert path.read_bytes() == TWO + b"\n"
    assert how == "removed" or (tmp_path / "out.1").read_bytes() == ONE + b"\n"


def test_a_place_that_is_gone_with_its_folder_is_told_and_found_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lines, "LOOK_S", 0.0)
    folder = tmp_path / "share"
    folder.mkdir()
    sink, _ = opened(folder / "out.jsonl")
    folder.rename(tmp_path / "away")
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            sink.follow()
    folder.mkdir()
    assert sink.follow() == 0
    sink.write(ONE)
    sink.close()
    assert (folder / "out.jsonl").read_bytes() == ONE + b"\n"


@pytest.mark.parametrize("before", [b"", ONE + b"\n", ONE])
def test_zeros_that_a_power_cut_left_are_cut_off(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(before + bytes(3 << 20))
    sink, _ = opened(path)
    sink.write(TWO)
    sink.close()
    whole = before if before.endswith(b"\n") or not before else before + b"\n"
    assert path.read_bytes() == whole + TWO + b"\n"


def test_a_pipe_that_is_full_gets_the_rest_of_the_line_not_all_of_it_again(tmp_path: Path) -> None:
    pipe, record = tmp_path / "pipe", b"x" * 100_000
    os.mkfifo(pipe)
    readable = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    sink, _ = opened(pipe)
    with pytest.raises(BlockingIOError):
        sink.write(record)
    got = os.read(readable, 200_000)
    assert 0 < len(got) < len(record)
    sink.write(record)
    assert got + os.read(readable, 200_000) == record + b"\n"
    sink.close()
    os.close(readable)
