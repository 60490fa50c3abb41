"""RealSense, on the real librealsense: a software device with known depth, recordings made from it, and one of a D435."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Iterator, Optional

import numpy as np
import pytest

from ncs_cluster.errors import SourceError
from ncs_cluster.sources import realsense
from ncs_cluster.sources.base import Planes, SourceInfo
from ncs_cluster.sources.realsense import Options, RealSense
from tests.needs import need_pyrealsense2

pytestmark = pytest.mark.slow

rs = need_pyrealsense2()

WIDTH, HEIGHT, FPS = 640, 480, 30
DEPTH_FOCAL, COLOUR_FOCAL = 385.0, 615.0
BASELINE_M = 0.015
NEAR_M, FAR_M = 1.234, 3.0
EDGE = 330
"""Column of the depth image where near ends and far begins."""


def intrinsics(focal: float) -> Any:
    made = rs.intrinsics()
    made.width, made.height, made.fx, made.fy = WIDTH, HEIGHT, focal, focal
    made.ppx, made.ppy = WIDTH / 2, HEIGHT / 2
    made.model, made.coeffs = rs.distortion.none, [0.0] * 5
    return made


def stream(kind: Any, uid: int, form: Any, size: int, focal: float) -> Any:
    made = rs.video_stream()
    made.type, made.index, made.uid, made.fmt, made.bpp = kind, 0, uid, form, size
    made.width, made.height, made.fps, made.intrinsics = WIDTH, HEIGHT, FPS, intrinsics(focal)
    return made


class Stage:
    """A software device that looks at a near wall on the left and a far one on the right, its colour camera 15 mm aside."""

    def __init__(self, colour_format: Optional[str] = None, units: float = 0.001, infrared: bool = False) -> None:
        """`infrared`: it has an infrared camera at the depth camera's place instead of the colour camera."""
        form = getattr(rs.format, "y8" if infrared else colour_format or "bgr8")
        self.units = units
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.name, "Stage")
        self.device.register_info(rs.camera_info.serial_number, "42")
        self.depth_sensor, self.colour_sensor = self.device.add_sensor("Depth"), self.device.add_sensor("Color")
        self.bytes = 1 if infrared else 2 if form in (rs.format.yuyv, rs.format.uyvy) else 3
        self.depth_profile = self.depth_sensor.add_video_stream(stream(rs.stream.depth, 0, rs.format.z16, 2, DEPTH_FOCAL))
        picture = stream(rs.stream.color, 1, form, self.bytes, COLOUR_FOCAL)
        if infrared:
            picture = stream(rs.stream.infrared, 1, form, self.bytes, DEPTH_FOCAL)
            picture.index = 1
        self.colour_profile = self.colour_sensor.add_video_stream(picture)
        self.depth_sensor.add_read_only_option(rs.option.depth_units, units)
        aside = rs.extrinsics()
        aside.rotation, aside.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [0 if infrared else BASELINE_M, 0, 0]
        self.depth_profile.register_extrinsics_to(self.colour_profile, aside)
        self.device.create_matcher(rs.matchers.dlr_c)
        self.depth = np.empty((HEIGHT, WIDTH), np.uint16)
        self.depth[:, :EDGE], self.depth[:, EDGE:] = round(NEAR_M / units), round(FAR_M / units)
        self.colour = np.empty((HEIGHT, WIDTH, self.bytes), np.uint8)
        self.colour[:] = (10, 200, 90)[: self.bytes]
        self.number = 0
        self.silent, self.stopped = threading.Event(), threading.Event()
        self.with_depth = True

    def show(self) -> None:
        """One frame of both streams."""
        pairs: list[tuple[Any, ...]] = [(self.colour_sensor, self.colour_profile, self.colour, self.bytes)]
        if self.with_depth:
            pairs.insert(0, (self.depth_sensor, self.depth_profile, self.depth, 2))
        for sensor, profile, pixels, size in pairs:
            frame = rs.software_video_frame()
            frame.pixels, frame.bpp, frame.stride = pixels, size, WIDTH * size
            frame.timestamp, frame.frame_number = self.number * 1000 / FPS, self.number
            frame.domain, frame.profile = rs.timestamp_domain.hardware_clock, profile.as_video_stream_profile()
            if size == 2 and sensor is self.depth_sensor:
                frame.depth_units = self.units
            sensor.on_video_frame(frame)
        self.number += 1

    def run(self) -> None:
        while not self.stopped.wait(1 / FPS):
            if not self.silent.is_set():
                try:
                    self.show()
                except RuntimeError:
                    pass  # nobody has opened the sensors


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    made = Stage(*getattr(request, "param", ()))
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stopped.set()
    thread.join()


def planes(info: SourceInfo) -> Planes:
    return Planes(np.zeros((info.height, info.width, 3), np.uint8), np.zeros((info.height, info.width), np.uint16))


def distances(depth: np.ndarray, scale_m: float) -> tuple[float, float]:
    """Median distance on the left and right third, metres."""
    metres = np.where(depth > 0, depth * scale_m, np.nan)
    return float(np.nanmedian(metres[:, : WIDTH // 3])), float(np.nanmedian(metres[:, -WIDTH // 3 :]))


def read_paired(source: RealSense, into: Planes) -> None:
    """Read until a frame has depth: the first ones may come alone."""
    for _ in range(30):
        assert source.read(into) is not None
        if into.depth is not None and into.depth.any():
            return
    pytest.fail("no depth in 30 frames")


@pytest.mark.parametrize("stage", [(None, 0.001), (None, 0.00025)], indirect=True, ids=["1 mm", "0.25 mm"])
def test_known_distances_come_out_aligned_to_the_colour_camera(stage: Stage) -> None:
    source = RealSense(Options(), device=stage.device)
    info = source.open()
    assert (info.width, info.height, info.fps, info.finite) == (WIDTH, HEIGHT, FPS, False)
    assert info.description == "Stage (serial 42)"
    assert info.depth_scale_m == pytest.approx(stage.units)
    into = planes(info)
    read_paired(source, into)
    assert into.depth is not None
    assert distances(into.depth, stage.units) == pytest.approx((NEAR_M, FAR_M), abs=1.5 * stage.units)
    assert (into.colour == (10, 200, 90)).all()

    # where the near wall ends, as the colour camera sees it: deproject, move 15 mm, project
    edge = COLOUR_FOCAL * ((EDGE - WIDTH / 2) * NEAR_M / DEPTH_FOCAL + BASELINE_M) / NEAR_M + WIDTH / 2
    row = into.depth[HEIGHT // 2] * stage.units
    assert int(np.flatnonzero(np.abs(row - NEAR_M) < 0.1).max()) == pytest.approx(edge, abs=3)
    source.close()


@pytest.mark.parametrize(
    ("stage", "colour"),
    [(("rgb8",), (90, 200, 10)), (("yuyv",), (220, 0, 0))],
    indirect=["stage"],
    ids=["rgb8", "yuyv"],
)
def test_other_colour_formats_become_bgr(stage: Stage, colour: tuple[int, int, int]) -> None:
    stage.colour[:] = (10, 200, 90)[: stage.bytes]
    if stage.bytes == 2:
        stage.colour[:, 0::2], stage.colour[:, 1::2] = (41, 240), (41, 110)  # blue: Y 41, U 240, V 110
    source = RealSense(Options(), device=stage.device)
    info = source.open()
    into = planes(info)
    assert source.read(into) is not None
    assert np.abs(into.colour[100, 100].astype(int) - colour).max() <= 40
    source.close()


@pytest.mark.parametrize("stage", [(None, 0.001, True)], indirect=True)
def test_a_camera_without_colour_gives_its_infrared_picture_and_distances(stage: Stage) -> None:
    source = RealSense(Options(), device=stage.device)
    info = source.open()
    assert (info.width, info.height, info.description) == (WIDTH, HEIGHT, "Stage (serial 42), infrared")
    stage.colour[:, : WIDTH // 2], stage.colour[:, WIDTH // 2 :] = 60, 180
    into = planes(info)
    for _ in range(10):
        read_paired(source, into)
    assert (into.colour[:, : WIDTH // 2] == 60).all()
    assert (into.colour[:, WIDTH // 2 :] == 180).all()
    assert into.depth is not None
    row = into.depth[HEIGHT // 2]
    assert np.abs(row[:EDGE].astype(int) - round(NEAR_M * 1000)).max() <= 1
    assert np.abs(row[EDGE + 1 :].astype(int) - round(FAR_M * 1000)).max() <= 1
    source.close()


def test_without_a_depth_plane_colour_alone_is_given(stage: Stage) -> None:
    source = RealSense(Options(), device=stage.device)
    info = source.open()
    into = Planes(np.zeros((info.height, info.width, 3), np.uint8))
    assert source.read(into) is not None
    assert (into.colour == (10, 200, 90)).all()
    source.close()


def test_a_frame_whose_depth_is_missing_says_unknown_rather_than_old(stage: Stage) -> None:
    source = RealSense(Options(), device=stage.device)
    into = planes(source.open())
    read_paired(source, into)
    stage.with_depth = False
    assert into.depth is not None
    for _ in range(60):
        source.read(into)
        if not into.depth.any():
            break
    assert not into.depth.any()
    source.close()


def test_a_silent_device_is_reported_and_works_again_when_reopened(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realsense, "SILENCE_S", 0.6)
    monkeypatch.setattr(realsense, "FIRST_FRAME_S", 1.0)
    source = RealSense(Options(), device=stage.device)
    into = planes(source.open())
    read_paired(source, into)
    stage.silent.set()
    with pytest.raises(SourceError, match=r"no colour frame for 0\.6 s") as silence:
        drain(source, into)
    assert not silence.value.permanent
    with pytest.raises(SourceError, match="no colour frame for 1 s"):
        source.open()
    stage.silent.clear()
    source.open()
    read_paired(source, into)
    source.close()


def drain(source: RealSense, into: Planes) -> None:
    for _ in range(1000):
        source.read(into)


def test_an_unplugged_camera_is_called_so_without_waiting_for_silence(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    source = RealSense(Options(), device=stage.device)
    into = planes(source.open())
    read_paired(source, into)
    # a software device cannot be unplugged, so the library is made to say what it says of a real one
    monkeypatch.setattr(rs.device, "is_connected", lambda _device: False)
    stage.silent.set()
    start = time.monotonic()
    with pytest.raises(SourceError, match="was unplugged") as gone:
        drain(source, into)
    assert time.monotonic() - start < 2.5
    assert not gone.value.permanent
    source.close()


def test_closing_from_another_thread_wakes_a_waiting_read(stage: Stage) -> None:
    source = RealSense(Options(), device=stage.device)
    into = planes(source.open())
    stage.silent.set()
    threading.Timer(0.2, source.close).start()
    start = time.monotonic()
    with pytest.raises(SourceError, match="closed"):
        drain(source, into)
    assert time.monotonic() - start < 2.5
    source.close()


def record(folder: Path, frames: int) -> Path:
    """A recording of the stage, in the format this version of the library writes."""
    stage, path = Stage(), folder / "stage.db3"
    try:
        recorder = rs.recorder(str(path), stage.device)
    except RuntimeError:
        path = folder / "stage.bag"
        recorder = rs.recorder(str(path), stage.device)
    sensors = recorder.query_sensors()
    for sensor in sensors:
        sensor.open(sensor.get_stream_profiles()[0])
        sensor.start(lambda _frame: None)
    for _ in range(frames):
        stage.show()
        time.sleep(1 / FPS)  # the recorder stamps frames with their arrival
    for sensor in sensors:
        sensor.stop()
        sensor.close()
    return path


def play(source: RealSense, info: SourceInfo, most: int = 1000) -> tuple[int, Optional[np.ndarray]]:
    """Frames until the end, and the last one's depth."""
    into, frames = planes(info), 0
    while frames < most and source.read(into) is not None:
        frames += 1
    return frames, into.depth


@pytest.mark.parametrize("paced", [True, False])
def test_a_recording_plays_once_with_the_same_distances(tmp_path: Path, paced: bool) -> None:
    path = record(tmp_path, frames=30)
    source = RealSense(Options(recording=str(path), paced=paced))
    for _ in range(2):
        info = source.open()
        assert (info.finite, info.ordered, info.depth_scale_m) == (True, not paced, pytest.approx(0.001))
        assert path.name in info.description
        start = time.monotonic()
        frames, depth = play(source, info)
        assert 20 <= frames <= 30
        assert not paced or time.monotonic() - start > 0.6
        assert depth is not None
        assert distances(depth, 0.001) == pytest.approx((NEAR_M, FAR_M), abs=0.002)
        assert source.read(planes(info)) is None
        source.close()


def test_frames_of_a_recording_can_be_passed_over_without_waiting_for_their_time(tmp_path: Path) -> None:
    """A restarted camera goes on; that it would have to sit through all it has played already would end it again."""
    source = RealSense(Options(recording=str(record(tmp_path, frames=60))))
    info = source.open()
    source.skip(40)
    start = time.monotonic()
    frames, _ = play(source, info)
    assert 12 <= frames <= 24
    assert time.monotonic() - start > 0.6 * frames / FPS, "what is left is played at its own rate"
    source.skip(100)
    assert source.read(planes(info)) is None
    source.close()


def test_a_looping_recording_does_not_end(tmp_path: Path) -> None:
    source = RealSense(Options(recording=str(record(tmp_path, frames=10)), loop=True, paced=False))
    info = source.open()
    assert not info.finite
    frames, depth = play(source, info, most=35)
    assert frames == 35
    assert depth is not None
    assert distances(depth, 0.001) == pytest.approx((NEAR_M, FAR_M), abs=0.002)
    source.close()


def test_a_recording_of_a_real_d435_is_played(test_data: Path) -> None:
    source = RealSense(Options(recording=str(test_data / "media" / "single_depth_color_640x480.bag")))
    info = source.open()
    assert (info.width, info.height, info.depth_scale_m) == (640, 480, pytest.approx(0.001))
    assert "D435" in info.description
    into = planes(info)
    assert source.read(into) is not None
    assert into.depth is not None
    assert (into.depth > 0).mean() > 0.9
    assert 1.0 < np.median(into.depth[into.depth > 0]) * 0.001 < 2.0
    assert source.read(into) is None
    source.close()


def test_a_recording_that_is_none_is_refused_for_good(tmp_path: Path) -> None:
    for name, why in (("absent.bag", "no recording at"), ("bad.bag", "bad.bag"), ("bad.db3", "bad.db3"), ("x.mp4", "is needed")):
        if name != "absent.bag":
            (tmp_path / name).write_bytes(b"nonsense" * 1000)
        with pytest.raises(SourceError, match=why) as refused:
            RealSense(Options(recording=str(tmp_path / name))).open()
        assert refused.value.permanent
        assert "\n" not in refused.value.detail


@pytest.mark.parametrize("asked", [{"serial": "1", "recording": "a.bag"}, {"width": 0}, {"fps": -1}])
def test_options_that_make_no_sense_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"exclude each other|more than 0"):
        Options(**asked)


@pytest.mark.skipif(len(rs.context().query_devices()) > 0, reason="a RealSense camera is plugged in")
def test_a_camera_that_is_away_is_retried() -> None:
    for options, why in ((Options(), "no RealSense camera found"), (Options(serial="123"), "RealSense 123 is not plugged in")):
        with pytest.raises(SourceError, match=why) as away:
            RealSense(options).open()
        assert not away.value.permanent


def test_without_the_library_one_line_says_where_wheels_exist() -> None:
    program = (
        "import sys; sys.modules['pyrealsense2'] = None\n"
        "from ncs_cluster.sources.realsense import Options, RealSense\n"
        "from ncs_cluster.errors import SourceError\n"
        "try: RealSense(Options()).open()\n"
        "except SourceError as error: print(error.permanent, error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.startswith("True pyrealsense2 is missing in Python ")
    assert "3.9, 3.10 and 3.12" in said
    assert said.count("\n") == 1
