"""Frigate's detector: entries that each wait for an answer, as its own plugin does, and what a frame costs on the way.

An entry is a process of its own, as in Frigate. Where NCS_CLUSTER_FRIGATE names a checkout of Frigate, its plugin sends the
frames. An entry for each stick of L ms would get 1 / L frames per second if nothing else took time; what is missing is the way:
entry, detector's process, supervisor, worker and back.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ncs_cluster.config import graph_folder
from ncs_cluster.specs import IntakeSpec
from ncs_cluster.testing.daemon import sticks
from tests import small_graph
from tests.benchmarks.house import bench, cpu_per_unit, percentile
from tests.benchmarks.table import Line

STICKS, LATENCY_MS, SIDE = 4, 50.0, 320

ENTRY = """
import sys, time
import numpy
from tests.frigate_plugin import ENVIRONMENT, Plain, need_plugin
import json, os

endpoint, seconds = sys.argv[1], float(sys.argv[2])
made = need_plugin() if os.environ.get(ENVIRONMENT) else Plain
detector = made(endpoint, "small")
frame = numpy.random.default_rng(os.getpid()).integers(0, 256, (1, int(sys.argv[3]), int(sys.argv[3]), 3), numpy.uint8)
until_s = time.monotonic() + 60
while not detector.detect_raw(frame).any():
    assert time.monotonic() < until_s, "no frame was answered by the graph"
print("ready", flush=True)
sys.stdin.readline()
took, zeros, began_s, used_s = [], 0, time.monotonic(), time.process_time()
while time.monotonic() < began_s + seconds:
    sent_s = time.monotonic()
    zeros += not detector.detect_raw(frame).any()
    took.append(time.monotonic() - sent_s)
wall_s = time.monotonic() - began_s
print(json.dumps({"took": took, "zeros": zeros, "wall_s": wall_s, "used_s": time.process_time() - used_s}), flush=True)
os._exit(0)
"""
"""Says "ready" after its first answer, waits for a line, then sends frames without a pause and says how long each took."""


def frigate(quick: bool) -> Iterator[Line]:
    """An entry for each stick, and one more."""
    seconds = 5.0 if quick else 60.0
    with tempfile.TemporaryDirectory(prefix="ncs-bench-graph-") as name:
        folder = Path(name) / "small"
        folder.mkdir()
        small_graph.write(folder)
        graph = graph_folder.read(folder, "small", None)
        for entries, least in ((STICKS, 78.0), (STICKS + 1, None)):
            endpoint = f"ipc://{name}/detector{entries}"
            options = {"endpoint": endpoint, "socket": f"{name}/{entries}.sock", "keep_s": 0.0, "labelmap": {0: "quarter 1"}}
            intake = IntakeSpec("frigate", options, endpoint)
            pool = sticks(STICKS, latency_ms=LATENCY_MS, heat=False)
            with bench(pool, [], graphs=[graph], intakes=[intake]) as house:
                said, used = _measured(house.daemon, endpoint, entries, seconds)
                house.daemon.stop()
            took_ms = [1000 * each for entry in said for each in entry["took"]]
            per_s = sum(len(entry["took"]) / entry["wall_s"] for entry in said)
            zeros = sum(entry["zeros"] for entry in said)
            used["entry"] = sum(entry["used_s"] for entry in said) / len(took_ms)
            measured = (
                f"{per_s:.1f} frames/s, {zeros} zeros; p50 {percentile(took_ms, 0.5):.1f}, p99 {percentile(took_ms, 0.99):.1f} ms; "
                f"CPU per frame in us: {', '.join(f'{who} {1e6 * each:.0f}' for who, each in used.items())}"
            )
            what = f"Frigate, {entries} entries, {STICKS} sticks of {LATENCY_MS:.0f} ms, {SIDE}x{SIDE}"
            good = None if least is None else per_s >= least and not zeros
            yield Line(what, "-", "" if least is None else f">= {least:.0f}/s, 0 zeros", measured, good)


def _measured(daemon: Any, endpoint: str, entries: int, seconds: float) -> tuple[list[Any], dict[str, float]]:
    """What the entries say, and CPU seconds of the daemon's processes per frame: all workers together."""
    with ExitStack() as stack:
        asked = []
        for _ in range(entries):
            command = [sys.executable, "-c", ENTRY, endpoint, str(seconds), str(SIDE)]
            entry = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            asked.append(stack.enter_context(entry))
            stack.callback(entry.kill)
        for entry in asked:
            assert entry.stdout is not None
            assert entry.stdout.readline().strip() == "ready"

        def work() -> list[Any]:
            for entry in asked:
                assert entry.stdin is not None
                entry.stdin.write("go\n")
                entry.stdin.flush()
            return [json.loads(entry.stdout.readline()) for entry in asked if entry.stdout is not None]

        return cpu_per_unit(daemon, work, lambda said: sum(len(entry["took"]) for entry in said))
