"""Injected faults of the USB level: errors of libusb calls, and moments at which a stick is pulled.

A fault of a call occurs `times` times, after `after` successful calls. A fault belongs to one port, or without a port to all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ncs_cluster.emulator import values
from ncs_cluster.emulator.wire import CALLS, Error, Op, Status

_STATUS = {
    "io": Status.ERROR,
    "timeout": Status.TIMED_OUT,
    "pipe": Status.STALL,
    "no_device": Status.NO_DEVICE,
    "overflow": Status.OVERFLOW,
}
MOMENTS = ("open", "claim", "firmware", "boot", "run", "out", "in", "release", "close")
"""firmware: a transfer to the ROM; boot: the ROM has started it; run: the running stick is on the bus; out, in: its transfers."""


@dataclass
class CallFault:
    """`call` is libusb's name without "libusb_"; "short" ends an OUT transfer with success after `bytes` bytes."""

    call: str
    error: str
    times: int = 1
    after: int = 0
    endpoint: int | None = None
    bytes: int = 0

    def __post_init__(self) -> None:
        if self.call not in CALLS.values():
            raise ValueError(f"no call {self.call!r}: one of {', '.join(CALLS.values())}")
        if self.error != "short" and self.error.upper() not in Error.__members__:
            raise ValueError(f"no error {self.error!r}: short or one of {', '.join(Error.__members__).lower()}")

    @property
    def code(self) -> int:
        """What the call returns."""
        return int(Error[self.error.upper()])

    @property
    def status(self) -> int:
        """How a transfer ends: by its status, or by an error where libusb has no status for it."""
        return int(_STATUS.get(self.error, self.code))


@dataclass
class Pull:
    """Pulls the stick at a moment, the first or a later one, and optionally plugs it again."""

    on: str
    after: int = 0
    again_s: float | None = None

    def __post_init__(self) -> None:
        if self.on not in MOMENTS:
            raise ValueError(f"no moment {self.on!r}: one of {', '.join(MOMENTS)}")


@dataclass
class Pace:
    """How the running stick's transfers are delayed and cut."""

    out_s: float = 0.0
    in_s: float = 0.0
    bytes_per_s: float = 0.0
    """0: no limit."""
    split: int = 0
    """IN transfers arrive in pieces of so many bytes; legal USB only for multiples of a packet."""
    merge: bool = False
    """All bytes the chip sends at once arrive as one IN transfer."""
    refuse_out: bool = False
    """OUT transfers are not accepted: they wait, time out or are cancelled."""


class Armed:
    """Armed faults of calls."""

    def __init__(self) -> None:
        self._calls: list[CallFault] = []

    def add(self, fault: CallFault) -> None:
        self._calls.append(fault)

    def clear(self) -> None:
        self._calls.clear()

    @property
    def asked(self) -> bool:
        """True while a fault is armed for a call that the emulated libusb makes only then."""
        return bool(self._calls) and any(fault.call in (CALLS[Op.ASK], CALLS[Op.LIST]) for fault in self._calls)

    def take(self, call: str, endpoint: int | None = None) -> CallFault | None:
        for fault in self._calls:
            if fault.call == call and (fault.endpoint is None or fault.endpoint == endpoint):
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self._calls.remove(fault)
                return fault
        return None


def make(kind: str, how: dict[str, Any]) -> CallFault | Pull | Pace | None:
    """A fault of this level from a command, or None for one of the chip. Raises ValueError."""
    kinds: dict[str, type[CallFault] | type[Pull] | type[Pace]] = {"libusb": CallFault, "pull": Pull, "pace": Pace}
    if kind not in kinds:
        return None
    values.check(how, values.kinds_of(kinds[kind]))
    try:
        return kinds[kind](**how)
    except TypeError as error:
        raise ValueError(f"fault {kind}: {error}") from error
