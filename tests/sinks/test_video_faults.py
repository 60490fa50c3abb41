"""Drawn films of a job after retries, kills, full disks and films that change: each frame once, and nothing of the user's lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ncs_cluster.sinks import _video_encode, _video_records
from ncs_cluster.types import Outcome
from tests.jobs.making import film
from tests.needs import need_module, need_program
from tests.sinks import ffmpeg
from tests.sinks.drawn_film import GREYS, Items, assert_shows, boxed, drawn, expected_greys, grey, run, video, write
from tests.sinks.drawn_job import job, records, seen
from tests.tied import TIED

need_module("av")
need_program("ffmpeg", "ffmpeg")
need_program("ffprobe", "ffmpeg")


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_video_records, "FRAMES", 5)


def test_a_frame_that_succeeds_in_a_retry_is_drawn_again_and_no_other_changes(tmp_path: Path) -> None:
    film(tmp_path / "f.avi", GREYS, 320, 240)
    film(tmp_path / "g.avi", GREYS, 320, 240)
    items: Items = {"f.avi": len(GREYS), "g.avi": len(GREYS)}
    outcomes = {**boxed(), **{len(GREYS) + frame: outcome for frame, outcome in boxed().items()}}
    failed = {7: Outcome(error="three sticks have failed with it"), 21: Outcome(error="three sticks have failed with it")}
    out = run(tmp_path, items, {**outcomes, **failed})
    first, second = out / "video" / "f.avi.mp4", out / "video" / "g.avi.mp4"
    expected = expected_greys()
    expected[7], expected[21] = (drawn(grey(GREYS[frame]), failed[frame]) for frame in (7, 21))
    assert_shows(ffmpeg.frames(first), expected)
    untouched = (second.read_bytes(), second.stat().st_ino)
    again = list(records(items, {**outcomes, 21: failed[21]}))
    write(tmp_path, [again[7], again[21]], b"1")
    expected[7] = expected_greys()[7]
    assert_shows(ffmpeg.frames(first), expected)
    write(tmp_path, [list(records(items, outcomes))[21]], b"1")
    assert_shows(ffmpeg.frames(first), expected_greys())
    assert (second.read_bytes(), second.stat().st_ino) == untouched
    assert sorted(os.listdir(out / ".video")) == ["0.done", "1.done"]


def test_finishing_twice_and_writing_again_what_is_done_changes_nothing(tmp_path: Path) -> None:
    film(tmp_path / "f.avi", GREYS, 320, 240)
    items: Items = {"f.avi": len(GREYS)}
    out = run(tmp_path, items, {3: Outcome(error="f.avi: is damaged")})
    before = (out / "video.mp4").stat()
    write(tmp_path, (), b"1")
    # as after a power cut that the ledger's last note did not survive
    write(tmp_path, list(records(items, {3: Outcome(error="f.avi: is damaged")}))[-4:], b"1")
    after = (out / "video.mp4").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_film_that_is_removed_meanwhile_does_not_keep_the_job_from_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film(tmp_path / "f.avi", GREYS, 320, 240)
    film(tmp_path / "g.avi", GREYS[:8], 320, 240)
    items: Items = {"f.avi": len(GREYS), "g.avi": 8}
    job(tmp_path, items, "video").close()
    (tmp_path / "f.avi").unlink()
    write(tmp_path, records(items), None)
    assert "f.avi: cannot be read (No such file or directory)" in caplog.text
    assert_shows(ffmpeg.frames(tmp_path / "out" / "video" / "g.avi.mp4"), [drawn(grey(each), seen()) for each in GREYS[:8]])
    assert not (tmp_path / "out" / "video" / "f.avi.mp4").exists()


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = film(tmp_path_factory.mktemp("other") / "secret.avi", GREYS, 320, 240)
    (tmp_path / "f.avi").symlink_to(other)
    assert not list(run(tmp_path, {"f.avi": len(GREYS)}).rglob("*.mp4"))


@pytest.mark.parametrize("name", ["video.mp4", "video"])
def test_a_video_of_the_users_own_is_refused_and_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("precious")
    job(tmp_path, {"f.avi": 3}, "video").close()
    with pytest.raises(OSError, match="no output of this job"):
        video(tmp_path).open(0, None)
    assert (tmp_path / "out" / name).read_text() == "precious"


def test_a_full_disk_is_told_and_drawing_goes_on_once_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "f.avi", GREYS, 320, 240)
    items: Items = {"f.avi": len(GREYS)}
    job(tmp_path, items, "video").close()
    close, full = _video_encode.SegmentEncoder.close, [True]

    def fails(self: _video_encode.SegmentEncoder) -> None:
        if full[0]:
            self.abandon()
            raise OSError(28, "No space left on device")
        close(self)

    monkeypatch.setattr(_video_encode.SegmentEncoder, "close", fails)
    sink = video(tmp_path)
    sink.open(0, None)
    for record in list(records(items, boxed()))[:7]:
        sink.write(record)
    until_s = time.monotonic() + 60
    while (live := sink._live) is not None and live.failure is None:
        assert time.monotonic() < until_s
        time.sleep(0.01)
    with pytest.raises(OSError, match="No space"):
        sink.write(list(records(items, boxed()))[7])
    with pytest.raises(OSError, match="No space"):
        sink.finish()
    full[0] = False
    sink.close()
    write(tmp_path, records(items, boxed()), b"1")
    assert_shows(ffmpeg.frames(tmp_path / "out" / "video.mp4"), expected_greys())


KILLED = """
import sys
from pathlib import Path
from ncs_cluster.sinks import _video_records
_video_records.FRAMES = 5
from tests.sinks.drawn_job import records
from tests.sinks.drawn_film import GREYS, boxed, video
sink = video(Path(sys.argv[1]))
token = None if sys.argv[2] == "0" else b"1"
sink.open(0, token)
for record in list(records({"f.avi": len(GREYS)}, boxed()))[int(sys.argv[2]):]:
    sink.write(record)
    print(record.frame, flush=True)
sink.finish()
print("finished", flush=True)
"""


@pytest.mark.slow
def test_after_kills_at_any_record_each_frame_is_there_once(tmp_path: Path) -> None:
    film(tmp_path / "f.avi", GREYS, 320, 240)
    job(tmp_path, {"f.avi": len(GREYS)}, "video").close()
    acknowledged = 0
    for at in (0, 3, 4, 9, 15, 22, "finished"):
        process = subprocess.Popen(
            [*TIED, sys.executable, "-c", KILLED, str(tmp_path), str(acknowledged)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == str(at):
                break
        else:
            pytest.fail("it has ended by itself")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        acknowledged = at + 1 if isinstance(at, int) else len(GREYS)
    assert_shows(ffmpeg.frames(tmp_path / "out" / "video.mp4"), expected_greys())
    assert ffmpeg.times(tmp_path / "out" / "video.mp4") == pytest.approx([number / 25 for number in range(len(GREYS))])


def test_a_film_that_cannot_be_encoded_does_not_keep_the_job_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    film(tmp_path / "f.avi", GREYS, 320, 240)
    film(tmp_path / "g.avi", GREYS, 160, 120)
    add = _video_encode.SegmentEncoder.add

    def fails(self: _video_encode.SegmentEncoder, pixels: NDArray[np.uint8], time_s: float) -> None:
        if pixels.shape[1] == 320:
            raise ValueError("Generic error in an external library")
        add(self, pixels, time_s)

    monkeypatch.setattr(_video_encode.SegmentEncoder, "add", fails)
    out = run(tmp_path, {"f.avi": len(GREYS), "g.avi": len(GREYS)})
    assert [str(path.relative_to(out)) for path in out.rglob("*.mp4")] == ["video/g.avi.mp4"]
    assert caplog.text.count("f.avi: cannot be encoded (ValueError: Generic error in an external library)") == 1


def test_without_what_is_done_the_job_does_not_go_on(tmp_path: Path) -> None:
    film(tmp_path / "f.avi", GREYS, 320, 240)
    job(tmp_path, {"f.avi": len(GREYS)}, "video").close()
    sink = video(tmp_path)
    with pytest.raises(OSError, match="which holds what is done, is gone"):
        sink.open(5, b"1")
