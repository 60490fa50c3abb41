"""One open device that is given a picture at a time, through the interface that a worker uses. Runs on CPython 3.9."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, List, Optional, Tuple

from ncs_cluster import decoders
from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import Backend, Completed
from ncs_cluster.errors import StickError
from ncs_cluster.plugins import load
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import Outcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PATIENCE_S = 60.0
"""A request that takes longer counts as hung."""
SENSOR_S = 1.0
"""Time between two looks at the sensor."""


class Device:
    """Opened by its constructor. One thread makes, calls and closes it."""

    def __init__(self, stick: StickSpec, graph: GraphSpec, time_scale: float) -> None:
        """Raises StickError, ConfigError."""
        self._stick, self._graph = stick, graph
        plugin = BACKENDS.get(stick.backend)
        self._backend: Backend = load(plugin.driver)(time_scale)
        self._backend.open(stick, [graph], lambda phase: None)
        self._decode = decoders.create(graph) if self._backend.needs_frames else None
        self._tag = 0
        self.temperature_c: Optional[float] = None
        """As last read."""
        self._look_s = 0.0

    @property
    def id(self) -> str:
        return self._stick.id

    def infer(self, image: NDArray[np.uint8]) -> Tuple[Optional[str], str, Outcome]:
        """See loop.Infer. Raises StickError."""
        self._tag += 1
        self._backend.submit(self._tag, 0, image if self._backend.needs_frames else None)
        completed = self._answer()
        if time.monotonic() >= self._look_s:
            self._look_s = time.monotonic() + SENSOR_S
            self.temperature_c = self._backend.read_sensor().temperature_c
        outcome = Outcome()
        if completed.outputs is not None and self._decode is not None:
            outcome = self._decode(completed.outputs, completed.transform)
        return self._stick.id, self._graph.name, outcome

    def serve(self, longest_s: float) -> None:
        """Keep the link alive, with no request in flight, for at most `longest_s`. Raises StickError."""
        self._backend.collect()
        self._wait(time.monotonic() + longest_s)

    def close(self) -> None:
        self._backend.close()

    def _answer(self) -> Completed:
        """The answer to the one request in flight, waited for as a worker waits."""
        until_s = time.monotonic() + PATIENCE_S
        while True:
            for completed in self._backend.collect():
                if completed.tag == self._tag:
                    return completed
            if time.monotonic() > until_s:
                raise StickError("hang", f"stick {self._stick.id}: no answer for {PATIENCE_S:.0f} s")
            self._wait(until_s)

    def _wait(self, until_s: float) -> None:
        """Until the backend may have something to collect, at most until `until_s`."""
        due_s = until_s if self._backend.due_s is None else min(until_s, self._backend.due_s)
        watched: List[int] = [] if self._backend.wake_fd is None else [self._backend.wake_fd]
        select.select(watched, [], [], max(0.0, due_s - time.monotonic()))
