"""A video file: its own rate, every frame once, and one clear line when it is none."""

from __future__ import annotations

import struct
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._film import Film
from ncs_cluster.sources._pace import LATE_S, Pace
from ncs_cluster.sources.base import Planes
from ncs_cluster.sources.video import Options, Video
from tests.sources.films import DECODES, damage, damage_mp4, grey, interlaced, reordered

WIDTH, HEIGHT = 64, 48


def record(path: Path, frames: int, fps: float = 30.0) -> str:
    """A video whose frame n has brightness 8 * n."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (WIDTH, HEIGHT))
    for n in range(frames):
        writer.write(np.full((HEIGHT, WIDTH, 3), 8 * n, np.uint8))
    writer.release()
    return str(path)


def planes(width: int = WIDTH, height: int = HEIGHT) -> Planes:
    return Planes(np.zeros((height, width, 3), np.uint8))


def numbers(video: Video, most: int = 1000) -> list[int]:
    """Frame numbers until the end, read off the pixels."""
    into, seen = planes(), []
    while len(seen) < most and video.read(into) is not None:
        seen.append(round(float(into.colour.mean()) / 8))
    return seen


def test_every_frame_comes_once_in_order_and_then_the_end_stays_the_end(tmp_path: Path) -> None:
    video = Video(Options(record(tmp_path / "a.avi", 20), paced=False))
    info = video.open()
    assert (info.width, info.height, info.fps, info.finite, info.ordered) == (WIDTH, HEIGHT, 30.0, True, True)
    assert numbers(video) == list(range(20))
    assert video.read(planes()) is None
    video.close()


def test_a_looping_video_starts_again_and_is_not_finite(tmp_path: Path) -> None:
    video = Video(Options(record(tmp_path / "a.avi", 5), loop=True, paced=False))
    assert not video.open().finite
    assert numbers(video, most=12) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    video.close()


def test_opening_again_plays_from_the_start(tmp_path: Path) -> None:
    video = Video(Options(record(tmp_path / "a.avi", 6), paced=False))
    video.open()
    numbers(video, most=3)
    video.close()
    video.close()
    video.open()
    assert numbers(video) == list(range(6))
    video.close()


def test_frames_can_be_passed_over_without_waiting_for_their_time(tmp_path: Path) -> None:
    video = Video(Options(record(tmp_path / "a.avi", 20, fps=2.0)))
    video.open()
    start = time.monotonic()
    video.skip(17)
    into = planes()
    assert video.read(into) is not None
    assert round(float(into.colour.mean()) / 8) == 17
    assert time.monotonic() - start < 4
    video.skip(100)
    assert video.read(into) is None
    video.close()


@pytest.mark.parametrize("progressive", [(), (0, 1, 2, 5), (3,)], ids=["all", "some", "most"])
def test_interlaced_frames_are_shown_as_they_are_or_refused(tmp_path: Path, progressive: tuple[int, ...]) -> None:
    """OpenCV since 4.13 says that it has read them, and gives black or the frame before."""
    video = Video(Options(interlaced(tmp_path / "camcorder.m2v", progressive), paced=False))
    if not DECODES and 0 not in progressive:
        with pytest.raises(SourceError, match=r"is interlaced or of another size, which OpenCV .* cannot convert") as refusal:
            video.open()
        assert refusal.value.permanent
        return
    video.open()
    into, seen = planes(), []
    while (captured := video.read(into)) is not None:
        assert (captured.error is None) == (DECODES or len(seen) in progressive)
        seen.append(None if captured.error else round(float(into.colour.mean())))
    assert seen == [None if each is None else pytest.approx(grey(n), abs=2) for n, each in enumerate(seen)]
    assert len(seen) == 8
    video.close()


def test_an_interlaced_film_can_be_entered_in_the_middle_and_repeated(tmp_path: Path) -> None:
    if not DECODES:
        pytest.skip("this OpenCV decodes no interlaced video")
    video = Video(Options(interlaced(tmp_path / "camcorder.m2v"), loop=True, paced=False))
    video.open()
    video.skip(5)
    into = planes()
    for n in (5, 6, 7, 0, 1):
        assert video.read(into) is not None
        assert into.colour.mean() == pytest.approx(grey(n), abs=2)
    video.close()


DAMAGED = (0, 10, 20, 21, 22, 28, 29)


def test_a_damaged_frame_costs_itself_alone(tmp_path: Path) -> None:
    path = record(tmp_path / "a.avi", 30)
    damage(path, *DAMAGED)
    video = Video(Options(path, paced=False))
    video.open()
    into, seen = planes(), []
    while (captured := video.read(into)) is not None:
        seen.append(captured.error or round(float(into.colour.mean()) / 8))
    damaged = "a.avi: cannot be decoded: its data are damaged"
    assert seen == [damaged if n in DAMAGED else n for n in range(30)]
    video.close()


def test_a_damaged_frame_keeps_its_number_for_a_reader_that_skips(tmp_path: Path) -> None:
    path = record(tmp_path / "a.avi", 30)
    damage(path, 10, 11)
    for frames, then in ((9, [9, 12, 13]), (10, [12, 13]), (11, [12, 13]), (12, [12, 13]), (13, [13])):
        video = Video(Options(path, paced=False))
        video.open()
        video.skip(frames)
        into, seen = planes(), []
        for _ in range(14 - frames):
            captured = video.read(into)
            assert captured is not None
            if captured.error is None:
                seen.append(round(float(into.colour.mean()) / 8))
        assert seen == then
        video.close()


def pixels(path: str) -> list[Any]:
    """Every frame of a film; None for one that cannot be decoded."""
    video = Video(Options(path, paced=False))
    video.open()
    into, seen = planes(), []
    while (captured := video.read(into)) is not None:
        seen.append(None if captured.error else into.colour.copy())
    video.close()
    return seen


@pytest.mark.parametrize(("packet", "frame"), [(3, 1), (4, 3), (8, 7)])
def test_a_damaged_frame_is_told_in_its_own_place_though_it_is_decoded_earlier(tmp_path: Path, packet: int, frame: int) -> None:
    whole = pixels(reordered(tmp_path / "a.mp4"))
    damage_mp4(tmp_path / "a.mp4", packet)
    seen = pixels(str(tmp_path / "a.mp4"))
    assert [n for n, each in enumerate(seen) if each is None] == [frame]
    assert [n for n, (each, wanted) in enumerate(zip(seen, whole, strict=True)) if not np.array_equal(each, wanted)] == [frame]


@pytest.mark.parametrize("loop", [False, True])
def test_a_truncated_film_says_what_is_missing(tmp_path: Path, loop: bool) -> None:
    path = Path(record(tmp_path / "a.avi", 30))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    seen: list[str | int] = []
    video = Video(Options(str(path), loop=loop, paced=False))
    video.open()
    into = planes()
    while len(seen) < 40 and (captured := video.read(into)) is not None:
        seen.append(captured.error or round(float(into.colour.mean()) / 8))
    whole = seen.index(f"a.avi: ends after {len(set(seen)) - 1} of 30 frames: it is truncated")
    assert 0 < whole < 25
    assert seen[:whole] == list(range(whole))
    assert seen[whole + 1 :] == ([*seen[: whole + 1]] * 40)[: 39 - whole] if loop else len(seen) == whole + 1
    video.open()
    video.skip(whole + 1)
    assert (video.read(into) is None) == (not loop)
    video.close()


def test_a_frame_of_another_size_than_the_first_is_shown_whole(tmp_path: Path) -> None:
    film = Film(record(tmp_path / "a.avi", 2))
    film.rewind()
    small, large = np.zeros((HEIGHT // 3, WIDTH, 3), np.uint8), np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.uint8)
    assert film.next(large) == (WIDTH, HEIGHT)
    assert film.next(small) == (round(WIDTH / 3), HEIGHT // 3)
    used = small.reshape(-1)[: round(WIDTH / 3) * HEIGHT // 3 * 3]
    assert abs(used.astype(float) - 8).max() <= 2
    film.release()


def turned(path: str, degrees: int) -> None:
    """As a telephone marks what it took upright: in the track header's matrix (ISO 14496-12, 8.3.2)."""
    one, data = 1 << 16, bytearray(Path(path).read_bytes())
    begin = data.find(b"tkhd")
    matrix = {90: (0, one, 0, -one, 0, 0, HEIGHT * one, 0, 1 << 30), 270: (0, -one, 0, one, 0, 0, 0, WIDTH * one, 1 << 30)}
    struct.pack_into(">9i", data, begin + 44 + (12 if data[begin + 4] else 0), *matrix[degrees])
    Path(path).write_bytes(data)


@pytest.mark.parametrize("degrees", [90, 270])
@pytest.mark.parametrize("loop", [False, True])
def test_a_film_that_was_taken_upright_is_shown_upright_to_its_end(tmp_path: Path, degrees: int, loop: bool) -> None:
    path = record(tmp_path / "upright.mp4", 5)
    turned(path, degrees)
    video = Video(Options(path, paced=False, loop=loop))
    info = video.open()
    assert (info.width, info.height) == (HEIGHT, WIDTH)
    into, frames = planes(HEIGHT, WIDTH), 0
    while frames < 12 and video.read(into) is not None:
        frames += 1
        assert (into.colour != 77).any(), "it was left as it was"
        into.colour[:] = 77
    assert frames == (12 if loop else 5)
    video.close()


def test_a_frame_smaller_than_the_slot_lies_at_its_start(tmp_path: Path) -> None:
    video = Video(Options(record(tmp_path / "a.avi", 3), paced=False))
    video.open()
    for n in range(3):
        into = planes(2 * WIDTH, 2 * HEIGHT)
        captured = video.read(into)
        assert captured is not None
        assert (captured.width, captured.height) == (WIDTH, HEIGHT)
        used = WIDTH * HEIGHT * 3
        assert abs(into.colour.reshape(-1)[:used].mean() - 8 * n) < 2
        assert not into.colour.reshape(-1)[used:].any()
    video.close()


def test_a_slot_that_is_too_small_is_refused_rather_than_left_stale(tmp_path: Path) -> None:
    video = Video(Options(record(tmp_path / "a.avi", 3), paced=False))
    video.open()
    with pytest.raises(SourceError, match="larger than its slot"):
        video.read(planes(WIDTH // 2, HEIGHT // 2))
    video.close()


def test_a_paced_video_takes_its_own_time(tmp_path: Path) -> None:
    video = Video(Options(record(tmp_path / "a.avi", 11, fps=20.0)))
    assert not video.open().ordered
    start = time.monotonic()
    assert numbers(video) == list(range(11))
    assert 0.49 <= time.monotonic() - start < 4
    video.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"this is a text file\n" * 50, b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 500],
    ids=["empty", "text", "torn"],
)
def test_what_is_no_video_is_refused_for_good_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="is not a video") as refusal:
        Video(Options(str(path))).open()
    assert refusal.value.permanent
    assert "\n" not in refusal.value.detail


@pytest.mark.parametrize("name", ["absent.mp4", "."])
def test_a_missing_file_or_a_folder_is_refused_for_good(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="no video file at") as refusal:
        Video(Options(str(tmp_path / name))).open()
    assert refusal.value.permanent


def test_closing_from_another_thread_wakes_a_waiting_read(tmp_path: Path) -> None:
    video = Video(Options(record(tmp_path / "a.avi", 5, fps=0.1)))
    video.open()
    video.read(planes())
    closer = threading.Timer(0.1, video.close)
    closer.start()
    start = time.monotonic()
    with pytest.raises(SourceError, match="closed"):
        video.read(planes())
    assert time.monotonic() - start < 5, "the next frame is due after 10 s"
    closer.join()
    with pytest.raises(SourceError, match="closed"):
        video.read(planes())


def test_a_real_h264_file_gives_all_its_frames(test_data: Path) -> None:
    video = Video(Options(str(test_data / "media" / "bottle-detection.mp4"), paced=False))
    info = video.open()
    into, frames = planes(info.width, info.height), 0
    while video.read(into) is not None:
        frames += 1
    assert frames == 1189
    assert info.fps == pytest.approx(29.833, abs=0.001)
    video.close()


@given(st.floats(1, 240), st.lists(st.floats(0, LATE_S), min_size=1, max_size=50))
def test_pacing_does_not_drift_however_late_the_reader_comes(fps: float, delays: list[float]) -> None:
    pace, now, last = Pace(fps), 100.0, 0.0
    for n, delay in enumerate(delays):
        due = 100.0 + n / fps
        asked = max(now, last)
        if asked > due + LATE_S:
            return  # too late to catch up: the next test's case
        wait = pace.wait_s(asked)
        assert asked + wait >= due - 1e-6
        assert wait == pytest.approx(max(0.0, due - asked), abs=1e-6)
        last = asked + wait
        now = last + delay / 10


def test_a_reader_that_was_away_goes_on_from_now() -> None:
    pace = Pace(10.0)
    assert pace.wait_s(0.0) == 0.0
    assert pace.wait_s(0.02) == pytest.approx(0.08)
    assert pace.wait_s(7.0) == 0.0
    assert pace.wait_s(7.0) == pytest.approx(0.1)
