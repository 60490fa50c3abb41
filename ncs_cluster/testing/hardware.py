"""What stands around the processes of a virtual machine room and outlives them: sticks, sources, the place of results.

Traits may be changed at any time; a process looks at those of its own piece whenever it does something.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from ncs_cluster.thermal import Heat, Plant
from ncs_cluster.types import FrameRef


@dataclass
class StickTraits:
    """A stick as hardware."""

    latency_s: float = 0.1
    slower: dict[int, float] = field(default_factory=dict)
    """Graphs that take another time than `latency_s`."""
    max_in_flight: int = 2
    sensor: bool = True
    temperature_c: float | None = 40.0
    """What its sensor says when there is no `plant`; None: nothing."""
    throttle_level: int | None = 0
    plant: Plant | None = None
    heat: Heat = field(default_factory=lambda: Heat(25.0, 25.0))
    poison: Callable[[FrameRef], bool] = lambda _: False
    """Frames it dies of when it begins with them."""
    hangs: bool = False
    """Answers nothing more; still reports its temperature. Over when its process ends, or it was reset."""
    can_reset: bool = False
    """Its worker resets it in place: when it is told to, or notices after `notices_s`. It is open again after World.open_s."""
    notices_s: float = 1.5
    obeys: bool = True
    refuses: bool = False
    """Answers each frame at once with an error."""
    mute: bool = False
    """Reports nothing."""
    done: int = 0


@dataclass
class CameraTraits:
    """A source."""

    period_s: float = 1 / 30
    frames: int | None = None
    """How many there are; None: for ever."""
    ordered: bool = False
    size: tuple[int, int] = (640, 480)
    depth_scale_m: float | None = 0.001
    corrupt: frozenset[int] = frozenset()
    measure_s: float = 0.001
    answers: bool = True
    """False: its main thread hangs while its capture thread goes on."""


@dataclass
class SinkTraits:
    """The place where results go."""

    write_s: float = 0.0005
    ack_s: float = 0.0005
    full: bool = False
    file: list[bytes] = field(default_factory=list)
    """What a reader of the file sees."""

    def size(self) -> int:
        return sum(len(record) + 1 for record in self.file)

    def behind(self, offset: int) -> int:
        """Whole records after so many bytes."""
        ends = itertools.accumulate(len(record) + 1 for record in self.file)
        return sum(1 for end in ends if end > offset)
