"""Matches USB devices to sticks. A stick has no serial number: its identity is its boot port, at which its boot ROM appears.

    boot port 1-1.2, in the boot ROM  -- boot -->  missing  -->  booted at 2-1.2, or on a Pi 4 at 2-2

A port is "bus-chain". After its boot a stick appears on the bus of the faster half of its socket, mostly with the same chain. Where
the chain differs too, the pair (port after the boot, boot port) is learned while no other stick is missing. A missing stick counts
as gone only after RETURN_S or BOOT_S, since a boot or a reset takes a moment. What follows from it is decided by `sticks`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

RETURN_S = 1.0
"""A stick with no boot ahead was unplugged when it is missing for so long."""
BOOT_S = 5.0
"""Any other stick may be booting, or be reset by its worker or by its watchdog, and is gone after this time."""


class UsbIdentity:
    """The sticks that are plugged in, by boot port."""

    def __init__(self, pairs: Mapping[str, str] | None = None) -> None:
        """`pairs`: port after the boot -> boot port, as learned by an earlier instance."""
        self.pairs = dict(pairs or {})
        self.port_of: dict[str, str] = {}
        """Boot port -> the present port, or the last one of a missing stick."""
        self._missing_since_s: dict[str, float] = {}
        self._may_be_booting: set[str] = set()
        self._unidentified: set[str] = set()
        """Sticks found booted at an unknown port: identified by that port until a reset shows their boot port."""
        self._ambiguous: set[str] = set()
        """Boot ports matched by the order of return only: the stick matched to one may be another stick."""
        self.renamed: list[str] = []
        """The ports that the last `update` returned as gone because their sticks were identified by a boot port."""

    def update(self, seen: Mapping[str, bool], no_boot_expected: Container[str], now_s: float) -> tuple[list[str], list[str]]:
        """Boot ports of new sticks and of gone sticks. `seen`: port -> whether it has booted; `no_boot_expected`: boot
        ports of sticks with no boot ahead."""
        waiting = sorted(port for port, has_booted in seen.items() if not has_booted)
        # after a reset a stick may appear on the slower bus before the kernel removes it from the faster one
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

    def forget(self, boot_port: str) -> bool:
        """Forget the learned port of a stick's return. True: there was one."""
        before = len(self.pairs)
        self.pairs = {port: known for port, known in self.pairs.items() if known != boot_port}
        return len(self.pairs) < before

    def _match_known(self, matched: dict[str, str], booted: Sequence[str], seen: Container[str]) -> None:
        """Match booted devices whose boot port is known: by learned pair, then by their own port, then by the last port."""
        for port in booted:
            # the pair is wrong where another device is at the boot port
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
        """The boot port of a device that has just booted: of the missing stick with the same chain, else of the one missing
        longest."""
        same = [boot_port for boot_port in missing if _chain(boot_port) == _chain(port)]
        candidates = same or missing
        if not candidates:
            self._unidentified.add(port)
            return port
        # a mix-up of two equal sticks is harmless, a learned wrong pair is not
        boot_port = min(candidates, key=lambda each: self._missing_since_s.get(each, float("inf")))
        uncertain = [each for each in self._ambiguous if not same or _chain(each) == _chain(port)]
        if len(candidates) > 1:
            self._ambiguous.add(boot_port)
        elif not uncertain:
            self._learn(port, boot_port)
        return boot_port

    def _superseded(self, boot_port: str, missing: list[str]) -> list[str]:
        """The unidentified sticks replaced by a new boot port: one of them was reset, and its boot port appears for the first
        time."""
        unidentified = [name for name in missing if name in self._unidentified]
        same = [name for name in unidentified if _chain(name) == _chain(boot_port)]
        candidates = same or unidentified
        if len(candidates) == 1:
            self._learn(candidates[0], boot_port)
        # with several candidates all are dropped: each would count as a second stick once the devices have booted
        return candidates

    def _learn(self, port: str, boot_port: str) -> None:
        """Learn a pair. A boot port has one port after the boot, so an earlier pair is replaced."""
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
