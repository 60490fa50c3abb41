"""Parts and their merge: rows survive what kills a writer, and the newest row of each frame is what counts."""

from __future__ import annotations

import os
import resource
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ncs_cluster.sinks import _lock
from ncs_cluster.sinks._merge import Row
from ncs_cluster.sinks._parts import Parts
from tests.hypothesis_profiles import examples
from tests.sinks.test_lines import largest_file

HEADS = (b"head\n", b"")
PIECE = st.binary(max_size=12)


def parts(folder: Path, shard_size: int = 0) -> Parts:
    return Parts(os.fspath(folder / "out"), ("one", "two"), HEADS, shard_size)


def rows(made: Parts) -> list[Row]:
    return [row for shard in made.shards() for row in shard.rows()]


def row(frame: int, text: bytes = b"x", failed: bool = False) -> Row:
    return Row(frame, failed, (text, b"%d" % frame))


def written(made: Parts, *some: Row) -> bytes:
    token = made.token()
    for each in some:
        token = made.append(each.frame, each.failed, each.pieces)
    return token


class Histories(RuleBasedStateMachine):
    """A writer that is killed at any moment, retries, and goes on from the newest token that it has synced or handed out."""

    folder: Path

    @initialize(
        shard_size=st.sampled_from([0, 1, 3]), first=st.lists(st.tuples(st.booleans(), PIECE, PIECE), min_size=1, max_size=5)
    )
    def begin(self, shard_size: int, first: list[tuple[bool, bytes, bytes]]) -> None:
        self.shard_size = shard_size
        self.parts = parts(self.folder, shard_size)
        self.token = self.parts.begin()
        self.model: dict[int, Row] = {}
        self.past = [(self.token, dict(self.model))]
        self.next = 0
        self.write_the_next_frames(first)

    def _write(self, frame: int, failed: bool, pieces: tuple[bytes, bytes]) -> None:
        self.token = self.parts.append(frame, failed, pieces)
        self.model[frame] = Row(frame, failed, pieces)
        self.past.append((self.token, dict(self.model)))

    @rule(some=st.lists(st.tuples(st.booleans(), PIECE, PIECE), min_size=1, max_size=3))
    def write_the_next_frames(self, some: list[tuple[bool, bytes, bytes]]) -> None:
        for failed, *pieces in some:
            self._write(self.next, failed, (pieces[0], pieces[1]))
            self.next += 1

    @precondition(lambda self: any(each.failed for each in self.model.values()))
    @rule(data=st.data())
    def retry_failed_frames(self, data: st.DataObject) -> None:
        failed = sorted(frame for frame, each in self.model.items() if each.failed)
        chosen = data.draw(st.sets(st.sampled_from(failed), min_size=1))
        for frame in sorted(chosen):
            self._write(frame, data.draw(st.booleans()), data.draw(st.tuples(PIECE, PIECE)))

    @rule(back=st.integers(0, 4), garbage=st.binary(max_size=40), sync=st.booleans(), then=st.tuples(st.booleans(), PIECE, PIECE))
    def die_and_go_on_from_a_token(self, back: int, garbage: bytes, sync: bool, then: tuple[bool, bytes, bytes]) -> None:
        """`garbage`: what a torn write or a power cut leaves behind the newest part. `then`: the next row."""
        if sync:
            self.parts.sync()
        self.parts.close()
        self.past = self.past[: max(1, len(self.past) - back)]
        self.token, model = self.past[-1]
        self.model = dict(model)
        self.next = max(self.model, default=-1) + 1
        newest = sorted({path.name.partition(".")[0] for path in (self.folder / ".parts" / "out").iterdir()})[-1:]
        for number in newest:
            for path in (self.folder / ".parts" / "out").glob(f"{number}.*"):
                with path.open("ab") as file:
                    file.write(garbage)
        self.parts = parts(self.folder, self.shard_size)
        assert self.parts.resume(self.token) == self.token
        self.the_newest_row_of_each_frame_is_there_in_order()
        self.write_the_next_frames([then])

    @rule()
    def settle(self) -> None:
        self.parts.settle()

    @invariant()
    def the_newest_row_of_each_frame_is_there_in_order(self) -> None:
        if not hasattr(self, "parts"):
            return
        expected = [self.model[frame] for frame in sorted(self.model)]
        shards = list(self.parts.shards())
        assert [each for shard in shards for each in shard.rows()] == expected
        assert sum(shard.failed for shard in shards) == sum(each.failed for each in expected)
        if self.shard_size and expected:
            for shard in shards:
                assert {each.frame // self.shard_size for each in shard.rows()} == {shard.number}
        for shard in shards:
            if (path := shard.whole("one")) is not None:
                with open(path, "rb") as file:
                    assert file.read() == HEADS[0] + b"".join(each.pieces[0] for each in shard.rows())

    def teardown(self) -> None:
        if hasattr(self, "parts"):
            self.parts.close()


def test_whatever_happens_to_the_writer_each_frame_has_its_newest_row(tmp_path_factory: pytest.TempPathFactory) -> None:
    class Here(Histories):
        def __init__(self) -> None:
            super().__init__()
            self.folder = tmp_path_factory.mktemp("parts")

    Here.TestCase.settings = settings(stateful_step_count=15, max_examples=examples(80), deadline=None)
    case = Here.TestCase()
    case.runTest()


def test_a_new_job_removes_the_parts_of_an_earlier_one(tmp_path: Path) -> None:
    earlier = parts(tmp_path)
    earlier.begin()
    written(earlier, row(0), row(1))
    earlier.close()
    later = parts(tmp_path)
    later.begin()
    written(later, row(0, b"new"))
    assert rows(later) == [row(0, b"new")]
    later.close()


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (b"17", "resume token is damaged"),
        (b"not json", "resume token is damaged"),
        (b'{"part":0,"rows":1,"frame":0,"ends":[5]}', "another form's"),
        (b'{"part":0,"rows":9,"frame":8,"ends":[14,9]}', "is shorter than its token says"),
    ],
)
def test_a_token_that_does_not_fit_is_refused(tmp_path: Path, token: bytes, reason: str) -> None:
    first = parts(tmp_path)
    first.begin()
    written(first, row(0))
    first.close()
    second = parts(tmp_path)
    with pytest.raises(OSError, match=reason):
        second.resume(token)
    second.close()


def test_a_full_disk_leaves_no_half_row_and_the_row_is_written_later(tmp_path: Path) -> None:
    made = parts(tmp_path)
    made.begin()
    token = written(made, row(0))
    with largest_file(40), pytest.raises(OSError, match="too large"):
        made.append(1, False, (b"first column fits", b"second does not" * 9))
    assert made.token() == token
    with largest_file(40), pytest.raises(OSError, match="too large"):
        made.append(1, False, (b"y" * 50, b""))
    assert rows(made) == [row(0)]
    written(made, row(1, b"later"))
    assert rows(made) == [row(0), row(1, b"later")]
    made.close()


def test_a_disk_that_is_full_when_a_part_begins_takes_the_row_later(tmp_path: Path) -> None:
    made = parts(tmp_path, shard_size=1)
    made.begin()
    written(made, row(0))
    for _ in range(3):
        with largest_file(3), pytest.raises(OSError, match="too large"):
            made.append(1, False, (b"x", b"1"))
    written(made, row(1))
    assert rows(made) == [row(0), row(1)]
    assert len(made.parts()) == 2
    made.close()


def test_two_cannot_write_the_same_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lock, "OTHER_S", 0.1)
    first = parts(tmp_path)
    token = first.begin()
    for attempt in (lambda: parts(tmp_path).begin(), lambda: parts(tmp_path).resume(token)):
        with pytest.raises(OSError, match="another daemon writes to it"):
            attempt()
    first.close()
    parts(tmp_path).begin()


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        parts(tmp_path / "usb").begin()
    assert not (tmp_path / "usb").exists()


def test_a_part_that_is_shorter_than_its_index_is_told_and_not_read(tmp_path: Path) -> None:
    made = parts(tmp_path)
    made.begin()
    written(made, row(0), row(1))
    os.truncate(tmp_path / ".parts/out/000000.two", 1)
    with pytest.raises(OSError, match=r"part 0 in .* is damaged; begin the job anew"):
        rows(made)
    made.close()


def test_a_column_that_has_its_final_name_is_not_changed_when_the_job_goes_on(tmp_path: Path) -> None:
    made = parts(tmp_path)
    made.begin()
    token = written(made, row(0))
    written(made, row(1))
    made.close()
    os.link(tmp_path / ".parts/out/000000.one", tmp_path / "final")
    before = (tmp_path / "final").read_bytes()
    again = parts(tmp_path)
    again.resume(token)
    assert rows(again) == [row(0)]
    written(again, row(1, b"again"))
    assert rows(again) == [row(0), row(1, b"again")]
    assert (tmp_path / "final").read_bytes() == before
    again.close()


def test_the_memory_of_a_merge_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        made = parts(tmp_path)
        made.begin()
        for frame in range(count):
            made.append(frame, frame % 2 == 0, (b"x" * 500, b""))
        for frame in range(0, count, 2):
            made.append(frame, False, (b"y" * 500, b""))
        tracemalloc.start()
        (shard,) = made.shards()
        assert sum(len(each.pieces[0]) for each in shard.rows()) == 500 * count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        made.close()
        return most

    few, many = peak(5_000), peak(20_000)
    assert many < few + 300_000


def test_removed_parts_leave_those_of_other_results(tmp_path: Path) -> None:
    made, other = parts(tmp_path), Parts(os.fspath(tmp_path / "other"), ("one",), (b"",), 0)
    made.begin()
    other.begin()
    made.remove()
    assert not made.exist()
    assert other.exist()
    other.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_parts_of_two_outputs_may_be_removed_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, other = parts(tmp_path), Parts(os.fspath(tmp_path / "other"), ("one",), (b"",), 0)
    made.begin()
    other.begin()
    remove = shutil.rmtree

    def last(path: str, **how: Any) -> None:
        remove(path, **how)
        if other in left and not how:
            left.remove(other)
            other.remove()

    left = [other]
    monkeypatch.setattr(shutil, "rmtree", last)
    made.remove()
    assert os.listdir(tmp_path) == []


def test_few_files_are_open_however_many_shards_there_are(tmp_path: Path) -> None:
    made = parts(tmp_path, shard_size=1)
    made.begin()
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, hard))
    try:
        written(made, *[row(frame) for frame in range(100)])
        assert rows(made) == [row(frame) for frame in range(100)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    made.close()
