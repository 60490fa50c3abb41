"""Drawn films of a job: every frame once, at its own time, with its boxes and the film's sound, whatever is killed meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from ncs_cluster.sinks import _video_encode, _video_join, _video_records
from ncs_cluster.types import Outcome
from tests.jobs.making import film, picture
from tests.needs import need_module, need_program
from tests.sinks import ffmpeg
from tests.sinks.drawn_film import GREYS, assert_shows, boxed, drawn, expected_greys, grey, run, video
from tests.sinks.drawn_job import seen
from tests.sources.films import damage

need_module("av")
need_program("ffmpeg", "ffmpeg")
need_program("ffprobe", "ffmpeg")


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_video_records, "FRAMES", 5)


def test_every_frame_of_a_film_has_its_own_boxes(tmp_path: Path) -> None:
    film(tmp_path / "f.avi", GREYS, 320, 240)
    out = run(tmp_path, {"f.avi": len(GREYS)}, boxed())
    assert_shows(ffmpeg.frames(out / "video.mp4"), expected_greys())
    assert ffmpeg.times(out / "video.mp4") == pytest.approx([number / 25 for number in range(len(GREYS))])
    assert ffmpeg.shown(out / "video.mp4", "v", "stream", "codec_name,width,height,pix_fmt,duration") == [
        "h264,320,240,yuv420p,0.920000"
    ]
    head = (out / "video.mp4").read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")
    assert sorted(os.listdir(out)) == [".video", "video.mp4"]
    assert os.listdir(out / ".video") == ["0.done"]
    for _ in range(2):
        video(tmp_path).tidy()
        assert os.listdir(out) == ["video.mp4"]


def test_a_film_of_changing_rate_keeps_every_time_and_its_sound_is_copied(tmp_path: Path) -> None:
    ffmpeg.make(
        *("-f", "lavfi", "-i", "testsrc2=s=320x240:r=30:d=3", "-f", "lavfi", "-i", "sine=f=440:d=3"),
        *("-vf", "select='not(mod(n,7))+not(mod(n,5))'", "-fps_mode", "vfr", "-c:v", "libx264", "-c:a", "aac", tmp_path / "f.mp4"),
    )
    count = len(ffmpeg.times(tmp_path / "f.mp4"))
    out = run(tmp_path, {"f.mp4": count}, {frame: Outcome() for frame in range(count)})
    assert ffmpeg.times(out / "video.mp4") == pytest.approx(ffmpeg.times(tmp_path / "f.mp4"), abs=1e-5)
    assert len(set(np.diff(ffmpeg.times(out / "video.mp4")).round(4))) > 2
    assert ffmpeg.sounds(out / "video.mp4") == ffmpeg.sounds(tmp_path / "f.mp4")
    assert len(ffmpeg.sounds(out / "video.mp4")) > 100
    starts = [ffmpeg.shown(path, "", "stream", "start_time,duration") for path in (out / "video.mp4", tmp_path / "f.mp4")]
    assert starts[0] == starts[1]


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", None])
def test_colours_stay_those_of_the_film(tmp_path: Path, matrix: str | None) -> None:
    how = ["-vf", f"scale=out_color_matrix={matrix},format=yuv420p", "-colorspace", matrix] if matrix else ["-pix_fmt", "yuv420p"]
    ffmpeg.make("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=0.4", *how, "-c:v", "libx264", "-qp", "4", tmp_path / "f.mp4")
    out = run(tmp_path, {"f.mp4": 10}, {frame: Outcome() for frame in range(10)})
    planes = [["-i", str(path), "-f", "rawvideo", "-pix_fmt", "yuv420p"] for path in (tmp_path / "f.mp4", out / "video.mp4")]
    for words, to in zip(planes, ("a.yuv", "b.yuv"), strict=True):
        ffmpeg.make(*words, tmp_path / to)
    before, after = (np.fromfile(tmp_path / name, np.uint8).astype(int) for name in ("a.yuv", "b.yuv"))
    assert np.abs(before - after).mean() < 2
    tags = [ffmpeg.shown(path, "v", "stream", "color_space") for path in (tmp_path / "f.mp4", out / "video.mp4")]
    assert tags[0] == tags[1] == [matrix or "unknown"]


def test_sound_that_an_mp4_file_cannot_hold_is_left_out(tmp_path: Path) -> None:
    ffmpeg.make(
        *("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=0.4", "-f", "lavfi", "-i", "sine=d=0.4"),
        *("-c:v", "mpeg4", "-c:a", "wmav2", tmp_path / "f.mkv"),
    )
    out = run(tmp_path, {"f.mkv": 10})
    assert ffmpeg.shown(out / "video.mp4", "", "stream", "codec_name") == ["h264"]
    assert len(ffmpeg.times(out / "video.mp4")) == 10


def test_sound_that_begins_before_the_picture_stays_in_time(tmp_path: Path) -> None:
    ffmpeg.make(
        *("-itsoffset", "0.5", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1.5"),
        *("-c:v", "mpeg2video", "-c:a", "mp2", "-f", "mpegts", tmp_path / "f.ts"),
    )
    out = run(tmp_path, {"f.ts": 25})

    def lead(path: Path) -> float:
        picture, sound = (float(ffmpeg.shown(path, kind, "packet", "pts_time")[0].split(",")[0]) for kind in "va")
        return picture - sound

    assert lead(tmp_path / "f.ts") > 0.4
    assert lead(out / "video.mp4") == pytest.approx(lead(tmp_path / "f.ts"), abs=0.002)
    assert ffmpeg.sounds(out / "video.mp4") == ffmpeg.sounds(tmp_path / "f.ts")


def test_a_damaged_frame_shows_the_one_before_with_the_reason(tmp_path: Path) -> None:
    film(tmp_path / "f.avi", GREYS, 320, 240)
    damage(tmp_path / "f.avi", 5, 12)
    outcomes = boxed()
    for frame in (5, 12):
        outcomes[frame] = Outcome(error="f.avi: cannot be decoded: its data are damaged")
    out = run(tmp_path, {"f.avi": len(GREYS)}, outcomes)
    expected = expected_greys()
    for frame in (5, 12):
        expected[frame] = drawn(grey(GREYS[frame - 1]), Outcome(error="cannot be decoded: its data are damaged"))
    assert_shows(ffmpeg.frames(out / "video.mp4"), expected)
    assert ffmpeg.times(out / "video.mp4") == pytest.approx([number / 25 for number in range(len(GREYS))])


def test_a_film_that_begins_with_a_damaged_frame_begins_black(tmp_path: Path) -> None:
    film(tmp_path / "f.avi", [200, 210, 220], 320, 240)
    damage(tmp_path / "f.avi", 0)
    out = run(tmp_path, {"f.avi": 3}, {0: Outcome(error="f.avi: is damaged")})
    expected = [drawn(grey(0), Outcome(error="is damaged")), drawn(grey(210), seen()), drawn(grey(220), seen())]
    assert_shows(ffmpeg.frames(out / "video.mp4"), expected)


def test_several_films_lie_in_a_folder_by_their_names_and_pictures_are_passed_over(tmp_path: Path) -> None:
    film(tmp_path / "a" / "f.avi", GREYS[:7], 320, 240)
    picture(tmp_path / "b.png", 100)
    film(tmp_path / "c.avi", GREYS[10:17], 160, 120)
    out = run(tmp_path, {"a/f.avi": 7, "b.png": None, "c.avi": 7})
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.mp4")) == ["video/a/f.avi.mp4", "video/c.avi.mp4"]
    assert_shows(ffmpeg.frames(out / "video" / "a" / "f.avi.mp4"), [drawn(grey(each), seen()) for each in GREYS[:7]])
    assert_shows(ffmpeg.frames(out / "video" / "c.avi.mp4"), [drawn(grey(each, 160, 120), seen()) for each in GREYS[10:17]])


def test_a_job_of_pictures_alone_has_no_video(tmp_path: Path) -> None:
    picture(tmp_path / "b.png", 100)
    assert os.listdir(run(tmp_path, {"b.png": None})) == [".video"]


def test_an_odd_size_gets_a_row_and_a_column_more(tmp_path: Path) -> None:
    ffmpeg.make("-f", "lavfi", "-i", "testsrc=s=161x121:r=25:d=0.2", "-c:v", "ffv1", tmp_path / "f.mkv")
    out = run(tmp_path, {"f.mkv": 5})
    assert ffmpeg.shown(out / "video.mp4", "v", "stream", "width,height") == ["162,122"]


def test_without_an_encoder_for_h264_it_is_mpeg4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_video_encode, "CODECS", (("no_such_encoder", {}), *_video_encode.CODECS[-1:]))
    ffmpeg.make("-f", "lavfi", "-i", "testsrc2=s=320x240:r=30000/1001:d=0.7", "-c:v", "mpeg4", tmp_path / "f.ts")
    count = len(ffmpeg.times(tmp_path / "f.ts"))
    out = run(tmp_path, {"f.ts": count}, {frame: Outcome() for frame in range(count)})
    assert ffmpeg.shown(out / "video.mp4", "v", "stream", "codec_name") == ["mpeg4"]
    assert ffmpeg.times(out / "video.mp4") == pytest.approx(ffmpeg.times(tmp_path / "f.ts"), abs=1e-4)
    assert_shows(ffmpeg.frames(out / "video.mp4"), list(ffmpeg.frames(tmp_path / "f.ts")))


def test_a_film_that_its_metadata_turn_as_telephones_do_is_upright(tmp_path: Path) -> None:
    ffmpeg.make("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=0.4", "-c:v", "libx264", "-qp", "4", tmp_path / "flat.mp4")
    ffmpeg.make("-i", tmp_path / "flat.mp4", "-c", "copy", "-metadata:s:v:0", "rotate=90", tmp_path / "f.mp4")
    shown = cv2.VideoCapture(str(tmp_path / "f.mp4"))
    frames = []
    while (read := shown.read())[0]:
        frames.append(np.asarray(read[1], np.uint8))
    out = run(tmp_path, {"f.mp4": 10}, {frame: Outcome() for frame in range(10)})
    assert frames[0].shape == (320, 240, 3)
    assert_shows(ffmpeg.frames(out / "video.mp4"), frames)


def test_sound_that_cannot_be_copied_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ffmpeg.make(
        *("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=0.4", "-f", "lavfi", "-i", "sine=d=0.4"),
        *("-c:v", "mpeg4", "-c:a", "aac", tmp_path / "f.mp4"),
    )
    monkeypatch.setattr(_video_join, "_sounds", lambda *_: (_ for _ in ()).throw(ValueError("Malformed AAC bitstream")))
    out = run(tmp_path, {"f.mp4": 10})
    assert ffmpeg.shown(out / "video.mp4", "", "stream", "codec_name") == ["h264"]
    assert len(ffmpeg.times(out / "video.mp4")) == 10
    assert "without its sound, which cannot be copied: ValueError: Malformed AAC bitstream" in caplog.text


@pytest.mark.parametrize(
    ("rate", "ending", "codec"), [("30000/1001", "avi", "mpeg4"), ("24", "mov", "prores"), ("12", "webm", "vp8")]
)
def test_films_of_many_kinds_keep_their_times(tmp_path: Path, rate: str, ending: str, codec: str) -> None:
    path = tmp_path / f"f.{ending}"
    ffmpeg.make("-f", "lavfi", "-i", f"testsrc2=s=320x240:r={rate}:d=0.8", "-c:v", codec, "-b:v", "4M", path)
    count = len(ffmpeg.times(path))
    out = run(tmp_path, {path.name: count}, {frame: Outcome() for frame in range(count)})
    assert ffmpeg.times(out / "video.mp4") == pytest.approx(ffmpeg.times(path), abs=2e-5)
    assert_shows(ffmpeg.frames(out / "video.mp4"), list(ffmpeg.frames(path)))
