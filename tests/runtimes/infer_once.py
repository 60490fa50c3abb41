"""Runs under any interpreter, with no OpenVINO: one inference on the emulated stick at 1-1.2, told as one line of JSON.

python infer_once.py BLOB FIRMWARE
"""

from __future__ import annotations

import json
import platform
import select
import sys
import time

sys.modules["openvino"] = None  # type: ignore[assignment]  # whoever asks for it gets an ImportError

import numpy  # noqa: E402

from ncs_cluster.backends.xlink import Xlink  # noqa: E402
from ncs_cluster.specs import GraphSpec, StickSpec  # noqa: E402
from ncs_cluster.types import GraphName, StickId  # noqa: E402


def main() -> None:
    stick = StickSpec(StickId("ncs-1"), "1-1.2", "xlink", {"firmware": sys.argv[2]})
    backend = Xlink()
    backend.open(stick, [GraphSpec(GraphName("g"), "g.xml", "ssd", blob=sys.argv[1])], lambda phase: None)
    backend.submit(7, 0, numpy.arange(8 * 8 * 3, dtype=numpy.uint8).reshape(8, 8, 3))
    until_s, done = time.monotonic() + 60, []
    while not done and time.monotonic() < until_s:
        due_s = 0.1 if backend.due_s is None else backend.due_s - time.monotonic()
        select.select([backend.wake_fd], [], [], max(0.0, min(0.1, due_s)))
        done = backend.collect()
    outputs = done[0].outputs
    assert outputs is not None
    told = {"tag": done[0].tag, "bytes": outputs["out"].tobytes().hex(), "shape": outputs["out"].shape}
    celsius = backend.read_sensor().temperature_c
    backend.close()
    print(json.dumps({**told, "celsius": celsius, "machine": platform.machine(), "python": sys.version_info[:2]}))


main()
