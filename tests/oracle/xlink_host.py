"""Runs under any Python: the backend `xlink` on one stick, without a worker: `xlink_host.py SETTINGS PICTURES`.

SETTINGS is JSON: port, firmware, blobs, depth, and the folder of the answers; PICTURES is [count, height, width, 3] u8. For each
graph it says "ready", waits for a line, and writes answersN.npz, output name -> [count, ...].
"""

from __future__ import annotations

import json
import select
import sys
import time
from typing import Any

import numpy as np

from ncs_cluster.backends.xlink import Xlink
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import GraphName, StickId


def main(settings: str, pictures: str) -> None:
    asked, images = json.loads(settings), np.load(pictures)
    graphs = [GraphSpec(GraphName(f"g{n}"), blob, "ssd", blob=blob) for n, blob in enumerate(asked["blobs"])]
    backend = Xlink()
    # one inference of a black picture at the opening, as the vendor's plugin has in these tests
    options = {"firmware": asked["firmware"], "warm_up": 1, "check_s": 0}
    stick = StickSpec(StickId("stick"), asked["port"], "xlink", options)
    backend.open(stick, graphs, lambda _: None)
    for graph in range(len(graphs)):
        print("ready", flush=True)
        sys.stdin.readline()
        np.savez(f"{asked['answers']}/answers{graph}.npz", **infer(backend, graph, images, asked["depth"]))
    while backend.read_sensor().temperature_c is None:
        select.select([backend.wake_fd], [], [], 0.1)
        backend.collect()
    backend.close()


def infer(backend: Xlink, graph: int, images: Any, depth: int) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    sent = got = 0
    until_s = time.monotonic() + 60
    while got < len(images):
        while sent < len(images) and sent - got < depth:
            backend.submit(sent, graph, images[sent])
            sent += 1
        wait_s = 1.0 if backend.due_s is None else min(1.0, max(0.0, backend.due_s - time.monotonic()))
        select.select([backend.wake_fd], [], [], wait_s)
        for completed in backend.collect():
            for name, value in (completed.outputs or {}).items():
                found.setdefault(name, [None] * len(images))[completed.tag] = np.array(value)
            got += 1
        if time.monotonic() > until_s:
            raise TimeoutError(f"{got} of {len(images)} answers")
    return {name: np.stack(values) for name, values in found.items()}


main(*sys.argv[1:])
