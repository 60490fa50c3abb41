"""The live picture while every stick classifies as fast as it can and every core is busy."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ncs_cluster.config import graph_folder
from ncs_cluster.specs import GatewaySpec, GraphSpec
from ncs_cluster.testing.daemon import read_results, sticks
from tests.benchmarks.house import bench, camera
from tests.benchmarks.pictures import watched
from tests.benchmarks.table import Line

FPS, STICKS, LATENCY_MS = 30.0, 2, 100.0
"""Two sticks that take 20 of 30 frames a second: both always have a frame."""
WINDOW_S = 10.0
"""What `picture_ms` of the status covers: the last 300 pictures."""
SIDE, CLASSES = 224, 5


def classifier(folder: Path) -> GraphSpec:
    """A graph of some 10 ms on one core with five classes, whose scores change with the picture."""
    import numpy
    import openvino
    from openvino import opset8 as ops

    random = numpy.random.default_rng(1)
    pixels = value = ops.parameter([1, 3, SIDE, SIDE], numpy.float32, name="pixels")
    for taken, given in ((3, 32), (32, 48), (48, 64), (64, 96)):
        weights = ops.constant((random.standard_normal((given, taken, 3, 3)) * 0.05).astype(numpy.float32))
        value = ops.relu(ops.convolution(value, weights, [2, 2], [1, 1], [1, 1], [1, 1]))
    pooled = ops.reduce_mean(value, ops.constant([2, 3]), False)
    scores = ops.softmax(
        ops.matmul(pooled, ops.constant(random.standard_normal((96, CLASSES)).astype(numpy.float32)), False, False), 1
    )
    folder.mkdir()
    openvino.save_model(openvino.Model([scores], [pixels], "classes"), folder / "classes.xml", compress_to_fp16=False)
    (folder / "labels.txt").write_text("".join(f"class {number}\n" for number in range(CLASSES)))
    (folder / "graph.toml").write_text('model = "classes.xml"\ndecoder = "classification"\nlabels = "labels.txt"\n')
    return graph_folder.read(folder, "classes", None)


SPIN = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""
"""It ends with the process that has started it, also where that one is killed."""


@contextmanager
def busy_cores() -> Iterator[None]:
    """A process on each core that computes all the time, at the same priority as the daemon."""
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def preview(quick: bool) -> Iterator[Line]:
    """Pictures that are drawn and that a viewer gets; capture to drawn picture, the median window's p50 and the worst one's p99."""
    windows = 1 if quick else 6
    pool = sticks(STICKS, latency_ms=LATENCY_MS, heat=False)
    with tempfile.TemporaryDirectory(prefix="ncs-bench-") as name:
        graph = classifier(Path(name) / "classes")
        with (
            bench(pool, [camera(fps=FPS)], graphs=[graph], gateway=GatewaySpec("127.0.0.1", 0), write=True) as house,
            watched(house.daemon) as viewer,
            busy_cores(),
        ):
            house.daemon.until(lambda status: status["cameras"][0]["picture_ms"]["p50"] is not None, "draws")
            time.sleep(3.0)
            before, captured = viewer.pictures, house.daemon.status()["cameras"][0]["frames"]
            began_s, began_at = time.monotonic(), time.time()
            drawn, seen = [], []
            for second in range(1, windows * int(WINDOW_S) + 1):
                time.sleep(max(0.0, began_s + second - time.monotonic()))
                status = house.daemon.status()["cameras"][0]
                drawn.append(status["preview_fps"])
                if second % WINDOW_S == 0:
                    seen.append(status["picture_ms"])
            got, frames = viewer.pictures - before, house.daemon.status()["cameras"][0]["frames"] - captured
            took_s, ended_at = time.monotonic() - began_s, time.time()
            house.daemon.stop()
            results = read_results(house.folder / "results.jsonl")
    inside = [each for each in results if began_at <= each["captured_at"] + each["latency_ms"] / 1000 <= ended_at]
    if not inside or any(len(each["classes"]) != CLASSES for each in inside):
        raise AssertionError("the sticks did not classify")
    shown, viewed = statistics.mean(drawn), got / took_s
    p50, p99 = statistics.median(each["p50"] for each in seen), max(each["p99"] for each in seen)
    measured = (
        f"{shown:.2f} drawn/s, {viewed:.2f}/s at a viewer, camera {frames / took_s:.2f}/s; {p50:.1f} / {p99:.1f} ms; "
        f"{len(inside) / took_s:.1f} of {STICKS / LATENCY_MS * 1000:.0f} classified/s"
    )
    what = f"live picture with caption, {took_s:.0f} s, N={STICKS} saturated, every core busy: rate, capture to picture p50 / p99"
    yield Line(what, "", ">= 29.9/s, p99 < 50 ms", measured, min(shown, viewed) >= 29.9 and p99 < 50)
