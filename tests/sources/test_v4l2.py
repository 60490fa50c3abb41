"""USB cameras: what can be told without one. Their reading is `_live`, proved in test_rtsp.py, and here on a scripted capture."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._live import Live
from ncs_cluster.sources.base import Planes
from ncs_cluster.sources.v4l2 import Options, V4l2

WIDTH, HEIGHT = 32, 24


class Scripted:
    """Behaves as a VideoCapture of a USB camera: grab waits for a frame, retrieve writes the newest into the buffer."""

    def __init__(self) -> None:
        self.frame = 0
        self.fails: Callable[[int], bool] = lambda frame: False
        self.silent = threading.Event()
        self.let_go = threading.Event()
        self.released = threading.Event()
        self.shape = (HEIGHT, WIDTH, 3)

    def get(self, _key: int) -> float:
        return 100.0

    def grab(self) -> bool:
        if self.silent.is_set():
            self.let_go.wait()
            return False
        time.sleep(0.01)
        self.frame += 1
        return not self.fails(self.frame)

    def retrieve(self, slot: Any) -> tuple[bool, Any]:
        if slot is None or slot.shape != self.shape:
            return True, np.zeros(self.shape, np.uint8)
        slot[:] = self.frame % 256
        return True, slot

    def release(self) -> None:
        self.released.set()


def live(capture: Scripted, silence_s: float = 5.0) -> Live:
    source = Live("camera x", lambda: capture, open_s=5.0, silence_s=silence_s)  # type: ignore[arg-type, return-value]
    assert source.open() == (WIDTH, HEIGHT, 100.0)
    return source


def planes() -> Planes:
    return Planes(np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def drain(source: Live, into: Planes) -> None:
    for _ in range(10_000):
        source.read(into)


def test_a_camera_that_is_away_is_retried_and_the_line_says_what_is_there() -> None:
    source = V4l2(Options("/dev/video99"))
    with pytest.raises(SourceError, match=r"camera /dev/video99: not plugged in \(cameras found: ") as away:
        source.open()
    assert not away.value.permanent
    assert "\n" not in away.value.detail
    source.close()
    source.close()


def test_a_number_names_the_device_file() -> None:
    with pytest.raises(SourceError, match="camera /dev/video98: "):
        V4l2(Options("98")).open()


def test_a_file_that_is_no_camera_is_refused() -> None:
    with pytest.raises(SourceError, match="not a capture device"):
        V4l2(Options("/dev/null")).open()


@pytest.mark.parametrize("mode", [{"width": 0}, {"height": -5}, {"fps": 0.0}])
def test_a_mode_that_makes_no_sense_is_refused(mode: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be more than 0"):
        Options("0", **mode)


class Settable(Scripted):
    """A camera that keeps what it is asked for, and has only these formats."""

    def __init__(self, formats: tuple[str, ...]) -> None:
        super().__init__()
        self.formats = formats
        self.format = "YUYV"
        self.asked: list[tuple[int, float]] = []

    def isOpened(self) -> bool:
        return True

    def set(self, key: int, value: float) -> bool:
        self.asked.append((key, value))
        name = int(value).to_bytes(4, "little").decode() if key == cv2.CAP_PROP_FOURCC else None
        if name in self.formats:
            self.format = name
        return key != cv2.CAP_PROP_FOURCC or name in self.formats

    def get(self, key: int) -> float:
        return cv2.VideoWriter.fourcc(*self.format) if key == cv2.CAP_PROP_FOURCC else 30.0


@pytest.mark.parametrize(
    ("formats", "fourcc", "chosen"),
    [
        (("YUYV", "MJPG"), "MJPG", "MJPG"),
        (("YUYV",), "MJPG", "YUYV"),
        (("YUYV", "MJPG"), "YUYV", "YUYV"),
        (("MJPG",), None, "YUYV"),
    ],
)
def test_a_camera_is_asked_for_compressed_frames_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, formats: tuple[str, ...], fourcc: str, chosen: str
) -> None:
    capture = Settable(formats)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: capture)
    (tmp_path / "video0").write_bytes(b"")
    options: dict[str, Any] = {} if fourcc == "MJPG" else {"fourcc": fourcc}
    source = V4l2(Options(str(tmp_path / "video0"), width=WIDTH, fps=15, **options))
    assert source.open().description.endswith(f"({WIDTH}x{HEIGHT}, 30 fps, {chosen})")
    asked = [(cv2.CAP_PROP_FRAME_WIDTH, WIDTH), (cv2.CAP_PROP_FPS, 15)]
    assert capture.asked == ([(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc))] if fourcc else []) + asked
    source.close()
    assert capture.released.wait(60)


@pytest.mark.parametrize("fourcc", ["MJPEG", "H\u00e4h!"])
def test_a_format_that_is_none_is_refused(fourcc: str) -> None:
    with pytest.raises(ValueError, match="fourcc must be empty or four characters"):
        Options("0", fourcc=fourcc)


def test_a_closed_camera_says_so() -> None:
    with pytest.raises(SourceError, match="closed"):
        V4l2(Options("0")).read(planes())


def test_frames_that_nobody_waited_for_are_passed_over() -> None:
    capture = Scripted()
    source, into = live(capture), planes()
    source.read(into)
    first = int(into.colour[0, 0, 0])
    time.sleep(0.2)
    before = capture.frame
    source.read(into)
    assert int(into.colour[0, 0, 0]) > before >= first
    source.close()


def test_silence_is_reported_and_a_frame_that_comes_too_late_leaves_the_slot_alone() -> None:
    capture = Scripted()
    source, into = live(capture, silence_s=1.0), planes()
    source.read(into)
    capture.silent.set()
    with pytest.raises(SourceError, match=r"camera x: no frame for 1 s"):
        drain(source, into)
    into.colour[:] = 255
    capture.silent.clear()
    capture.let_go.set()
    grabbed = capture.frame
    while capture.frame < grabbed + 5:
        time.sleep(0.01)
    assert (into.colour == 255).all()
    source.close()
    assert capture.released.wait(60)


def test_closing_does_not_wait_for_a_blocked_camera_which_is_released_when_it_lets_go() -> None:
    capture = Scripted()
    source = live(capture, silence_s=30.0)
    capture.silent.set()
    threading.Timer(0.1, source.close).start()
    # not "no frame for 30 s"
    with pytest.raises(SourceError, match="closed"):
        drain(source, planes())
    assert not capture.released.is_set()
    capture.let_go.set()
    assert capture.released.wait(60)


def test_a_frame_of_another_size_is_an_error_rather_than_a_stale_slot() -> None:
    capture = Scripted()
    source = live(capture)
    capture.shape = (HEIGHT * 2, WIDTH * 2, 3)
    with pytest.raises(SourceError, match="size changed to 64x48"):
        source.read(planes())
    assert capture.released.wait(60)
    capture.shape = (HEIGHT, WIDTH, 3)
    assert source.open() == (WIDTH, HEIGHT, 100.0)
    source.read(planes())
    source.close()


def test_a_frame_that_cannot_be_read_costs_itself_alone_and_a_hundred_in_a_row_the_camera() -> None:
    capture = Scripted()
    capture.fails = lambda frame: frame % 3 == 0
    source, into = live(capture, silence_s=5.0), planes()
    for _ in range(10):
        source.read(into)
        assert int(into.colour[0, 0, 0]) % 3
    capture.fails = lambda frame: True
    with pytest.raises(SourceError, match="camera x: the stream ended or stopped giving frames"):
        drain(source, into)
    assert capture.released.wait(60)


def test_many_readers_and_closers_in_turn_never_hang() -> None:
    for _ in range(30):
        capture = Scripted()
        source = live(capture, silence_s=5.0)
        closer = threading.Thread(target=source.close)
        source.read(planes())
        closer.start()
        with pytest.raises(SourceError, match="closed"):
            drain(source, planes())
        closer.join(60)
        assert capture.released.wait(60)
