"""Which USB device is which stick. A stick has no serial number, so it is named by its home: the port where it waits for its boot.

    home 1-1.2, in its boot ROM  -- boot -->  away for a moment  -->  booted at 2-1.2, or on a Pi 4 at 2-2

A port is bus and chain. After its boot a stick is on the bus of the faster half of its socket, mostly with the same chain; where
the chain differs too, the pair of ports is learned while no other stick is away. A stick that is away is not gone yet: booting,
resetting and coming back take a moment.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

RETURN_S = 1.0
"""A settled stick, one that was open, was pulled when it is away for so long."""
BOOT_S = 5.0
"""Any other may be booting, or be reset by its worker or its own watchdog."""


class UsbIdentity:
    """The sticks that are plugged in, by their homes."""

    def __init__(self, pairs: Mapping[str, str] | None = None) -> None:
        """`pairs`: port after the boot -> home, as learned before."""
        self.pairs = dict(pairs or {})
        self.port_of: dict[str, str] = {}
        """Home -> where it is now, or was last."""
        self._missing_since_s: dict[str, float] = {}
        self._may_be_booting: set[str] = set()
        self._unidentified: set[str] = set()
        """Found booted at a port nobody knew: named by that port until they are reset and show their homes."""
        self._ambiguous: set[str] = set()
        """Homes whose sticks were told from others by their turn alone: one that is called so may be another."""
        self.renamed: list[str] = []
        """Those of the last look's gone that were no home: their sticks are called by another one now."""

    def update(self, seen: Mapping[str, bool], no_boot_expected: Container[str], now_s: float) -> tuple[list[str], list[str]]:
        """Boot ports of new sticks and of gone sticks. `seen`: port -> whether it has booted; `no_boot_expected`: boot
        ports of sticks with no boot ahead."""
        waiting = sorted(port for port, has_booted in seen.items() if not has_booted)
        # one that resets itself may be back on the slower bus before the faster one has noticed that it left
        shadows = {self.port_of[boot_port] for boot_port in waiting if boot_port in self.port_of}
        booted = sorted(port for port, has_booted in seen.items() if has_booted and port not in shadows)
        matched = {boot_port: boot_port for boot_port in waiting}
        self._ambiguous.difference_update(waiting)
        self._match_known(matched, booted, seen)
        gone: list[str] = []
        for boot_port in waiting:
            if boot_port not in self.port_of:
                gone += self._superseded(boot_port, self._missing(matched, gone))
        for port in sorted(set(booted) - set(matched.values())):
            matched[self._match_returned(port, self._missing(matched, gone))] = port
        self.renamed = list(gone)
        found = [boot_port for boot_port in matched if boot_port not in self.port_of]
        self.port_of |= matched
        for boot_port in matched:
            self._missing_since_s.pop(boot_port, None)
            self._may_be_booting.discard(boot_port)
        gone += [
            boot_port
            for boot_port in self.port_of
            if boot_port not in matched and boot_port not in gone and self._is_gone(boot_port, no_boot_expected, now_s)
        ]
        for boot_port in gone:
            self._remove(boot_port)
        return found, gone

    def _match_known(self, matched: dict[str, str], booted: Sequence[str], seen: Container[str]) -> None:
        """Those whose home is known, the surest first: so that each device is one stick, whatever had been thought before."""
        for port in booted:
            # not believed while something is plugged in where the home should be
            if (
                (boot_port := self.pairs.get(port)) is not None
                and boot_port not in matched
                and (boot_port == port or boot_port not in seen)
            ):
                matched[boot_port] = port
        for port in sorted(set(booted) - set(matched.values())):
            if port in self.port_of:
                matched[port] = port
                if port not in self._unidentified and port not in self.pairs:
                    self._learn(port, port)
        for port in sorted(set(booted) - set(matched.values())):
            if boot_port := next(
                (boot_port for boot_port, current in self.port_of.items() if current == port and boot_port not in matched), None
            ):
                matched[boot_port] = port

    def _missing(self, matched: Container[str], gone: Container[str]) -> list[str]:
        return [boot_port for boot_port in self.port_of if boot_port not in matched and boot_port not in gone]

    def _match_returned(self, port: str, missing: list[str]) -> str:
        """Whose first look after its boot this is: the one away with the same chain, else the one that left first."""
        same = [boot_port for boot_port in missing if _chain(boot_port) == _chain(port)]
        candidates = same or missing
        if not candidates:
            self._unidentified.add(port)
            return port
        # sticks are alike: to mix two up for this once does no harm, to remember it would
        boot_port = min(candidates, key=lambda each: self._missing_since_s.get(each, float("inf")))
        doubtful = [each for each in self._ambiguous if not same or _chain(each) == _chain(port)]
        if len(candidates) > 1:
            self._ambiguous.add(boot_port)
        elif not doubtful:
            self._learn(port, boot_port)
        return boot_port

    def _superseded(self, boot_port: str, missing: list[str]) -> list[str]:
        """Orphans that are called by this home from now on: one was reset, and its home shows for the first time."""
        unidentified = [name for name in missing if name in self._unidentified]
        same = [name for name in unidentified if _chain(name) == _chain(boot_port)]
        candidates = same or unidentified
        if len(candidates) == 1:
            self._learn(candidates[0], boot_port)
        # of several it cannot be told which it is; their names would be taken for second sticks as soon as they have booted
        return candidates

    def _learn(self, port: str, boot_port: str) -> None:
        """A socket has one other half; what was thought before was wrong."""
        self.pairs = {known: known_boot_port for known, known_boot_port in self.pairs.items() if known_boot_port != boot_port}
        self.pairs[port] = boot_port

    def _is_gone(self, boot_port: str, no_boot_expected: Container[str], now_s: float) -> bool:
        since_s = self._missing_since_s.setdefault(boot_port, now_s)
        if boot_port not in no_boot_expected:
            self._may_be_booting.add(boot_port)
        return now_s - since_s >= (BOOT_S if boot_port in self._may_be_booting else RETURN_S)

    def _remove(self, boot_port: str) -> None:
        del self.port_of[boot_port]
        self._missing_since_s.pop(boot_port, None)
        self._may_be_booting.discard(boot_port)
        self._unidentified.discard(boot_port)
        self._ambiguous.discard(boot_port)


def _chain(port: str) -> str:
    """ "2-1.2" -> "1.2"."""
    return port.partition("-")[2]
