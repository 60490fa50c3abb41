"""Frames that carry a number, graphs an emulated stick answers with the start of what it was given, and a stick to drive with both.

`python -m tests.backends.numbered PORT FIRMWARE LIBUSB FOLDER COUNT` is a process that owns one stick: it says "ready", runs COUNT
numbered frames, and says how many came back as another's.
"""

from __future__ import annotations

import select
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ncs_cluster.backends.base import Completed
from ncs_cluster.backends.xlink import Xlink
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import GraphName, StickId
from tests.xlink.blobs import NC, NCHW, NHWC, U8, Entry, make

GRAPHS = ("planar", "interleaved")
QUICK = {"settle_s": 0.0, "boot_timeout_s": 5.0, "infer_timeout_s": 5.0, "watchdog_s": 5.0}


def write_blobs(folder: Path) -> list[GraphSpec]:
    """Two graphs: 8 x 8 pixels in, 64 bytes out, which are the first of what went in; planar, and interleaved with two outputs."""
    planar = make([Entry("data", (1, 3, 8, 8), U8, NCHW)], [Entry("out", (1, 64), U8, NC)])
    interleaved = make([Entry("data", (1, 8, 8, 3), U8, NHWC)], [Entry("out", (1, 64), U8, NC), Entry("more", (1, 5), U8, NC)])
    for name, blob in zip(GRAPHS, (planar, interleaved), strict=True):
        (folder / f"{name}.blob").write_bytes(blob)
    return graphs(folder)


def graphs(folder: Path) -> list[GraphSpec]:
    """Those written there."""
    return [GraphSpec(GraphName(name), f"/{name}.xml", "ssd", blob=str(folder / f"{name}.blob")) for name in GRAPHS]


def frame(number: int) -> np.ndarray:
    """A grey picture whose bytes are the number, eight times in each channel."""
    plane = np.frombuffer(number.to_bytes(8, "little") * 8, np.uint8).reshape(8, 8)
    return np.repeat(plane[:, :, None], 3, axis=2)


def number(completed: Completed) -> int:
    """What the graph was given: the planar one's bytes as they are, of the interleaved one's every third."""
    assert completed.outputs is not None
    seen = completed.outputs["out"][0].astype(np.uint8)
    return int.from_bytes(seen[::3][:8].tobytes() if "more" in completed.outputs else seen[:8].tobytes(), "little")


class Driver:
    """A worker's loop in small, with numbered frames."""

    def __init__(self, port: str, firmware: Path, libusb: Path, specs: list[GraphSpec], **options: Any) -> None:
        self.backend, self.phases, self.depth = Xlink(), list[str](), 0
        self.graphs = specs
        self._stick = StickSpec(
            StickId(port), port, "xlink", {"firmware": str(firmware), "libusb": str(libusb), **QUICK, **options}
        )
        self.next, self.back, self.mixed = 1, 0, 0
        self._out: dict[int, int] = {}

    def open(self) -> Any:
        device = self.backend.open(self._stick, self.graphs, self.phases.append)
        self.depth = device.max_in_flight
        return device

    def reopen(self) -> Any:
        self._out.clear()
        return self.backend.reopen(self.phases.append)

    def leave(self) -> None:
        """Let go without a word, as a process that is killed."""
        pipe, self.backend._pipe = self.backend._pipe, None
        if pipe is not None:
            pipe.close()

    def fill(self) -> None:
        """As many frames as it may hold, the graphs in turn."""
        while len(self._out) < self.depth:
            self._out[self.next] = self.next
            self.backend.submit(self.next, self.next % len(self.graphs), frame(self.next))
            self.next += 1

    def turn(self, most_s: float = 1.0) -> list[Completed]:
        """Wait for something and take what has come."""
        due_s = self.backend.due_s
        wait_s = most_s if due_s is None else max(0.0, min(most_s, due_s - time.monotonic()))
        assert self.backend.wake_fd is not None
        select.select([self.backend.wake_fd], [], [], wait_s)
        done = self.backend.collect()
        for each in done:
            self.back += 1
            self.mixed += self._out.pop(each.tag) != number(each)
        return done

    def run(self, count: int, timeout_s: float = 30.0) -> None:
        """So many results. Raises StickError, or TimeoutError."""
        until_s, goal = time.monotonic() + timeout_s, self.back + count
        while self.back < goal:
            self.fill()
            self.turn()
            if time.monotonic() > until_s:
                raise TimeoutError(f"{self.back} of {goal} results")


if __name__ == "__main__":
    port, firmware, libusb, folder, count = sys.argv[1:]
    driver = Driver(port, Path(firmware), Path(libusb), graphs(Path(folder)))
    driver.open()
    print("ready", flush=True)
    driver.run(int(count))
    driver.backend.close()
    print(f"{driver.back} back, {driver.mixed} mixed", flush=True)
