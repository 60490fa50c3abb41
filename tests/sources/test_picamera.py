"""The Pi's own camera, with a stand-in for rpicam-vid: colours, the newest frame, and every way it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from ncs_cluster.errors import SourceError
from ncs_cluster.sources import picamera
from ncs_cluster.sources.base import Planes
from ncs_cluster.sources.picamera import Options, Picamera, bgr
from tests.sources.rpicam import COLOURS, GREY, Rpicam
from tests.waiting import until

WIDTH, HEIGHT = 128, 96


NO_CAMERA = "no such camera is found: check the ribbon cable; rpicam-hello --list-cameras lists cameras"


def opened(program: Rpicam, **more: object) -> Picamera:
    source = Picamera(Options(width=WIDTH, height=HEIGHT, fps=50.0, program=str(program.path), **more))  # type: ignore[arg-type]
    info = source.open()
    assert info[:3] == (WIDTH, HEIGHT, 50.0)
    return source


def slot() -> Planes:
    return Planes(np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def read_many(source: Picamera) -> None:
    for _ in range(10):
        source.read(slot())


def is_there(program: Rpicam) -> bool:
    """Whether the program runs."""
    for process in psutil.process_iter(["cmdline"]):
        if str(program.path) in (process.info["cmdline"] or []) and process.status() != psutil.STATUS_ZOMBIE:
            return True
    return False


def test_frames_have_the_colours_of_the_camera(tmp_path: Path) -> None:
    source = opened(Rpicam(tmp_path))
    seen = set()
    for _ in range(40):
        planes = slot()
        before_s = time.monotonic()
        captured = source.read(planes)
        assert captured is not None
        assert (captured.width, captured.height) == (WIDTH, HEIGHT)
        assert captured.captured_s <= time.monotonic()
        assert captured.captured_s > before_s - 5
        left, right = planes.colour[:, : WIDTH // 2 - 2], planes.colour[:, WIDTH // 2 + 2 :]
        assert np.ptp(left, (0, 1)).max() == 0
        rgb = tuple(int(value) for value in left[0, 0, ::-1])
        seen.add(min(COLOURS, key=lambda colour: sum(abs(a - b) for a, b in zip(colour, rgb, strict=True))))
        assert min(max(abs(a - b) for a, b in zip(colour, rgb, strict=True)) for colour in COLOURS) <= 2
        assert np.abs(right.astype(int) - GREY[0]).max() <= 1
    source.close()
    assert seen == set(COLOURS)


def test_the_conversion_is_that_of_jfif() -> None:
    random = np.random.default_rng(3)
    y, u, v = random.integers(0, 256, (HEIGHT, WIDTH), np.uint8), *random.integers(60, 200, (2, HEIGHT // 2, WIDTH // 2), np.uint8)
    planes = np.concatenate([y.ravel(), u.ravel(), v.ravel()]).reshape(-1, WIDTH)
    into = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    bgr(planes, into)
    cb, cr = (cv2.resize(plane, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR).astype(float) - 128 for plane in (u, v))
    wanted = np.stack([y + 1.772 * cb, y - 0.344136 * cb - 0.714136 * cr, y + 1.402 * cr], axis=2).clip(0, 255)
    assert np.abs(into - wanted).max() <= 1.01


def test_a_reader_that_comes_late_gets_the_newest_frame_and_none_twice(tmp_path: Path) -> None:
    source = opened(Rpicam(tmp_path))
    first, second = slot(), slot()
    one = source.read(first)
    time.sleep(0.5)
    called_s = time.monotonic()
    two = source.read(second)
    assert one is not None
    assert two is not None
    # 50 frames a second: what waited in the pipe was read meanwhile
    assert two.captured_s > called_s - 0.4
    assert source.read(second).captured_s > two.captured_s  # type: ignore[union-attr]
    source.close()


def test_the_options_reach_the_program(tmp_path: Path) -> None:
    program = Rpicam(tmp_path)
    opened(program, camera=1, rotation=180, hflip=True, autofocus="manual", lens_position=1.5).close()
    assert program.told == (
        "--nopreview --timeout 0 --codec yuv420 --output - --flush --camera 1 --framerate 50 --width 128 --height 96"
        " --rotation 180 --hflip --autofocus-mode manual --lens-position 1.5"
    )


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("no cameras available", NO_CAMERA),
        ("selected camera is not available", NO_CAMERA),
        ("failed to acquire camera /base/soc/i2c0mux/i2c@1/imx708@1a", "another program has the camera"),
        ("something \x1b[31mnew", "something \\x1b[31mnew"),
    ],
)
def test_the_reason_of_the_program_is_told(tmp_path: Path, said: str, why: str) -> None:
    with pytest.raises(SourceError) as caught:
        opened(Rpicam(tmp_path, said=f"ERROR: *** {said} ***"))
    assert str(caught.value) == f"Pi camera 0: {why}"
    assert not caught.value.permanent


def test_without_the_program_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="Pi camera 0: rpicam-vid is not installed: sudo apt install rpicam-apps-lite") as caught:
        Picamera(Options()).open()
    assert caught.value.permanent
    with pytest.raises(SourceError, match="/no/such cannot be started: No such file or directory"):
        Picamera(Options(program="/no/such")).open()


def test_the_program_of_older_systems_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Rpicam(tmp_path).path.rename(tmp_path / "libcamera-vid")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    source = Picamera(Options(width=WIDTH, height=HEIGHT))
    assert source.open().description == "Pi camera 0 (128x96, 30 fps, libcamera-vid)"
    source.close()


def test_a_camera_that_goes_away_is_told_and_opens_again(tmp_path: Path) -> None:
    source = opened(Rpicam(tmp_path, frames=3))
    with pytest.raises(SourceError, match="Pi camera 0: the sensor has gone"):
        read_many(source)
    assert source.open().width == WIDTH
    source.close()


def test_a_silent_camera_is_an_error_and_its_program_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picamera, "SILENCE_S", 0.3)
    program = Rpicam(tmp_path, frames=2, hang=True, ignores=True)
    source = opened(program)
    with pytest.raises(SourceError, match=r"Pi camera 0: no frame for 0\.3 s"):
        read_many(source)
    assert is_there(program)
    source.close()
    until(lambda: not is_there(program))
    with pytest.raises(SourceError, match="the source is closed"):
        source.read(slot())


def test_closing_wakes_a_reader(tmp_path: Path) -> None:
    source = opened(Rpicam(tmp_path, frames=1, hang=True))
    source.read(slot())
    errors: list[SourceError] = []

    def read() -> None:
        try:
            source.read(slot())
        except SourceError as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    source.close()
    source.close()
    reader.join(30)
    assert [error.detail for error in errors] == ["Pi camera 0: the source is closed"]


READER = """
import sys, time
from ncs_cluster.sources.picamera import Options, Picamera
source = Picamera(Options(width=128, height=96, program=sys.argv[1]))
source.open()
print("open", flush=True)
time.sleep(3600)
"""


def test_the_program_ends_with_the_process_that_reads_it(tmp_path: Path) -> None:
    program = Rpicam(tmp_path)
    with subprocess.Popen([sys.executable, "-c", READER, str(program.path)], stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        assert is_there(program)
        reader.send_signal(signal.SIGKILL)
    until(lambda: not is_there(program))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"width": 800}, "width must be a multiple of 64: 768 or 832"),
        ({"height": 481}, "height must be even"),
        ({"fps": 0}, r"fps must be within 0\.\.240"),
        ({"rotation": 90}, "rotation must be 0 or 180"),
        ({"autofocus": "sharp"}, "autofocus must be one of default, manual, auto, continuous"),
        ({"lens_position": -1}, r"lens_position must be within 0\.\.32 dioptres"),
        ({"camera": -1}, "camera must be a number from 0 to 99"),
    ],
)
def test_what_no_camera_can_do_is_refused(options: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Options(**options)  # type: ignore[arg-type]


def test_a_spec_names_the_camera() -> None:
    def find(path: str) -> Path:
        return Path(path)

    assert picamera.parse("picamera", find) == ({"camera": 0}, "picamera")
    assert picamera.parse("picamera:1", find) == ({"camera": 1}, "picamera:1")
    for spec in ("picamera:", "picamera:front", "picamera:١"):
        with pytest.raises(ValueError, match="wants a number, as in picamera:0"):
            picamera.parse(spec, find)
