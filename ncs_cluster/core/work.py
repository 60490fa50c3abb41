"""The unit of work, (frame, graph), and the ledger that sees each one end exactly once: result, dropped, late or given up."""

from __future__ import annotations

from msgspec import Struct

from ncs_cluster.core.slots import Slots
from ncs_cluster.types import FrameRef, StickId

RESULT, DROPPED, LATE, GIVEN_UP = "result", "dropped", "late", "given_up"


class Frame:
    """A captured frame, its pixels leased while a unit of it is open."""

    __slots__ = ("captured_at", "captured_s", "item", "ref", "slots")

    def __init__(self, ref: FrameRef, slots: Slots | None, captured_s: float, captured_at: float, item: str | None) -> None:
        self.ref = ref
        self.slots = slots
        """None when the frame holds no pixels (a corrupt picture)."""
        self.captured_s = captured_s
        self.captured_at = captured_at
        self.item = item


class Unit:
    """One frame through one graph."""

    __slots__ = ("closed", "ended", "frame", "graph", "holds_pixels", "sent_s", "stick", "stream", "ticket", "tried")

    def __init__(self, stream: str, frame: Frame, graph: int) -> None:
        self.stream = stream
        self.frame = frame
        self.graph = graph
        self.ticket = -1
        """Of the hand-over now under way; a new one each time."""
        self.stick: StickId | None = None
        self.sent_s = 0.0
        self.tried: list[StickId] = []
        """Sticks that died with this unit in hand; a stick that is alone dies of it more than once."""
        self.ended: str | None = None
        self.closed = False
        """Its stream was closed while a stick had it."""
        self.holds_pixels = frame.slots is not None

    @property
    def number(self) -> int:
        return self.frame.ref.frame

    def let_go(self) -> None:
        """The pixels are not needed any more."""
        if self.holds_pixels and self.frame.slots is not None:
            self.holds_pixels = False
            self.frame.slots.release(self.frame.ref.slot)


class Count(Struct):
    """How the units of one stream have ended."""

    begun: int = 0
    result: int = 0
    dropped: int = 0
    late: int = 0
    given_up: int = 0

    @property
    def open(self) -> int:
        return self.begun - self.result - self.dropped - self.late - self.given_up


class Ledger:
    """Counts beginnings and ends. `doubled` can only rise by a mistake of ours, and is shown to everybody."""

    def __init__(self) -> None:
        self.streams: dict[str, Count] = {}
        self.doubled = 0
        self.out_of_order = 0
        self.open: set[Unit] = set()

    def begin(self, unit: Unit) -> None:
        self.count(unit.stream).begun += 1
        self.open.add(unit)

    def end(self, unit: Unit, how: str) -> bool:
        """False when it had ended before."""
        if unit.ended is not None:
            self.doubled += 1
            return False
        unit.ended = how
        unit.let_go()
        self.open.discard(unit)
        count = self.count(unit.stream)
        setattr(count, how, getattr(count, how) + 1)
        return True

    def skip(self, stream: str, units: int) -> None:
        """A frame that found no free slot: its units begin and are dropped at once."""
        count = self.count(stream)
        count.begun += units
        count.dropped += units

    def count(self, stream: str) -> Count:
        return self.streams.setdefault(stream, Count())

    @property
    def lost(self) -> int:
        """Units that are neither open nor ended: must be zero, always."""
        return sum(count.open for count in self.streams.values()) - len(self.open)
