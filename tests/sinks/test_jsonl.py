"""JSON Lines: one record a line, and a token with which another process resumes behind the last one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ncs_cluster.plugins import load
from ncs_cluster.sinks import SINKS, _lines
from ncs_cluster.sinks._json import encode
from ncs_cluster.sinks.base import Opened, Sink
from ncs_cluster.sinks.jsonl import JobLines, JsonLines, Options
from ncs_cluster.types import Outcome, Record


def record(frame: int) -> Record:
    return Record("cam0", frame, 1.7e9, None, "sim-1", "demo", 0.05, Outcome())


def line(frame: int) -> bytes:
    return encode(record(frame)) + b"\n"


def token(*frames: int) -> bytes:
    """Behind these lines."""
    return str(sum(len(line(frame)) for frame in frames)).encode()


def sink(path: Path) -> Sink:
    return JsonLines(Options(os.fspath(path)))


def test_it_is_the_sink_of_its_kind() -> None:
    plugin = SINKS.get("jsonl")
    assert load(plugin.options) == Options
    assert type(load(plugin.driver)(Options("out"))) is JsonLines
    assert type(load(plugin.driver)(Options("/out", job=True))) is JobLines


def test_each_record_is_a_line_and_has_the_token_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    made = sink(path)
    assert made.open(0, None) == Opened(0, b"0")
    assert (made.write(record(0)), made.write(record(1))) == (token(0), token(0, 1))
    assert made.follow() is None
    made.close()
    assert path.read_bytes() == line(0) + line(1)


def test_at_the_daemons_start_a_file_of_an_earlier_day_holds_none_of_its_records(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(line(7) + line(8))
    made = sink(path)
    assert made.open(0, None) == Opened(0, token(7, 8))
    made.close()


@pytest.mark.parametrize("torn", [b"", line(3)[:9]])
def test_the_next_process_wants_the_first_record_that_is_not_in_the_file(tmp_path: Path, torn: bytes) -> None:
    """Record 4 was acknowledged; 5 and 6 were written, and what follows is torn."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(line(0) + line(1) + line(2) + torn)
    made = sink(path)
    assert made.open(5, token(0)) == Opened(7, token(0, 1, 2))
    assert made.write(record(3)) == token(0, 1, 2, 3)
    made.close()
    assert path.read_bytes() == line(0) + line(1) + line(2) + line(3)


def test_a_place_that_was_moved_is_followed_by_a_new_one_with_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lines, "LOOK_S", 0.0)
    path = tmp_path / "out.jsonl"
    made = sink(path)
    made.open(0, None)
    made.write(record(0))
    path.rename(tmp_path / "out.1")
    assert made.follow() == b"0"
    assert made.write(record(1)) == token(1)
    made.close()
    later = sink(path)
    assert later.open(1, b"0") == Opened(2, token(1))
    later.close()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        sink(tmp_path).open(0, None)


@pytest.mark.parametrize("options", [{}, {"path": "a", "mode": "w"}])
def test_it_needs_a_path_and_knows_its_options(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Options(**options)


def test_a_jobs_lines_are_one_for_each_frame_in_order_also_after_a_retry(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    made = JobLines(Options(os.fspath(path), job=True))
    made.open(0, None)
    for frame in range(3):
        made.write(msgspec.structs.replace(record(frame), outcome=Outcome(error="torn")))
    made.write(record(1))
    assert not path.exists()
    made.sync()
    made.finish()
    made.close()
    torn = [encode(msgspec.structs.replace(record(frame), outcome=Outcome(error="torn"))) + b"\n" for frame in (0, 2)]
    assert path.read_bytes() == torn[0] + line(1) + torn[1]


def test_shards_are_for_jobs() -> None:
    with pytest.raises(ValueError, match="shard_size is for jobs"):
        Options("out", shard_size=5)
