"""A host's session and an emulated stick on one virtual cable: bytes carried by hand, a clock that is a number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from ncs_cluster.emulator.stick import Stick
from ncs_cluster.xlink.blob import Blob
from ncs_cluster.xlink.events import Event, Ready, Result
from ncs_cluster.xlink.session import Options, Session
from tests.xlink.blobs import FP32, NC, Entry, make

FACES = Blob.parse(make([Entry("data", (1, 3, 60, 80))], [Entry("faces", (1, 1, 20, 7), FP32)]))
SMALL = Blob.parse(make([Entry("image", (1, 3, 8, 8))], [Entry("class", (1, 16), FP32, NC)], shaves=4, slices=6))

Mangle = Callable[[bytes], bytes]


class Pair:
    """A session and a stick on one virtual cable."""

    def __init__(self, graphs: list[Blob], options: Options = Options(), **stick: Any) -> None:  # noqa: B008
        self.now_s = 100.0
        self.session, self.stick = Session(graphs, options), Stick(**stick)
        self.seen: list[tuple[float, Event]] = []
        self.cable: deque[bytes] = deque()
        self.to_stick: Mangle = lambda data: data
        self.to_host: Mangle = lambda data: data
        self.session.start(self.now_s)

    def carry(self) -> None:
        """All that can be said now; a read of the host takes exactly what it asked for, whatever transfers that is."""
        for _ in range(20_000):
            for data in self.session.out():
                self.stick.receive(self.to_stick(bytes(data)), self.now_s)
            self.cable.extend(filter(None, map(self.to_host, self.stick.take())))
            if not self.cable or self.session.ended:
                break
            self.session.received(bytearray(self.cable.popleft()), self.now_s)
            self.seen += [(self.now_s, event) for event in self.session.events()]
        else:
            raise AssertionError("they talk for ever")

    def run(self, for_s: float) -> list[Event]:
        """What the session tells in that time."""
        end_s, already = self.now_s + for_s, len(self.seen)
        while True:
            self.carry()
            if self.stick.left and not self.session.ended:
                self.session.fail("gone", "unplugged")
            self.seen += [(self.now_s, event) for event in self.session.events()]
            dues = [due_s for due_s in (self.session.due_s, None if self.stick.left else self.stick.due_s) if due_s is not None]
            due_s = min(dues, default=end_s)
            if due_s > end_s or self.session.ended or not dues:
                self.now_s = end_s
                return [event for _, event in self.seen[already:]]
            self.now_s = max(self.now_s, due_s)
            self.stick.tick(self.now_s)
            self.carry()
            if self.session.due_s is not None and self.session.due_s <= self.now_s:
                self.session.tick(self.now_s)

    def ready(self) -> Pair:
        events = self.run(1.5)
        assert any(isinstance(event, Ready) for event in events), events
        assert not self.stick.violations
        return self


def numbered(number: int, blob: Blob) -> bytes:
    return (number.to_bytes(4, "little") * (blob.inputs_size // 4 + 1))[: blob.inputs_size]


def number_of(result: Result) -> int:
    return int.from_bytes(bytes(result.data[:4]), "little")
