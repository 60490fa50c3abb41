"""Cluster.stream: the results of films, pictures and live sources; their ends, failures, slow callers."""

from __future__ import annotations

import os
import signal
import time
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ncs_cluster import Cluster
from ncs_cluster.api import following
from ncs_cluster.errors import ConfigError, SourceError
from tests.api.images import PATIENCE_S, shown
from tests.api.test_kills import child

pytestmark = pytest.mark.slow

Images = list[np.ndarray]
Expected = list[list[dict[str, Any]]]


@pytest.fixture(scope="module")
def folder(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small and the tall images as PNG, the third one damaged."""
    made = tmp_path_factory.mktemp("folder")
    for number, image in enumerate([each for each in images if each.size < 100_000]):
        cv2.imwrite(str(made / f"{number}.png"), image)
    (made / "2.png").write_bytes(b"no picture")
    return made


def until_no_stream(cluster: Cluster) -> None:
    """Wait until no source but the program's images is left, nor its process."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        status = cluster.status()
        names = [camera.name for camera in status.cameras] + [process.name for process in status.processes]
        if not any("stream-" in name for name in names):
            return
        assert time.monotonic() < until_s, names
        time.sleep(0.05)


def film(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), number % 256, np.uint8))
    writer.release()
    return path


def test_a_folder_gives_a_result_for_each_picture_however_slow_the_caller_is(
    cluster: Cluster, images: Images, expected: Expected, folder: Path
) -> None:
    """Another call in between does not wait for the stream."""
    wanted = [found for image, found in zip(images, expected, strict=True) if image.size < 100_000]
    results = []
    for result in cluster.stream(str(folder)):
        results.append(result)
        assert shown(cluster.infer(images[0], timeout_s=PATIENCE_S)) == expected[0]
    assert [result.item for result in results] == [f"{number}.png" for number in range(len(wanted))]
    assert [result.number for result in results] == list(range(len(wanted)))
    assert results[2].error is not None
    assert results[2].error.startswith("2.png: ")
    assert [shown(result) for result in results if result.error is None] == [*wanted[:2], *wanted[3:]]
    until_no_stream(cluster)


@pytest.mark.parametrize("frames", [1, 5 * following.AHEAD + 3])
def test_every_frame_of_a_film_has_its_result(cluster: Cluster, tmp_path: Path, frames: int) -> None:
    results = list(cluster.stream(str(film(tmp_path / "film.avi", frames)), every_frame=True))
    assert [result.number for result in results] == list(range(frames))
    assert not any(result.error for result in results)


def test_a_source_is_read_no_further_than_its_caller_gives_credit(cluster: Cluster, tmp_path: Path) -> None:
    frames = 10 * following.AHEAD
    stream = cluster.stream(str(film(tmp_path / "film.avi", frames)), every_frame=True)
    assert next(stream).number == 0
    (name,) = [camera.name for camera in cluster.status().cameras if camera.name.startswith("stream-")]

    def read() -> int:
        return next(camera.frames for camera in cluster.status().cameras if camera.name == name)

    until_s = time.monotonic() + PATIENCE_S
    while read() < following.AHEAD:
        assert time.monotonic() < until_s
        time.sleep(0.05)
    list(cluster.map([np.zeros((8, 8, 3), np.uint8)] * 100))
    assert read() == following.AHEAD
    assert [result.number for result in stream] == list(range(1, frames))


def test_a_film_in_its_own_time_ends_after_its_last_result(cluster: Cluster, tmp_path: Path) -> None:
    numbers = [result.number for result in cluster.stream(str(film(tmp_path / "film.avi", 75)))]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 74
    assert len(numbers) > 10


def test_a_live_stream_gives_the_newest_results_to_a_slow_caller(cluster: Cluster) -> None:
    stream = cluster.stream("synthetic")
    first = next(stream)
    (name,) = [camera.name for camera in cluster.status().cameras if camera.name.startswith("stream-")]
    until_s = time.monotonic() + PATIENCE_S
    while next(camera.results for camera in cluster.status().cameras if camera.name == name) < 4 * following.KEPT:
        assert time.monotonic() < until_s
        time.sleep(0.05)
    second = next(stream)
    assert second.number - first.number > following.KEPT
    assert any(result.detections for result in islice(stream, 30))
    stream.close()  # type: ignore[attr-defined]
    until_no_stream(cluster)


def test_a_stream_that_is_left_ends_its_source(cluster: Cluster) -> None:
    for _ in cluster.stream("synthetic"):
        break
    until_no_stream(cluster)


def test_two_streams_and_a_map_at_once(cluster: Cluster, images: Images, expected: Expected, folder: Path) -> None:
    small = [found for image, found in zip(images, expected, strict=True) if image.size < 100_000]
    streams = [cluster.stream(str(folder)), cluster.stream(str(folder))]
    rows = list(zip(*streams, cluster.map([image for image in images if image.size < 100_000]), strict=True))
    for number, row in enumerate(rows):
        for result in row:
            if result.error is None:
                assert shown(result) == small[number]
    assert len(rows) == len(small)


@pytest.mark.parametrize("which", ["camera", "sink"])
def test_a_killed_process_of_a_stream_loses_and_doubles_no_frame(cluster: Cluster, tmp_path: Path, which: str) -> None:
    until_no_stream(cluster)
    results = []
    for result in cluster.stream(str(film(tmp_path / "film.avi", 300)), every_frame=True):
        results.append(result)
        if len(results) in (20, 90, 150):
            (name,) = [each.name for each in cluster.status().processes if each.name.startswith("camera stream")]
            os.kill(child(cluster, name if which == "camera" else "sink"), signal.SIGKILL)
    assert [result.number for result in results] == list(range(300))


def test_a_source_that_can_never_be_opened_is_an_error(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(SourceError, match=r"text\.mp4"):
        next(cluster.stream(str(tmp_path / "text.mp4")))
    cluster.infer(np.zeros((8, 8, 3), np.uint8), timeout_s=PATIENCE_S)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("no/such/file", "there is no such file or folder"),
        ("rtsp//x", "is no address of a camera"),
        ("feed", "there is no such file"),
    ],
)
def test_a_source_that_is_none_is_refused_in_one_line(cluster: Cluster, source: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line) as refused:
        next(cluster.stream(source))
    assert "\n" not in str(refused.value)


def test_every_frame_of_a_live_source_is_refused(cluster: Cluster) -> None:
    with pytest.raises(ConfigError, match="every-frame"):
        next(cluster.stream("usb:0", every_frame=True))
