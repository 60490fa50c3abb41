"""The simulated hardware of testing.world, which outlives the processes: sticks, sources, the file of results.

Traits may be changed at any time; a process reads those of its own device whenever it acts.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from ncs_cluster.messages import Answered
from ncs_cluster.thermal import REST_S, Heat, Plant
from ncs_cluster.types import FrameRef


@dataclass
class StickTraits:
    """The traits of a stick."""

    latency_s: float = 0.1
    slower: dict[int, float] = field(default_factory=dict)
    """Latency by graph, seconds, where it differs from `latency_s`."""
    max_in_flight: int = 2
    sensor: bool = True
    temperature_c: float | None = 40.0
    """The sensor's reading without a `plant`; None: no reading."""
    throttle_level: int | None = 0
    plant: Plant | None = None
    heat: Heat = field(default_factory=lambda: Heat(25.0, 25.0))
    throttles: bool = False
    """Its firmware throttles it by the `plant`, whether or not it tells its `throttle_level`."""
    level: int = 0
    """As the firmware has it."""
    poison: Callable[[FrameRef], bool] = lambda _: False
    """Frames at which its worker crashes."""
    hangs: bool = False
    """Answers no request, but reports its temperature. Ends with its process or with a reset."""
    can_reset: bool = False
    """Its worker resets it in place: on ResetStick, or `notices_s` after a hang. It is open again after World.open_s."""
    notices_s: float = 1.5
    obeys: bool = True
    """Its worker acts on ResetStick."""
    refuses: bool = False
    """Answers each request at once with an error."""
    misses: str = ""
    """Of other hosts: each request ends without an answer, after its latency, for this reason."""
    mute: bool = False
    """Reports no telemetry."""
    names_model: bool = False
    """The label of each detection is the model of the graph that was inferred."""
    cannot_load: frozenset[str] = frozenset()
    """Models with which it cannot be opened."""
    crashes_with: frozenset[str] = frozenset()
    """Models at whose loading its worker crashes."""
    done: int = 0

    @property
    def pause_s(self) -> float:
        """Of the firmware, after each inference."""
        return REST_S[self.level] if self.throttles else 0.0


@dataclass
class CameraTraits:
    """The traits of a camera's source."""

    period_s: float = 1 / 30
    frames: int | None = None
    """Number of frames; None: endless."""
    ordered: bool = False
    size: tuple[int, int] = (640, 480)
    depth_scale_m: float | None = 0.001
    corrupt: frozenset[int] = frozenset()
    measure_s: float = 0.001
    answers: bool = True
    """False: its main thread hangs while its capture thread goes on."""


@dataclass
class ClientTraits:
    """The programs that send pictures to the gateway, and what became of them."""

    every_s: float = 0.0
    """Seconds between two pictures; 0: there is no such program."""
    graph: str = "demo"
    patience_s: float = 0.0
    """How long a picture is waited for; 0: without end."""
    asked: int = 0
    refused: int = 0
    """Pictures without a granted slot."""
    withdrawn: set[int] = field(default_factory=set)
    answers: dict[int, list[Answered]] = field(default_factory=lambda: defaultdict(list))


@dataclass
class SinkTraits:
    """The traits of the sink and its file."""

    write_s: float = 0.0005
    ack_s: float = 0.0005
    full: bool = False
    file: list[bytes] = field(default_factory=list)
    """The records in the file; `write` adds them."""
    size: int = 0
    """Bytes of the file."""

    def write(self, record: bytes) -> None:
        self.file.append(record)
        self.size += len(record) + 1

    def behind(self, offset: int) -> int:
        """How many whole records end after `offset` bytes."""
        ends = itertools.accumulate(len(record) + 1 for record in self.file)
        return sum(1 for end in ends if end > offset)
