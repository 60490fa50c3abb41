"""A stream: frames on their way through graphs to sinks. What feeds it is its producer: a camera process, later a job or a client.

A live stream is interested in its newest frame, an ordered one in every frame, once and in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ncs_cluster.core.actions import Action
from ncs_cluster.core.ordering import LiveOrder, Reorder
from ncs_cluster.core.rates import Latency, Rate
from ncs_cluster.core.work import Unit
from ncs_cluster.types import Outcome


class Producer(Protocol):
    """Feeds a stream. It owns the process, the frame pool and its grants."""

    def enrich(self, unit: Unit, outcome: Outcome, now_s: float) -> list[Action] | None:
        """Add what only the producer knows (distances), then call Streams.publish. None: nothing to add."""

    def grant(self) -> list[Action]:
        """Slots may be free now: let frames be written into them."""

    def abandon(self, now_s: float) -> list[tuple[Unit, Outcome]]:
        """Nothing is added any more: the results that waited for it, oldest first."""


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
    ) -> None:
        """`graphs`: indices of the graphs that run on each frame. `sinks`: names of the sinks it goes to; None: all."""
        self.name = name
        self.producer = producer
        self.graphs = tuple(graphs)
        self.weight = weight
        self.ordered = ordered
        self.sinks = sinks
        self.live_orders = {graph: LiveOrder() for graph in self.graphs}
        self.reorders = {graph: Reorder() for graph in self.graphs}
        self.published: dict[int, int] = {}
        """Newest frame that was published, by graph."""
        self.detection = Rate()
        self.latency = Latency()
        self.closing = False
        """Its producer is gone for good: nothing new comes, and results still under way are dropped."""
