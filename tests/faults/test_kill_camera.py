"""kill -9 of the camera: a file goes on where it was, a live camera's numbers go on rising."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ncs_cluster.specs import CameraSpec
from ncs_cluster.testing.daemon import Daemon, read_results, running, settings, sticks, synthetic
from ncs_cluster.testing.interpreter import interpreter
from ncs_cluster.types import CameraName
from tests.sources.films import damage

FRAMES, BITS, BLOCK = 120, 8, 16
DAMAGED = (12, 50, 51, 119)

READS_THE_NUMBER = f"""
from ncs_cluster.backends import simulated
from ncs_cluster.messages import Inferred
from ncs_cluster.processes import worker
from ncs_cluster.types import Detection, Outcome

class Reader(simulated.Simulated):
    def open(self, *asked):
        info = super().open(*asked)
        self.needs_frames = True
        return info

def answer(self, completed):
    image = self._submitted.pop(completed.tag).image
    number = sum(int(image[8, {BLOCK} * bit + 8, 0] > 127) << bit for bit in range({BITS}))
    outcome = Outcome([Detection(str(number), 1, 1.0, (0.0, 0.0, 1.0, 1.0))])
    self._channel.send(Inferred(completed.tag, outcome, completed.latency_s))

simulated.Simulated = Reader
worker.Worker._complete = answer
worker.main()
"""
"""A worker that says which number its frame's pixels show."""


def film(path: Path) -> None:
    """Each frame shows its number as bright and dark blocks."""
    writer = cv2.VideoWriter(os.fspath(path), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (BLOCK * BITS, 96))  # type: ignore[attr-defined]
    for number in range(FRAMES):
        picture = np.zeros((96, BLOCK * BITS, 3), np.uint8)
        for bit in range(BITS):
            picture[:, BLOCK * bit : BLOCK * (bit + 1)] = 255 * (number >> bit & 1)
        writer.write(picture)
    writer.release()


CRASHES_AT_THE_SECOND = """
import os
from ncs_cluster.processes import camera
from ncs_cluster.sources.images import Images

decode = Images._decode

def crash(self, item):
    if item == "2.png":
        os.abort()
    return decode(self, item)

Images._decode = crash
camera.main()
"""
"""A camera whose picture library crashes on one picture."""


def kill_camera(daemon: Daemon, after_frames: int) -> None:
    def captured(status: dict[str, Any]) -> bool:
        return bool(status["cameras"][0]["frames"] >= after_frames and status["cameras"][0]["state"] == "running")

    status = daemon.until(captured, f"has captured {after_frames} frames")
    before = next(process for process in status["processes"] if process["name"] == "camera cam0")
    os.kill(before["pid"], signal.SIGKILL)
    daemon.until(
        lambda status: any(
            process["name"] == "camera cam0" and process["restarts"] > before["restarts"] for process in status["processes"]
        ),
        "has heard that its camera is dead",
    )


def test_every_frame_of_a_file_once_and_each_with_its_own_pixels(tmp_path: Path) -> None:
    """The camera is killed three times while the file plays. A frame whose data are damaged has its record too."""
    film(tmp_path / "film.avi")
    damage(tmp_path / "film.avi", *DAMAGED)
    options = {"path": os.fspath(tmp_path / "film.avi"), "paced": False}
    camera = CameraSpec(CameraName("cam0"), "video", options, "film.avi", ordered=True)
    results = tmp_path / "results.jsonl"
    runtimes = {"reader": interpreter(tmp_path / "reader", READS_THE_NUMBER)}
    asked = settings(tmp_path, sticks(2, "reader", latency_ms=80.0), [camera], results=results, runtimes=runtimes)
    with running(asked) as daemon:
        for frames in (10, 25, 40):
            kill_camera(daemon, frames)
        assert daemon.wait(120.0) == 0
    records = read_results(results)
    assert [record["frame"] for record in records] == list(range(FRAMES))
    seen = [record.get("error") or int(record["detections"][0]["label"]) for record in records]
    assert seen == ["film.avi: cannot be decoded: its data are damaged" if n in DAMAGED else n for n in range(FRAMES)]


def test_every_frame_of_a_film_that_is_repeated_counts_in_each_pass(tmp_path: Path) -> None:
    """The camera is killed in the first, second and third pass; no frame of a pass is lost or comes twice."""
    film(tmp_path / "film.avi")
    damage(tmp_path / "film.avi", *DAMAGED)
    options = {"path": os.fspath(tmp_path / "film.avi"), "paced": False, "loop": True}
    camera = CameraSpec(CameraName("cam0"), "video", options, "film.avi", ordered=True)
    results = tmp_path / "results.jsonl"
    runtimes = {"reader": interpreter(tmp_path / "reader", READS_THE_NUMBER)}
    asked = settings(tmp_path, sticks(2, "reader", latency_ms=10.0), [camera], results=results, runtimes=runtimes)
    with running(asked) as daemon:
        for frames in (30, FRAMES + 60, 2 * FRAMES + 90):
            kill_camera(daemon, frames)
        daemon.until(lambda status: status["cameras"][0]["frames"] > 4 * FRAMES, "has played it four times")
        assert daemon.stop() == 0
    records = read_results(results)
    assert len(records) > 3 * FRAMES
    assert [record["frame"] for record in records] == list(range(len(records)))
    seen = [-1 if record.get("error") else int(record["detections"][0]["label"]) for record in records]
    assert seen == [-1 if n % FRAMES in DAMAGED else n % FRAMES for n in range(len(records))]


def test_the_numbers_of_a_live_camera_go_on_rising(tmp_path: Path) -> None:
    """No number is used twice, and results come again."""
    results = tmp_path / "results.jsonl"
    with running(settings(tmp_path, sticks(2), [synthetic()], results=results)) as daemon:
        for frames in (10, 40):
            kill_camera(daemon, frames)
        status = daemon.well()
        assert status["counters"] == {"frames_lost": 0, "frames_doubled": 0, "out_of_order": 0, "throttled_s": 0.0}
        assert daemon.stop() == 0
    numbers = [record["frame"] for record in read_results(results)]
    assert numbers == sorted(set(numbers))


def test_a_picture_that_crashes_its_decoder_has_a_record_and_the_others_follow(tmp_path: Path) -> None:
    """The process is started three times for it, and once more for the rest."""
    (tmp_path / "pictures").mkdir()
    for number in range(1, 6):
        assert cv2.imwrite(os.fspath(tmp_path / "pictures" / f"{number}.png"), np.zeros((8, 8, 3), np.uint8))
    results = tmp_path / "results.jsonl"
    runtimes = {"crashes": interpreter(tmp_path / "crashes", CRASHES_AT_THE_SECOND)}
    options = {"path": os.fspath(tmp_path / "pictures")}
    camera = CameraSpec(CameraName("cam0"), "images", options, "pictures", ordered=True, runtime="crashes")
    with running(settings(tmp_path, sticks(1, latency_ms=5.0), [camera], results=results, runtimes=runtimes)) as daemon:
        assert daemon.wait(120.0) == 0
    assert [(record["frame"], record.get("error")) for record in read_results(results)] == [
        (0, None),
        (1, "the camera process has crashed 3 times at this frame (killed by SIGABRT)"),
        (2, None),
        (3, None),
        (4, None),
    ]
