"""A chip that returns the bytes it receives, for tests of the USB level; and the protocol of every chip."""

from __future__ import annotations

from typing import Any, Protocol


class Chip(Protocol):
    """A running stick's chip: bytes in, bytes out, time as an argument. No method blocks."""

    left: bool
    """True after the chip has reset itself: the bus returns it to its boot ROM."""

    def receive(self, data: bytes, now_s: float) -> None:
        """One OUT transfer of the host."""

    def take(self) -> list[bytes]:
        """Bytes to send, in order; each element is one IN transfer."""

    @property
    def due_s(self) -> float | None:
        """Time of the next `tick`."""

    def tick(self, now_s: float) -> None: ...

    def fault(self, kind: str, **how: Any) -> None:
        """Inject a fault of the chip. Raises ValueError for an unknown kind."""


class Loopback:
    """Each OUT transfer comes back as one IN transfer. Options, as every chip's, come as keywords."""

    def __init__(self, **options: Any) -> None:
        self.left = False
        self.due_s: float | None = None
        self._out: list[bytes] = []

    def receive(self, data: bytes, now_s: float) -> None:
        if data == b"RESET":
            self.left = True
        self._out.append(data)

    def take(self) -> list[bytes]:
        out, self._out = self._out, []
        return out

    def tick(self, now_s: float) -> None:
        pass

    def fault(self, kind: str, **how: Any) -> None:
        if kind != "clear":
            raise ValueError(f"a loopback has no fault {kind!r}")
