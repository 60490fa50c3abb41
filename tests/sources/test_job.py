"""The items of a job as frames: each once, in order, whatever can be read; and again from any frame on."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from ncs_cluster.errors import SourceError
from ncs_cluster.jobs.ledger import BATCH, Failure, Ledger, Root
from ncs_cluster.messages import FrameCaptured, FromCamera
from ncs_cluster.sources._item_film import ItemFilm
from ncs_cluster.sources.base import Captured, Planes
from ncs_cluster.sources.job import Job, Options
from ncs_cluster.types import CameraName, FrameRef
from tests.jobs.making import HEIGHT, WIDTH, film, ledger, picture

Seen = tuple[str | None, int | None, int | str | None]
"""Item, number in it, and brightness or error."""


def planes(width: int = WIDTH, height: int = HEIGHT) -> Planes:
    return Planes(np.zeros((height, width, 3), np.uint8))


def frames(job: Job, most: int = 1000, width: int = WIDTH, height: int = HEIGHT) -> list[Seen]:
    into, seen = planes(width, height), []
    while len(seen) < most and (captured := job.read(into)) is not None:
        seen.append(told(captured, into))
    return seen


def told(captured: Captured, into: Planes) -> Seen:
    if captured.error is not None:
        return captured.item, captured.item_frame, captured.error
    pixels = into.colour.reshape(-1)[: captured.width * captured.height * 3]
    return captured.item, captured.item_frame, round(float(pixels.mean()))


def options(folder: Path, **more: object) -> Options:
    return Options(str(folder / "ledger.sqlite"), WIDTH, HEIGHT, **more)  # type: ignore[arg-type]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Pictures, films, and files that are neither."""
    picture(tmp_path / "0.png", 10)
    film(tmp_path / "1.avi", [20, 30, 40])
    (tmp_path / "2.jpg").write_bytes(b"no picture")
    picture(tmp_path / "3.png", 50)
    (tmp_path / "4.mp4").write_bytes(b"no film")
    film(tmp_path / "5.avi", [60, 70])
    ledger(tmp_path, [f"{n}.{end}" for n, end in enumerate(["png", "avi", "jpg", "png", "mp4", "avi", "png"])]).close()
    return tmp_path


WHOLE: list[tuple[str, int | None, object]] = [
    ("0.png", None, 10),
    ("1.avi", 0, 20),
    ("1.avi", 1, 30),
    ("1.avi", 2, 40),
    (
        "2.jpg",
        None,
        "2.jpg: is no picture that OpenCV can decode (JPEG, PNG, BMP, WebP, GIF, TIFF, JPEG 2000, AVIF, Netpbm): convert it",
    ),
    ("3.png", None, 50),
    ("4.mp4", None, "4.mp4: is neither a picture nor a video that OpenCV can decode"),
    ("5.avi", 0, 60),
    ("5.avi", 1, 70),
    ("6.png", None, "6.png: cannot be read (No such file or directory)"),
]


def close(seen: list[Seen]) -> list[Seen]:
    """Motion JPEG may change a brightness by one."""
    return [(item, frame, what if isinstance(what, str) or what is None else round(what, -1)) for item, frame, what in seen]


@pytest.mark.parametrize("readers", [1, 3])
def test_every_frame_comes_once_in_order_and_what_cannot_be_read_has_its_reason(mixed: Path, readers: int) -> None:
    job = Job(options(mixed, readers=readers))
    info = job.open()
    assert (info.finite, info.ordered, info.width, info.height, info.description) == (True, True, WIDTH, HEIGHT, "7 items")
    assert close(frames(job)) == WHOLE
    assert job.read(planes()) is None
    job.close()
    assert Ledger(str(mixed / "ledger.sqlite")).end == len(WHOLE)


@pytest.mark.parametrize("behind", range(len(WHOLE) + 1))
def test_another_process_goes_on_at_any_frame(mixed: Path, behind: int) -> None:
    first = Job(options(mixed, readers=2))
    first.open()
    assert len(frames(first, most=behind)) == behind
    second = Job(options(mixed, readers=2))
    second.open()
    second.skip(behind)
    assert close(frames(second)) == WHOLE[behind:]
    assert Ledger(str(mixed / "ledger.sqlite")).end == len(WHOLE)


def test_the_picture_has_the_size_of_its_file_and_fits_into_the_slot(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 100, width=WIDTH * 4, height=HEIGHT * 2)
    film(tmp_path / "b.avi", [100], width=WIDTH * 2, height=HEIGHT * 2)
    ledger(tmp_path, ["a.png", "b.avi"]).close()
    job, into = Job(options(tmp_path)), planes()
    job.open()
    first, second = job.read(into), job.read(into)
    assert first is not None
    assert second is not None
    assert (first.size, first.width, first.height) == ((WIDTH * 4, HEIGHT * 2), WIDTH, HEIGHT // 2)
    assert (second.size, second.width, second.height) == ((WIDTH * 2, HEIGHT * 2), WIDTH, HEIGHT)
    assert abs(float(into.colour.mean()) - 100) < 2


def test_frames_of_films_have_the_rate_of_their_film_and_pictures_none(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 100)
    film(tmp_path / "b.avi", [100, 110], fps=12.5)
    film(tmp_path / "c.avi", [100], fps=29.97)
    ledger(tmp_path, ["a.png", "b.avi", "c.avi", "no.avi"]).close()
    job = Job(options(tmp_path))
    job.open()
    seen = [job.read(planes()) for _ in range(5)]
    assert [None if each is None else each.item_fps for each in seen] == [None, 12.5, 12.5, pytest.approx(29.97), None]


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf"), 90_000.0])
def test_a_rate_that_no_film_has_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fps: float) -> None:
    film(tmp_path / "a.avi", [100])
    opened = ItemFilm(str(tmp_path / "a.avi"), None, (WIDTH, HEIGHT))
    monkeypatch.setattr(opened._film, "declared_fps", fps)
    assert opened.fps == 0
    opened.close()


def test_a_turned_photograph_has_the_size_in_which_it_is_shown(tmp_path: Path) -> None:
    encoded = cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), 50, np.uint8))[1].tobytes()
    turned = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    exif = b"Exif\0\0" + turned
    (tmp_path / "a.jpg").write_bytes(encoded[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + encoded[2:])
    ledger(tmp_path, ["a.jpg"]).close()
    job = Job(options(tmp_path))
    job.open()
    captured = job.read(planes())
    assert captured is not None
    assert captured.size == (HEIGHT, WIDTH)


def test_a_retry_reads_the_failed_frames_alone_and_one_that_is_mended_is_read(mixed: Path) -> None:
    job = Job(options(mixed))
    job.open()
    book = Ledger(str(mixed / "ledger.sqlite"))
    for frame, (item, item_frame, what) in enumerate(frames(job)):
        if isinstance(what, str):
            book.fail(Failure(frame, item, item_frame, what))
    book.fail(Failure(2, "1.avi", 1, "given up"))
    book.fail(Failure(3, "1.avi", 2, "given up"))
    assert book.begin_retry() == 5
    picture(mixed / "2.jpg", 90)
    film(mixed / "4.mp4", [80, 80])
    again = Job(options(mixed))
    assert again.open().description == "5 frames to try again"
    assert close(frames(again)) == [
        ("1.avi", 1, 30),
        ("1.avi", 2, 40),
        ("2.jpg", None, 90),
        (
            "4.mp4",
            0,
            "4.mp4: can be read now, but this job has one frame for it; give it a job of its own: "
            f"ncsctl run {mixed}/4.mp4 --graph SAME --out OTHER",
        ),
        WHOLE[9],
    ]
    assert again.read(planes()) is None
    assert (book.end, book.frames_of(4)) == (5, 1)


def test_the_command_for_a_mended_film_can_be_given_to_a_shell_and_is_text(tmp_path: Path) -> None:
    name = b"it's \xff.mp4"
    book = ledger(tmp_path, [])
    book.begin({}, [Root(str(tmp_path), "", confined=True)], [(0, name)], ["jsonl"])
    job = Job(options(tmp_path))
    job.open()
    assert len(frames(job)) == 1
    book.fail(Failure(0, "x", None, "cannot be read"))
    book.begin_retry()
    film(tmp_path / "a.avi", [10, 20]).rename(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    again = Job(options(tmp_path))
    again.open()
    told = again.read(planes())
    assert told is not None
    assert told.error is not None
    told.error.encode()
    said = shlex.split(told.error.partition("its own: ")[2])
    assert said == ["ncsctl", "run", f"{tmp_path}/it's \\udcff.mp4", "--graph", "SAME", "--out", "OTHER"]


def test_a_film_that_lost_its_end_since_has_no_such_frame_any_more(tmp_path: Path) -> None:
    film(tmp_path / "a.avi", [20, 30, 40])
    book = ledger(tmp_path, ["a.avi"])
    job = Job(options(tmp_path))
    job.open()
    frames(job)
    book.fail(Failure(2, "a.avi", 2, "given up"))
    book.begin_retry()
    film(tmp_path / "a.avi", [20])
    again = Job(options(tmp_path))
    again.open()
    assert frames(again) == [("a.avi", 2, "a.avi: has no frame 2 any more")]


def test_a_strict_job_ends_behind_its_first_failure_and_is_not_done(mixed: Path) -> None:
    job = Job(options(mixed, strict=True))
    job.open()
    assert close(frames(job)) == WHOLE[:5]
    assert Ledger(str(mixed / "ledger.sqlite")).end is None


def test_links_out_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    picture(tmp_path / "secret.png", 10)
    film(tmp_path / "secret.avi", [10])
    picture(home / "b.png", 20)
    (home / "a.png").symlink_to(tmp_path / "secret.png")
    (home / "c.avi").symlink_to(tmp_path / "secret.avi")
    (home / "d.png").symlink_to(home / "b.png")
    ledger(home, ["a.png", "b.png", "c.avi", "d.png"]).close()
    job = Job(options(home))
    job.open()
    assert frames(job) == [
        ("a.png", None, "a.png: is a link out of the folder"),
        ("b.png", None, 20),
        ("c.avi", None, "c.avi: is a link out of the folder"),
        ("d.png", None, 20),
    ]


def test_files_without_a_known_ending_are_told_apart_by_their_content(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 10).rename(tmp_path / "a.upload")
    film(tmp_path / "b.avi", [20, 30]).rename(tmp_path / "b.upload")
    (tmp_path / "c").write_bytes(b"text")
    os.mkfifo(tmp_path / "d")
    ledger(tmp_path, ["a.upload", "b.upload", "c", "d"]).close()
    job = Job(options(tmp_path))
    job.open()
    assert close(frames(job)) == [
        ("a.upload", None, 10),
        ("b.upload", 0, 20),
        ("b.upload", 1, 30),
        ("c", None, "c: is neither a picture nor a video that OpenCV can decode"),
        ("d", None, "d: is no regular file"),
    ]


def test_sizes_and_names_as_large_as_files_have_them_can_be_sent(tmp_path: Path) -> None:
    """A wide picture, and a long path that is not UTF-8 and takes six times its bytes as text."""
    name = b"/".join([b"\xff" * 250] * 4)
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).mkdir(parents=True)
    picture(tmp_path / "a.png", 100, width=40_000, height=2)
    (tmp_path / "a.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b"/a.png"))
    (tmp_path / "wider.ppm").write_bytes(b"P6\n2000000 1\n255\n" + bytes(6_000_000))
    book = ledger(tmp_path, [])
    book.begin({}, [Root(str(tmp_path), "", confined=True)], [(0, name + b"/a.png"), (0, b"wider.ppm")], ["jsonl"])
    job, into = Job(options(tmp_path)), planes()
    job.open()
    first, second = job.read(into), job.read(into)
    assert first is not None
    assert second is not None
    assert first.size == (40_000, 2)
    assert second.error == "wider.ppm: has 2000000x1 pixels, more than 1048576 on a side"
    for each in (first, second):
        ref = FrameRef(CameraName("job"), 0, 0, 0, each.width, each.height)
        sent = FrameCaptured(ref, 0.0, 0.0, each.item, each.error, each.size)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=FromCamera) == sent


def test_a_film_whose_name_is_not_utf_8_has_its_frames(tmp_path: Path) -> None:
    film(tmp_path / "a.avi", [20, 30]).rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.avi"))
    book = ledger(tmp_path, [])
    book.begin({}, [Root(str(tmp_path), "", confined=True)], [(0, b"\xff.avi")], ["jsonl"])
    job = Job(options(tmp_path))
    job.open()
    assert close(frames(job)) == [("\\udcff.avi", 0, 20), ("\\udcff.avi", 1, 30)]


def test_without_its_ledger_it_is_refused_for_good(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file") as refused:
        Job(options(tmp_path)).open()
    assert refused.value.permanent


@pytest.mark.parametrize("step", ["open", "skip", "read"])
def test_a_ledger_that_is_damaged_is_refused_for_good_at_every_step(tmp_path: Path, step: str) -> None:
    """It would be opened again for ever."""
    names = [f"{n}.png" for n in range(3 * BATCH)]
    picture(tmp_path / names[0], 1)
    book = ledger(tmp_path, names)
    damaged = {"open": 0, "skip": 2 * BATCH, "read": BATCH}[step]
    book._db.execute("UPDATE items SET name = 7 WHERE number = ?", (damaged,))
    book.close()
    job = Job(options(tmp_path))

    def all_steps() -> None:
        job.open()
        if step == "skip":
            job.skip(2 * BATCH)
        frames(job, 2 * BATCH)

    with pytest.raises(SourceError, match=r"ledger\.sqlite is damaged") as error:
        all_steps()
    assert error.value.permanent
