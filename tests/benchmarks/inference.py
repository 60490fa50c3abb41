"""OpenVINO on this CPU: the whole daemon against the bare AsyncInferQueue with a tensor that never changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ncs_cluster.config import graph_folder
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import StickId
from tests.benchmarks.house import bench, camera, rate, results_of
from tests.benchmarks.table import Line

ROOT = Path(__file__).resolve().parents[2]


def openvino(quick: bool) -> Iterator[Line]:
    """A COCO detector where the test data has it, else the demo graph."""
    data = Path(os.environ.get("NCS_CLUSTER_TEST_DATA", ROOT.parent / "shared"))
    folder = data / "models" / "ssd_mobilenet_v1_coco"
    graph = graph_folder.read(folder if folder.is_dir() else ROOT / "graphs" / "demo", folder.name, None)
    seconds = 6.0 if quick else 20.0
    for precision, least in (("f32", 0.95), ("bf16", 0.90)):
        raws = [bare(graph, precision, seconds)]
        cores = os.cpu_count() or 1
        shares = []
        for workers in (1, cores):
            options = {"precision": precision, "depth": 4, "streams": cores // workers, "threads": cores // workers}
            pool = [StickSpec(StickId(f"cpu-{number + 1}"), "this CPU", "openvino", options) for number in range(workers)]
            with bench(pool, [camera(ordered=True, paced=False)], graphs=[graph], write=True) as house:
                piped = rate([result.at_s for result in results_of(house, seconds)])
            raws.append(bare(graph, precision, seconds))
            # the machine's mood changes: before and after
            raw = (raws[-2] + raws[-1]) / 2
            shares.append((piped / raw, f"{piped:.1f}/s with {workers} worker{'s' if workers > 1 else ''}"))
        best = max(share for share, _ in shares)
        measured = (
            f"{best:.2f}: "
            + ", ".join(f"{share:.2f} = {text}" for share, text in shares)
            + f", raw {' '.join(f'{each:.1f}' for each in raws)}/s"
        )
        original = "0.91 (the original's arithmetic)" if precision == "f32" else "0.71 (the original's arithmetic)"
        yield Line(
            f"OpenVINO CPU pipeline / raw AsyncInferQueue, {graph.name}, {precision}",
            original,
            f">= {least:.2f}",
            measured,
            best >= least,
        )


def bare(graph: GraphSpec, precision: str, seconds: float) -> float:
    """Inferences per second of AsyncInferQueue, in a process of its own."""
    import subprocess
    import sys

    code = f"""
import os, time, numpy, openvino
core = openvino.Core()
model = core.read_model({graph.model!r})
properties = {{"INFERENCE_PRECISION_HINT": {precision!r}, "PERFORMANCE_HINT": "THROUGHPUT"}}
compiled = core.compile_model(model, "CPU", properties)
queue = openvino.AsyncInferQueue(compiled)
shape = compiled.input(0).partial_shape
tensor = numpy.random.default_rng(0).integers(0, 256, shape.get_min_shape() if shape.is_dynamic else shape.to_shape())
tensor = tensor.astype(compiled.input(0).element_type.to_dtype())
done = 0
def count(request, _):
    global done
    done += 1
queue.set_callback(count)
until = time.monotonic() + 1.0
while time.monotonic() < until:
    queue.start_async({{0: tensor}})
queue.wait_all()
done, began = 0, time.monotonic()
while time.monotonic() - began < {seconds}:
    queue.start_async({{0: tensor}})
queue.wait_all()
print(done / (time.monotonic() - began))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    return float(said.stdout)
