"""A stream: the frames of one producer, the graphs that run on them, and the sinks that get the results. A producer is a camera or
an intake.

A live stream processes its newest frame, an ordered stream every frame, once and in order. A stream of asks is a queue as an
ordered one, but each answer goes to its asker as soon as it is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ncs_cluster.core.actions import Action
from ncs_cluster.core.ordering import LiveOrder, Reorder
from ncs_cluster.core.rates import Latency, Rate
from ncs_cluster.core.work import Unit
from ncs_cluster.types import Outcome

WINDOW = 10_000
"""Results that may wait for an earlier one: some MB, and seconds of many fast sticks."""


class Producer(Protocol):
    """Feeds a stream. It owns the process, the frame pool and the grants."""

    def enrich(self, unit: Unit, outcome: Outcome, now_s: float) -> list[Action] | None:
        """Add distances, which only the producer can measure, then call Streams.publish. None: nothing to add."""

    def grant(self) -> list[Action]:
        """Grant free slots; called when slots may have become free."""

    def abandon(self, now_s: float) -> list[tuple[Unit, Outcome]]:
        """Stop measuring. Returns the results that waited for distances, oldest first."""


class Asker(Protocol):
    """Waits for the answers of a stream, each by itself: the stream has no order and no sinks."""

    def answer(self, unit: Unit, outcome: Outcome) -> None:
        """The unit has ended with this outcome, or with the reason why it has none."""


class Stream:
    """One open stream."""

    def __init__(
        self,
        name: str,
        producer: Producer,
        *,
        graphs: Sequence[int],
        weight: float = 1.0,
        ordered: bool = False,
        sinks: Sequence[str] | None = None,
        written: Mapping[int, int] | None = None,
        resumable: bool = False,
        asker: Asker | None = None,
    ) -> None:
        """`graphs`: indices of the graphs that run on each frame. `sinks`: names of the sinks that get its results; None: all
        that are no job's.
        `written`: the newest frame of a graph whose result an earlier run has written. `resumable`: a later run does what is not
        finished at the end."""
        self.name = name
        self.producer = producer
        self.graphs = tuple(graphs)
        self.weight = weight
        self.ordered = ordered
        self.sinks = sinks
        self.resumable = resumable
        self.asker = asker
        self.live_orders = {graph: LiveOrder() for graph in self.graphs}
        self.reorders = {graph: Reorder() for graph in self.graphs}
        self.published: dict[int, int] = {}
        """Number of the newest published frame, by graph."""
        self.detection = Rate()
        self.latency = Latency()
        self._written = dict(written or {})
        self.closing = False
        """The stream is closed: it gets no more frames, and later results are dropped."""

    def change_graphs(self, graphs: Sequence[int]) -> tuple[list[Unit], list[tuple[Unit, Outcome]]]:
        """Other graphs run on its next frames. Returns what waits of graphs that are gone: held live units, and
        ordered results, whose units have ended."""
        gone = [graph for graph in self.graphs if graph not in graphs]
        held = [unit for graph in gone for unit, _ in self.live_orders.pop(graph).flush()]
        recorded = [each for graph in gone for each in self.reorders.pop(graph).flush()]
        for graph in graphs:
            self.live_orders.setdefault(graph, LiveOrder())
            self.reorders.setdefault(graph, Reorder())
        self.graphs = tuple(graphs)
        return held, recorded

    def detection_fps(self, now_s: float) -> float:
        """Results per second and graph: frames that were processed, if every graph processes the same."""
        return self.detection.per_s(now_s) / max(1, len(self.graphs))

    @property
    def window_full(self) -> bool:
        """So many results of an ordered stream wait for an earlier one, as of a stick that hangs, that no more frames are taken."""
        return any(reorder.waiting >= WINDOW for reorder in self.reorders.values())

    def due(self, frame: int) -> tuple[int, ...]:
        """The graphs whose result of this frame is not written yet."""
        if not self._written:
            return self.graphs
        if frame > max(self._written.values()):
            self._written.clear()
        return tuple(graph for graph in self.graphs if frame > self._written.get(graph, -1))
