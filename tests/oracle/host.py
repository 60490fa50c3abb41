"""Runs under the oracle's Python 3.9: the vendor's plugin, driven step by step over a pipe.

Each line that comes is {"do": NAME, ...}, each answer one line {"ok": ...} or {"error": "RuntimeError: ..."}. Arrays go by .npz
files. Standard output is the plugin's, which prints its troubles there.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
import time
from typing import Any, Dict

import numpy
from openvino.inference_engine import IECore

AT_WORK = (0, -8, -9)
"""OK, REQUEST_BUSY, RESULT_NOT_READY."""


class Host:
    def __init__(self) -> None:
        self.core = IECore()
        self.nets: Dict[str, Any] = {}

    def devices(self) -> Any:
        return self.core.available_devices

    def metric(self, device: str, name: str) -> Any:
        return self.core.get_metric(device, name)

    def load(self, net: str, device: str, model: str = "", blob: str = "", precision: str = "U8", layout: str = "",
             requests: int = 4, config: Any = None, mean: Any = None, scale: Any = None) -> Any:  # fmt: skip
        began_s = time.monotonic()
        if blob:
            loaded = self.core.import_network(blob, device, config or {}, requests)
        else:
            network = self.core.read_network(model)
            for port in network.input_info.values():
                port.precision = precision
                if layout:
                    port.layout = layout
                if mean or scale:
                    fold(port.preprocess_info, mean or [0, 0, 0], scale or [1, 1, 1])
            for output in network.outputs.values():
                output.precision = "FP32"
            loaded = self.core.load_network(network, device, config or {}, requests)
        self.nets[net] = loaded
        inputs = {
            name: [list(port.tensor_desc.dims), port.tensor_desc.layout, port.precision] for name, port in loaded.input_info.items()
        }
        outputs = {name: [list(port.shape), port.layout, port.precision] for name, port in loaded.outputs.items()}
        return {"inputs": inputs, "outputs": outputs, "seconds": time.monotonic() - began_s}

    def infer(self, net: str, given: str, answer: str, depth: int = 4, timeout_s: float = 30.0) -> Any:
        """Every row of the arrays in `given` (input name -> [count, bytes of one input as laid out]) through the graph, up to
        `depth` in flight; `answer` gets output name -> [count, ...]."""
        loaded = self.nets[net]
        rows = dict(numpy.load(given))
        count = len(next(iter(rows.values())))
        free, ended, when = list(range(depth)), [], threading.Condition()

        def callback(status: int, lane: int) -> None:
            with when:
                ended.append((status, lane))
                when.notify()

        for lane in range(depth):
            loaded.requests[lane].set_completion_callback(callback, lane)
        answers: Dict[str, Any] = {}
        in_lane, sent, got, began_s = {}, 0, 0, time.monotonic()
        order = []
        while got < count:
            while free and sent < count:
                lane = free.pop(0)
                request = loaded.requests[lane]
                for name, row in rows.items():
                    request.input_blobs[name].buffer.reshape(-1)[:] = row[sent].reshape(-1)
                in_lane[lane] = sent
                request.async_infer()
                sent += 1
            until_s = time.monotonic() + timeout_s
            with when:
                while not when.wait_for(lambda: ended, 0.1):
                    # a request that fails is not told by its callback
                    for lane in in_lane:
                        status = loaded.requests[lane].wait(0)
                        if status not in AT_WORK:
                            raise RuntimeError(f"status {status}")
                    if time.monotonic() > until_s:
                        raise TimeoutError(f"no answer; in flight: {sorted(in_lane)}")
                status, lane = ended.pop(0)
            if status != 0:
                raise RuntimeError(f"status {status}")
            for name, blob in loaded.requests[lane].output_blobs.items():
                answers.setdefault(name, [None] * count)[in_lane[lane]] = numpy.array(blob.buffer)
            order.append(in_lane.pop(lane))
            free.append(lane)
            got += 1
        stacked: Any = {name: numpy.stack(found) for name, found in answers.items()}
        numpy.savez(answer, **stacked)
        return {"order": order, "seconds": time.monotonic() - began_s}

    def flood(self, net: str, seconds: float, depth: int = 4) -> Any:
        """As many inferences of what lies in the inputs as there is time for."""
        loaded, done, stop = self.nets[net], [0], [False]
        idle = threading.Semaphore(0)

        def callback(status: int, lane: int) -> None:
            done[0] += 1
            idle.release() if stop[0] or status else loaded.requests[lane].async_infer()

        for lane in range(depth):
            loaded.requests[lane].set_completion_callback(callback, lane)
        cpu_s, began_s = time.process_time(), time.monotonic()
        for lane in range(depth):
            loaded.requests[lane].async_infer()
        time.sleep(seconds)
        stop[0] = True
        took_s = time.monotonic() - began_s
        count, cpu_s = done[0], time.process_time() - cpu_s
        for _ in range(depth):
            idle.acquire(timeout=30)
        return {"count": count, "seconds": took_s, "cpu_s": cpu_s}

    def thermal(self, net: str) -> Any:
        began_s = time.monotonic()
        return {"c": self.nets[net].get_metric("DEVICE_THERMAL"), "seconds": time.monotonic() - began_s}

    def export(self, net: str, path: str) -> Any:
        self.nets[net].export(path)
        return os.path.getsize(path)

    def unload(self, net: str) -> Any:
        began_s = time.monotonic()
        del self.nets[net]
        return {"seconds": time.monotonic() - began_s}


def fold(arithmetic: Any, mean: Any, scale: Any) -> None:
    from openvino.inference_engine import MeanVariant

    arithmetic.init(len(mean))
    arithmetic.mean_variant = MeanVariant.MEAN_VALUE
    for channel in range(len(mean)):
        arithmetic[channel].mean_value, arithmetic[channel].std_scale = mean[channel], scale[channel]


def main() -> None:
    # what the plugin prints by C's printf
    host, flush = Host(), ctypes.CDLL(None).fflush
    asked, answers = os.fdopen(int(sys.argv[1])), os.fdopen(int(sys.argv[2]), "w")
    for line in asked:
        order = json.loads(line)
        try:
            answer = {"ok": getattr(host, order.pop("do"))(**order)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        flush(None)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


main()
