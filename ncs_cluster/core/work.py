"""The unit of work, (frame, graph), and the tally, which checks that each unit ends exactly once: result, dropped, late, given
up."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from ncs_cluster.core.slots import Slots
from ncs_cluster.types import FrameRef, Size, StickId, Tensor

RESULT, DROPPED, LATE, GIVEN_UP = "result", "dropped", "late", "given_up"


class Frame:
    """A captured frame; each open unit of it holds a lease of its slot."""

    __slots__ = ("captured_at", "captured_s", "item", "item_fps", "item_frame", "ref", "size", "slots")

    def __init__(
        self,
        ref: FrameRef,
        slots: Slots | None,
        captured_s: float,
        captured_at: float,
        item: str | None,
        size: Size | None = None,
        item_frame: int | None = None,
        item_fps: float | None = None,
    ) -> None:
        self.ref = ref
        self.slots = slots
        """None when the frame has no pixels, as with a corrupt picture."""
        self.captured_s = captured_s
        self.captured_at = captured_at
        self.item = item
        self.size = size
        self.item_frame = item_frame
        self.item_fps = item_fps


class Unit:
    """One frame through one graph."""

    __slots__ = (
        "beside",
        "closed",
        "ended",
        "frame",
        "graph",
        "holds_pixels",
        "outputs",
        "raw",
        "sent_s",
        "stick",
        "stream",
        "ticket",
        "took_s",
        "tried",
    )

    def __init__(self, stream: str, frame: Frame, graph: int, *, raw: bool = False) -> None:
        self.stream = stream
        self.frame = frame
        self.graph = graph
        self.ticket = -1
        """The number of the request in flight; each request has a new one. -1: not in flight."""
        self.stick: StickId | None = None
        self.sent_s = 0.0
        self.beside: tuple[int, ...] = ()
        """Graphs of the requests that its stick held when it was sent, in rising order."""
        self.tried: list[StickId] = []
        """Sticks that failed with this unit in flight; the only stick may be listed several times."""
        self.ended: str | None = None
        self.closed = False
        """Its stream was closed, its graph removed, or its ask withdrawn, before it had ended."""
        self.raw = raw
        """Its answer is the output tensors, not decoded."""
        self.outputs: Sequence[Tensor] = ()
        """Of a raw unit: the tensors in the answer plane of its slot."""
        self.took_s = 0.0
        """On the stick that has answered it."""
        self.holds_pixels = frame.slots is not None

    @property
    def number(self) -> int:
        return self.frame.ref.frame

    def release_pixels(self) -> None:
        """Return the lease of the frame's slot."""
        if self.holds_pixels and self.frame.slots is not None:
            self.holds_pixels = False
            self.frame.slots.release(self.frame.ref.slot)


class Count(Struct):
    """The units of one stream, counted by how they ended."""

    begun: int = 0
    result: int = 0
    dropped: int = 0
    late: int = 0
    given_up: int = 0

    @property
    def open(self) -> int:
        return self.begun - self.result - self.dropped - self.late - self.given_up


class Tally:
    """Counts how units begin and end. `doubled` and `lost` differ from 0 only by a fault of this program; both are in the
    status."""

    def __init__(self) -> None:
        self.streams: dict[str, Count] = {}
        self.doubled = 0
        self.out_of_order = 0
        self.open: set[Unit] = set()

    def begin(self, unit: Unit) -> None:
        self.count(unit.stream).begun += 1
        self.open.add(unit)

    def end(self, unit: Unit, how: str) -> bool:
        """End the unit. False: it had ended before, which is counted in `doubled`."""
        if unit.ended is not None:
            self.doubled += 1
            return False
        unit.ended = how
        unit.release_pixels()
        self.open.discard(unit)
        count = self.count(unit.stream)
        setattr(count, how, getattr(count, how) + 1)
        return True

    def skip(self, stream: str, units: int) -> None:
        """Count the units of a frame that found no free slot as begun and dropped."""
        count = self.count(stream)
        count.begun += units
        count.dropped += units

    def count(self, stream: str) -> Count:
        count = self.streams.get(stream)
        if count is None:
            count = self.streams[stream] = Count()
        return count

    @property
    def lost(self) -> int:
        """Units that are neither open nor ended; always 0 unless this program is at fault."""
        return sum(count.open for count in self.streams.values()) - len(self.open)
