"""ncsctl run --format video,images with real processes: after kills the outputs are those of a run that nothing interrupts."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.needs import need_module, need_program
from tests.sinks import ffmpeg
from tests.tied import TIED

pytestmark = pytest.mark.slow

need_module("av")
need_program("ffmpeg", "ffmpeg")
need_program("ffprobe", "ffmpeg")

FRAMES, WIDTH, HEIGHT = 200, 480, 80
LATENCY_MS = 60
"""Two sticks need 6 s for the film, so that it is killed at work."""
DONE_S = 120.0


def command(source: Path, out: Path, formats: str, graph: Path) -> list[str]:
    words = [*TIED, sys.executable, "-m", "ncs_cluster.cli.ncsctl", "run", str(source), "--out", str(out), "--format", formats]
    sticks = ["--backend", "simulated", "--sticks", "2", "--graph", str(graph)]
    return [*words, *sticks, "--set", "simulated.heat=false", "--set", f"simulated.latency_ms={LATENCY_MS}"]


def run(source: Path, out: Path, formats: str, graph: Path) -> None:
    done = subprocess.run(
        command(source, out, formats, graph), capture_output=True, text=True, timeout=DONE_S, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr + (out / "run.log").read_text()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each frame shows its number, as a bar of that width; there is sound."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    bars = np.where(np.arange(WIDTH) < np.arange(FRAMES)[:, None], np.uint8(220), np.uint8(60))
    path.with_suffix(".raw").write_bytes(np.repeat(bars[:, None], HEIGHT, axis=1).tobytes())
    ffmpeg.make(
        *("-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", "25", "-i", path.with_suffix(".raw")),
        *("-f", "lavfi", "-i", f"sine=d={FRAMES / 25}", "-pix_fmt", "yuv420p"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", path),
    )
    return path


@pytest.fixture(scope="module")
def reference(film: Path, small_graph_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint8]:
    """The frames of a run that nothing interrupts."""
    out = tmp_path_factory.mktemp("reference") / "out"
    run(film, out, "video", small_graph_folder)
    drawn, source = ffmpeg.frames(out / "video.mp4"), ffmpeg.frames(film).astype(int)
    assert len(drawn) == len(source) == FRAMES
    for number in range(50, FRAMES - 50, 10):
        others = [float((np.abs(source[number + by] - drawn[number]) > 100).mean()) for by in (-40, 0, 40)]
        assert int(np.argmin(others)) == 1
    return drawn


@pytest.mark.parametrize("seed", range(1))
def test_after_kills_of_the_whole_job_every_frame_is_in_the_video_once(
    film: Path, reference: NDArray[np.uint8], small_graph_folder: Path, tmp_path: Path, seed: int
) -> None:
    chance, out = random.Random(seed), tmp_path / "out"
    for _ in range(4):
        words = command(film, out, "jsonl,video", small_graph_folder)
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(2.0, 6.0))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
    run(film, out, "jsonl,video", small_graph_folder)
    # segments depend on frame numbers alone, and so does their encoding
    assert np.array_equal(ffmpeg.frames(out / "video.mp4"), reference)
    assert all((a != b).any() for a, b in itertools.pairwise(reference))
    assert ffmpeg.times(out / "video.mp4") == pytest.approx(ffmpeg.times(film))
    assert ffmpeg.sounds(out / "video.mp4") == ffmpeg.sounds(film)
    assert len((out / "results.jsonl").read_text().splitlines()) == FRAMES
    assert not (out / ".video").exists()


def test_found_things_are_where_the_records_say(tmp_path: Path) -> None:
    data = Path(os.environ.get("NCS_CLUSTER_TEST_DATA", "../shared"))
    source, graph = data / "media" / "one-by-one-person-detection.mp4", data / "models" / "ssd_mobilenet_v1_coco"
    if not source.exists() or not graph.is_dir():
        pytest.skip("NCS_CLUSTER_TEST_DATA names no folder with media/ and models/")
    short = tmp_path / "short.mp4"
    ffmpeg.make("-ss", "24", "-i", source, "-t", "4", "-c:v", "libx264", "-qp", "4", short)
    words = command(short, tmp_path / "out", "jsonl,video,images", graph)
    words += ["--threshold", "0.4"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=DONE_S, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    before, after = ffmpeg.frames(short), ffmpeg.frames(tmp_path / "out" / "video.mp4")
    records = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert len(before) == len(after) == len(records) == 40
    people = 0
    for record, old, new in zip(records, before, after, strict=True):
        changed = np.abs(old.astype(int) - new).max(axis=2) > 60
        allowed = np.zeros_like(changed)
        for found in record["detections"]:
            height, width = changed.shape
            x1, y1, x2, y2 = (round(value * side) for value, side in zip(found["box"], (width, height) * 2, strict=True))
            # the lower edge: no label lies on it
            if found["label"] == "person" and 8 < y2 < height - 8 and x2 - x1 > 16:
                people += 1
                assert changed[y2 - 4 : y2 + 4, x1 + 4 : x2 - 4].any(axis=0).mean() > 0.5
            allowed[max(0, y1 - 40) : y2 + 6, max(0, x1 - 6) : x2 + 120] = True
        assert changed[~allowed].mean() < 0.001
    assert people > 10
    folder = tmp_path / "out" / "images"
    assert sum(path.suffix == ".jpg" for path in folder.rglob("*")) == 40
