"""An accelerator that measures how bright a frame is, on this CPU."""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Iterator, List, Optional

from ncs_cluster.backends.base import BackendPlugin, Completed, Counted, DeviceInfo, Reading
from ncs_cluster.errors import StickError

if TYPE_CHECKING:
    from ncs_cluster.specs import GraphSpec, StickSpec


@dataclass(frozen=True)
class Options:
    """What the device is like."""

    in_flight: int = 2
    """Requests it holds at once."""

    def __post_init__(self) -> None:
        if not 1 <= self.in_flight <= 16:
            raise ValueError("in_flight must be 1 to 16")


class Example:
    """See ncs_cluster.backends.base.Backend."""

    needs_frames = True
    due_s = None

    def __init__(self, time_scale: float = 1.0) -> None:
        self.wake_fd: Optional[int] = None
        self._write_fd: Optional[int] = None
        self._done: Deque[Completed] = deque()

    def open(self, stick: StickSpec, graphs: List[GraphSpec], phase: Callable[[str], None]) -> DeviceInfo:
        phase("opening")
        try:
            options = Options(**stick.options)
        except (TypeError, ValueError) as error:
            raise StickError("open", f"example {stick.id}: {error}") from error
        self.wake_fd, self._write_fd = os.pipe()
        os.set_blocking(self.wake_fd, False)
        return DeviceInfo("example device", has_sensor=False, max_in_flight=options.in_flight)

    def submit(self, tag: int, graph: int, image: Any) -> None:
        import numpy

        if self._write_fd is None:
            raise StickError("gone", "the example device is closed")
        began_s = time.monotonic()
        outputs = {"brightness": numpy.array([image.mean()], numpy.float32)}
        self._done.append(Completed(tag, outputs, time.monotonic() - began_s))
        os.write(self._write_fd, b"!")

    def collect(self) -> List[Completed]:
        if self.wake_fd is None:
            raise StickError("gone", "the example device is closed")
        done = list(self._done)
        self._done.clear()
        if done:
            os.read(self.wake_fd, len(done))
        return done

    def read_sensor(self) -> Reading:
        return Reading(None)

    def close(self) -> None:
        for fd in (self.wake_fd, self._write_fd):
            if fd is not None:
                os.close(fd)
        self.wake_fd = self._write_fd = None


def preflight(graphs: List[GraphSpec]) -> Iterator[Dict[str, Any]]:
    """What each graph gives for a black frame."""
    import numpy

    for _ in graphs:
        yield {"brightness": numpy.zeros(1, numpy.float32)}


PLUGIN = BackendPlugin(
    name="example",
    title="an accelerator that measures brightness",
    driver="ncs_cluster_example.backend:Example",
    options="ncs_cluster_example.backend:Options",
    counted=Counted(default=2, prefix="example", port="example device"),
    preflight="ncs_cluster_example.backend:preflight",
)
