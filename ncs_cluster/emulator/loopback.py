"""A chip that sends back what it hears, for tests of the USB level; and the shape every chip at a port must have."""

from __future__ import annotations

from typing import Any, Protocol


class Chip(Protocol):
    """The inside of a running stick: bytes in, bytes out, time as an argument. Nothing in here waits."""

    left: bool
    """It has reset itself: the bus puts it back to its boot ROM."""

    def receive(self, data: bytes, now_s: float) -> None:
        """One OUT transfer of the host."""

    def take(self) -> list[bytes]:
        """What it sends, in order; each is one IN transfer."""

    @property
    def due_s(self) -> float | None:
        """When `tick` is next wanted."""

    def tick(self, now_s: float) -> None: ...

    def fault(self, kind: str, **how: Any) -> None:
        """Something inside goes wrong on command. Raises ValueError for a kind it does not know."""


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
