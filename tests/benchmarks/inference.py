"""OpenVINO on this CPU: one worker with its default options against AsyncInferQueue, in turns, on the same pictures."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from ncs_cluster.config import graph_folder
from ncs_cluster.specs import CameraSpec, GraphSpec, StickSpec
from ncs_cluster.types import StickId
from tests.benchmarks.house import Bench, all_results, bench, camera, percentile
from tests.benchmarks.table import Line, Others

ROOT = Path(__file__).resolve().parents[2]
MOST_OTHERS = 0.25
"""Share of a core that other processes may take during a turn that counts: they slow pinned and unpinned threads differently."""
LEAST_PAIRS = 3
SETTLE_S = 0.3
"""Of each turn, before anything is counted."""

RAW = """
import sys, time
import cv2, numpy, openvino
from ncs_cluster.backends._model import fold, read
from ncs_cluster.backends._preprocess import resize_into
from ncs_cluster.sources.base import Planes
from ncs_cluster.sources.synthetic import Options, Synthetic
from ncs_cluster.specs import GraphSpec
import msgspec

graph = msgspec.json.decode(sys.argv[1], type=GraphSpec)
source = Synthetic(Options(paced=False))
source.open()
pictures = []
for _ in range(2):
    colour = numpy.zeros((480, 640, 3), numpy.uint8)
    source.read(Planes(colour.reshape(-1), None))
    pictures.append(colour)
cv2.setNumThreads(1)
core = openvino.Core()
properties = {"INFERENCE_PRECISION_HINT": sys.argv[2], "PERFORMANCE_HINT": "THROUGHPUT"}
compiled = core.compile_model(fold(read(core, graph), graph), "CPU", properties)
queue = openvino.AsyncInferQueue(compiled)
inputs = []
for request in queue:
    inputs.append(numpy.zeros(tuple(compiled.input().shape), numpy.uint8))
    request.set_input_tensor(openvino.Tensor(inputs[-1], shared_memory=True))
done = 0
def count(request, _):
    global done
    done += 1
queue.set_callback(count)
def run(seconds):
    frame = 0
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        resize_into(pictures[frame % 2], graph, inputs[queue.get_idle_request_id()][0])
        queue.start_async()
        frame += 1
run(1.0)
queue.wait_all()
print("ready", flush=True)
for line in sys.stdin:
    settle_s, seconds = map(float, line.split())
    run(settle_s)
    before, began_s = done, time.monotonic()
    run(seconds)
    rate = (done - before) / (time.monotonic() - began_s)
    queue.wait_all()
    print(rate, flush=True)
"""
"""Says "ready", then answers each "SETTLE SECONDS" with inferences per second."""


class Turn(NamedTuple):
    """Inferences per second, and the CPU that other processes used meanwhile as a share of one core."""

    per_s: float
    others: float


def openvino(quick: bool) -> Iterator[Line]:
    """A COCO detector where the test data has it, else the demo graph; a live camera, then a job in which every frame counts."""
    graph, turns, seconds = detector(), 4 if quick else 12, 1.0 if quick else 1.5
    for precision, least in (("f32", 0.95), ("bf16", 0.90)):
        with raw_queue(graph, precision) as queue:
            # half as fast again as the device: a live camera saturates it and costs no more than it must
            fps = min(1000.0, 1.5 * max(_raw_turn(queue, seconds).per_s for _ in range(3)))
            for every_frame in (False, True):
                spec = camera(fps=fps, depth=False, ordered=every_frame, paced=not every_frame)
                raw, piped, latencies_ms = in_turns(queue, graph, {"precision": precision}, spec, turns, seconds)
                yield _line(graph, precision, least, "every frame" if every_frame else "live camera", raw, piped, latencies_ms)


def _line(
    graph: GraphSpec, precision: str, least: float, mode: str, raw: list[Turn], piped: list[Turn], latencies_ms: list[float]
) -> Line:
    pairs = list(zip(raw, piped, strict=True))
    quiet = [pair for pair in pairs if max(turn.others for turn in pair) <= MOST_OTHERS]
    judged = len(quiet) >= LEAST_PAIRS
    counted = quiet if judged else pairs
    share = statistics.median(ours.per_s / theirs.per_s for theirs, ours in counted)
    rates = [statistics.median(turn.per_s for turn in turns) for turns in zip(*counted, strict=True)]
    measured = (
        f"{share:.2f}: {rates[1]:.1f} of {rates[0]:.1f}/s, {len(quiet)} quiet of {len(pairs)} pairs of turns"
        f"{'' if judged else ' (too busy to judge)'}; capture to result p50 {percentile(latencies_ms, 0.5):.0f} ms"
    )
    original = "0.91 (the original's arithmetic)" if precision == "f32" else "0.71 (the original's arithmetic)"
    what = f"OpenVINO CPU, one worker / raw AsyncInferQueue, {graph.name}, {precision}, {mode}"
    return Line(what, original, f">= {least:.2f}", measured, share >= least if judged else None)


def detector() -> GraphSpec:
    data = Path(os.environ.get("NCS_CLUSTER_TEST_DATA", ROOT.parent / "shared"))
    folder = data / "models" / "ssd_mobilenet_v1_coco"
    return graph_folder.read(folder if folder.is_dir() else ROOT / "graphs" / "demo", folder.name, None)


def in_turns(
    queue: subprocess.Popen[str], graph: GraphSpec, options: dict[str, Any], spec: CameraSpec, turns: int, seconds: float
) -> tuple[list[Turn], list[Turn], list[float]]:
    """Raw, then daemon, again and again: the turns of both, and the daemon's latencies in ms.

    The camera is stopped by a signal while it is the other's turn, for less than it may be silent.
    """
    stick = StickSpec(StickId("cpu-1"), "this CPU", "openvino", options)
    raw, spans = [], []
    with bench([stick], [spec], graphs=[graph], write=True) as house:
        paused = psutil.Process(house.daemon.child(f"camera {spec.name}"))
        for _ in range(turns):
            paused.send_signal(signal.SIGSTOP)
            time.sleep(SETTLE_S)
            raw.append(_raw_turn(queue, seconds))
            paused.send_signal(signal.SIGCONT)
            time.sleep(SETTLE_S)
            spans.append(_span(house, seconds))
        house.daemon.stop()
        results = all_results(house)
    piped, latencies_ms = [], []
    for began_s, ended_s, others in spans:
        within = [result for result in results if began_s <= result.at_s < ended_s]
        piped.append(Turn(len(within) / (ended_s - began_s), others))
        latencies_ms += [result.latency_s * 1000 for result in within]
    return raw, piped, latencies_ms


@contextmanager
def raw_queue(graph: GraphSpec, precision: str) -> Iterator[subprocess.Popen[str]]:
    """AsyncInferQueue with OpenVINO's own choice for throughput, in a process of its own."""
    import msgspec

    command = [sys.executable, "-c", RAW, msgspec.json.encode(graph).decode(), precision]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as queue:
        assert queue.stdout is not None
        assert queue.stdout.readline().strip() == "ready"
        yield queue
        queue.kill()


def _raw_turn(queue: subprocess.Popen[str], seconds: float) -> Turn:
    assert queue.stdin is not None
    assert queue.stdout is not None
    others = Others([psutil.Process(queue.pid)])
    queue.stdin.write(f"{SETTLE_S} {seconds}\n")
    queue.stdin.flush()
    return Turn(float(queue.stdout.readline()), others.share())


def _span(house: Bench, seconds: float) -> tuple[float, float, float]:
    others = Others(house.daemon.tree())
    began_s = time.time()
    time.sleep(seconds)
    return began_s, time.time(), others.share()
