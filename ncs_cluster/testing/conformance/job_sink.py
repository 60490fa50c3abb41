"""Checks of every sink that can be a job's (sinks/base.py:Finishing). A subclass reads the final files back (`read`)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ncs_cluster.plugins import call, load, made
from ncs_cluster.sinks import SINKS
from ncs_cluster.sinks.base import Finishing, Parsed
from ncs_cluster.testing.conformance._options import OptionsConformance, assert_one_line
from ncs_cluster.types import Classified, Detection, Outcome, Record

FRAMES = 24
FAILED = (0, 5, 6, FRAMES - 1)


class JobSinkConformance(OptionsConformance):
    """Write, go on after a kill, retry, finish. `options` stand beside those of the SPEC."""

    registry = SINKS

    features = False
    """Results carry feature vectors; else detections and classes."""

    def spec(self, folder: Path) -> str:
        """What follows "NAME:" in the SPEC. `folder`: an empty folder in which the sink may write."""
        return str(folder / "results")

    def read(self, folder: Path) -> list[tuple[int, bool]]:
        """For each record in the final files, in their order: its frame, and whether that failed."""
        raise NotImplementedError(f"{type(self).__name__} must define read()")

    def parsed(self, folder: Path) -> Parsed:
        found: Parsed = call(self.descriptor.parse, self.spec(folder), Path)
        return found

    def made(self, folder: Path) -> Any:
        return load(self.descriptor.driver)(made(self.descriptor.options, {**self.parsed(folder).options, **self.options}))

    def whole_options(self) -> Mapping[str, Any]:
        return {**self.parsed(Path("/nowhere")).options, **self.options}

    def record(self, frame: int, failed: bool = False) -> Record:
        return job_record(frame, failed, self.features)

    def visible(self, folder: Path) -> dict[str, bytes]:
        """Final files: what is unfinished is hidden, or lies in a hidden folder."""
        paths = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
        return {str(path): (folder / path).read_bytes() for path in paths if not any(part[0] == "." for part in path.parts)}

    def finished(self, folder: Path, records: Iterable[Record]) -> dict[str, bytes]:
        folder.mkdir(exist_ok=True)
        sink = self.made(folder)
        sink.open(0, None)
        for each in records:
            sink.write(each)
        sink.sync()
        sink.finish()
        sink.close()
        return self.visible(folder)

    # -- the checks

    def test_it_can_be_a_jobs_sink(self, tmp_path: Path) -> None:
        assert isinstance(self.made(tmp_path), Finishing)
        assert_one_line(self.parsed(tmp_path).shown)

    def test_each_record_is_in_the_final_files_once_and_in_order(self, tmp_path: Path) -> None:
        self.finished(tmp_path, [self.record(frame, frame in FAILED) for frame in range(FRAMES)])
        assert self.read(tmp_path) == [(frame, frame in FAILED) for frame in range(FRAMES)]

    def test_nothing_has_its_final_name_before_the_job_is_finished(self, tmp_path: Path) -> None:
        sink = self.made(tmp_path)
        sink.open(0, None)
        for frame in range(FRAMES):
            sink.write(self.record(frame))
        sink.sync()
        assert self.visible(tmp_path) == {}
        sink.close()
        assert self.visible(tmp_path) == {}

    def test_it_goes_on_from_a_token_without_what_was_written_behind_it(self, tmp_path: Path) -> None:
        whole = self.finished(tmp_path / "whole", [self.record(frame) for frame in range(FRAMES)])
        folder = tmp_path / "killed"
        folder.mkdir()
        first = self.made(folder)
        token = first.open(0, None).token
        done = 0
        for reached in (0, 1, FRAMES // 2, FRAMES - 1):
            for frame in range(done, reached):
                token = first.write(self.record(frame))
            first.sync()
            # written and not synced, then killed: the job knows the token of the sync
            for frame in range(reached, min(reached + 3, FRAMES)):
                first.write(self.record(frame, failed=True))
            first.close()
            first, done = self.made(folder), reached
            opened = first.open(done, token)
            assert opened.next == done
            token = opened.token
        for frame in range(done, FRAMES):
            first.write(self.record(frame))
        first.finish()
        first.close()
        assert self.visible(folder) == whole

    def test_a_retry_replaces_the_records_of_frames_that_failed(self, tmp_path: Path) -> None:
        whole = self.finished(tmp_path / "whole", [self.record(frame) for frame in range(FRAMES)])
        folder = tmp_path / "retried"
        folder.mkdir()
        sink = self.made(folder)
        token = sink.open(0, None).token
        for frame in range(FRAMES):
            token = sink.write(self.record(frame, frame in FAILED))
        sink.sync()
        # some fail again; the job is finished, and retried later
        for frame in FAILED:
            token = sink.write(self.record(frame, failed=frame in FAILED[2:]))
        sink.sync()
        sink.finish()
        assert self.read(folder) == [(frame, frame in FAILED[2:]) for frame in range(FRAMES)]
        sink.close()
        again = self.made(folder)
        again.open(FRAMES, token)
        for frame in FAILED[2:]:
            again.write(self.record(frame))
        again.sync()
        again.finish()
        again.close()
        assert self.visible(folder) == whole

    def test_finish_may_be_called_again(self, tmp_path: Path) -> None:
        for name, failed in (("good", ()), ("bad", FAILED)):
            folder = tmp_path / name
            folder.mkdir()
            sink = self.made(folder)
            token = sink.open(0, None).token
            for frame in range(FRAMES):
                token = sink.write(self.record(frame, frame in failed))
            sink.sync()
            sink.finish()
            once = self.visible(folder)
            sink.finish()
            assert self.visible(folder) == once
            sink.close()
            later = self.made(folder)
            later.open(FRAMES, token)
            later.finish()
            later.close()
            assert self.visible(folder) == once

    def test_a_job_that_begins_anew_holds_nothing_of_an_earlier_one(self, tmp_path: Path) -> None:
        earlier = self.made(tmp_path)
        earlier.open(0, None)
        for frame in range(FRAMES):
            earlier.write(self.record(frame))
        earlier.close()
        self.finished(tmp_path, [self.record(0)])
        assert self.read(tmp_path) == [(0, False)]

    def test_a_job_without_records_has_final_files(self, tmp_path: Path) -> None:
        assert self.finished(tmp_path, [])
        assert self.read(tmp_path) == []

    def test_it_can_be_closed_twice_and_without_having_been_opened(self, tmp_path: Path) -> None:
        sink = self.made(tmp_path)
        sink.close()
        sink.open(0, None)
        sink.close()
        sink.close()

    def test_it_stays_at_its_place(self, tmp_path: Path) -> None:
        sink = self.made(tmp_path)
        sink.open(0, None)
        assert sink.follow() is None
        sink.close()


def job_record(frame: int, failed: bool = False, features: bool = False) -> Record:
    """Detections, classes, nothing in turn, or a vector; names with what file names may hold."""
    names = ("a b.jpg", 'x/"c",\n.png', "ünï/猫.jpg", f"{frame}.jpg")
    if failed:
        outcome = Outcome(error="three sticks\ndied of it")
    elif features:
        outcome = Outcome(features=struct.pack("<4f", frame, 0.5, -1e30, 1e-30))
    else:
        outcome = (
            Outcome([Detection("cat", 1, 0.875, (0.125, 0.25, 0.5, 0.75)), Detection("dog", 7, 0.5, (0.0, 0.0, 1.0, 1.0), 2.5)]),
            Outcome(classes=[Classified("dark", 2, 0.5), Classified("bright", 3, 0.25)]),
            Outcome(),
        )[frame % 3]
    name = f"{frame // len(names)}/{names[frame % len(names)]}"
    return Record("job", frame, 1.7e9 + frame, name, "sim-1", "demo", None if failed else 0.05, outcome, (640, 480))
