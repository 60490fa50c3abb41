"""The outcomes that videos are made of survive kills and power cuts; a segment's video is never older than they are."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ncs_cluster.sinks import _lock, _video_records
from ncs_cluster.sinks._video_records import Key, Records
from ncs_cluster.types import Outcome, Record
from tests.hypothesis_profiles import examples
from tests.sinks.drawn_job import seen


def record(frame: int, outcome: Outcome) -> Record:
    return Record("job", frame, 0.0, "f.avi", "sim-1", "g", 0.01, outcome, None, frame)


def made(folder: Path) -> Records:
    found = Records(str(folder / ".video"))
    found.open(anew=not os.path.exists(found.folder))
    return found


def outcomes(records: Records, item: int = 0) -> dict[int, Outcome]:
    loaded = [records.load(key) for key in records.segments(item)]
    return {frame: shown.outcome for segment in loaded for frame, shown in segment.shown.items()}


@pytest.mark.parametrize("end", [b"\x50", b"\x50\0\0\0\x93\x01", bytes(64), b"\x03\0\0\0\xc1\xc1\xc1"])
def test_what_a_kill_or_a_power_cut_leaves_behind_whole_outcomes_is_cut_off(tmp_path: Path, end: bytes) -> None:
    first = made(tmp_path)
    for frame in range(3):
        first.put(0, record(frame, seen()))
    first.close()
    path = tmp_path / ".video" / "0" / "0.records"
    whole = path.read_bytes()
    path.write_bytes(whole + end)
    second = made(tmp_path)
    second.put(0, record(3, Outcome(error="it is damaged")))
    assert path.read_bytes()[: len(whole)] == whole
    assert outcomes(second) == {0: seen(), 1: seen(), 2: seen(), 3: Outcome(error="it is damaged")}
    second.close()


def test_an_outcome_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = made(tmp_path)
    records.put(0, record(0, seen()))
    write = os.write

    def half(fd: int, data: bytes) -> int:
        write(fd, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        records.put(0, record(1, seen()))
    monkeypatch.undo()
    assert outcomes(records) == {0: seen()}
    records.put(0, record(1, Outcome()))
    assert outcomes(records) == {0: seen(), 1: Outcome()}
    records.close()


def test_a_second_process_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lock, "OTHER_S", 0.0)
    records = made(tmp_path)
    with pytest.raises(OSError, match="another daemon"):
        made(tmp_path)
    records.close()
    made(tmp_path).close()


class Job(RuleBasedStateMachine):
    """Outcomes of two films come in any order and again, processes are killed, segments get their videos, films are joined."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.frames, _video_records.FRAMES = _video_records.FRAMES, 4
        self.records = made(self.folder)
        self.truth: dict[int, dict[int, Outcome]] = {}
        self.videos: dict[Key, dict[int, Outcome]] = {}
        """What each video shows."""
        self.joined: dict[int, dict[int, Outcome]] = {}
        self.done: set[int] = set()

    @rule(item=st.integers(0, 1), frame=st.integers(0, 11), outcome=st.sampled_from([seen(), Outcome(), Outcome(error="damaged")]))
    def put(self, item: int, frame: int, outcome: Outcome) -> None:
        same = self.truth.get(item, {}).get(frame) == outcome
        joined = item in self.done or (same and self.records.is_joined(item))
        segment = self.records.put(item, record(frame, outcome))
        assert (segment is None) == joined
        if segment is not None:
            self.truth.setdefault(item, {})[frame] = outcome
            assert {shown: each.outcome for shown, each in segment.shown.items()} == self._truth(segment.key)

    @rule()
    def kill(self) -> None:
        self.records.close()
        self.records = made(self.folder)

    @rule(item=st.integers(0, 1), number=st.integers(0, 2))
    def draw(self, item: int, number: int) -> None:
        key = Key(item, number)
        if item in self.done or not self._truth(key):
            return
        Path(self.records.video(key)).write_text("")
        self.videos[key] = self._truth(key)

    @rule(item=st.integers(0, 1))
    def join(self, item: int) -> None:
        if item in self.done or item not in self.truth:
            return
        failed = any(outcome.error for outcome in self.truth[item].values())
        self.joined[item] = dict(self.truth[item])
        self.records.joined(item, failed=failed)
        if not failed:
            self.done.add(item)

    @invariant()
    def videos_are_not_older_than_outcomes(self) -> None:
        for key, shows in self.videos.items():
            if key.item not in self.done and os.path.exists(self.records.video(key)):
                assert shows == self._truth(key)

    @invariant()
    def a_joined_film_shows_the_newest_outcomes(self) -> None:
        for item, shows in self.joined.items():
            if item not in self.done and self.records.is_joined(item):
                assert shows == self.truth[item]

    @invariant()
    def outcomes_on_the_disk_are_the_newest(self) -> None:
        assert set(self.records.items()) == set(self.truth) - self.done
        assert self.records.films() == len(self.truth)
        for item in self.records.items():
            assert outcomes(self.records, item) == self.truth[item]

    def _truth(self, key: Key) -> dict[int, Outcome]:
        return {frame: each for frame, each in self.truth.get(key.item, {}).items() if key.first <= frame < key.behind}

    def teardown(self) -> None:
        if hasattr(self, "records"):
            self.records.close()
            shutil.rmtree(self.folder)
            _video_records.FRAMES = self.frames


TestJob = Job.TestCase
TestJob.settings = settings(max_examples=examples(60), stateful_step_count=25, deadline=None)
