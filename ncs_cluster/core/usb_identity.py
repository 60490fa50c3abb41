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
        self.at: dict[str, str] = {}
        """Home -> where it is now, or was last."""
        self._away_s: dict[str, float] = {}
        self._may_be_booting: set[str] = set()
        self._unidentified: set[str] = set()
        """Found booted at a port nobody knew: named by that port until they are reset and show their homes."""
        self._ambiguous: set[str] = set()
        """Homes whose sticks were told from others by their turn alone: one that is called so may be another."""
        self.renamed: list[str] = []
        """Those of the last look's gone that were no home: their sticks are called by another one now."""

    def look(self, seen: Mapping[str, bool], settled: Container[str], now_s: float) -> tuple[list[str], list[str]]:
        """Homes of sticks that are new, and of those that are gone. `seen`: port -> whether it has booted; `settled`: with no boot
        ahead."""
        waiting = sorted(port for port, booted_there in seen.items() if not booted_there)
        # one that resets itself may be back on the slower bus before the faster one has noticed that it left
        shadows = {self.at[home] for home in waiting if home in self.at}
        booted = sorted(port for port, booted_there in seen.items() if booted_there and port not in shadows)
        there = {home: home for home in waiting}
        self._ambiguous.difference_update(waiting)
        self._claim(there, booted, seen)
        gone: list[str] = []
        for home in waiting:
            if home not in self.at:
                gone += self._renamed(home, self._away(there, gone))
        for port in sorted(set(booted) - set(there.values())):
            there[self._returned(port, self._away(there, gone))] = port
        self.renamed = list(gone)
        found = [home for home in there if home not in self.at]
        self.at |= there
        for home in there:
            self._away_s.pop(home, None)
            self._may_be_booting.discard(home)
        gone += [home for home in self.at if home not in there and home not in gone and self._too_long(home, settled, now_s)]
        for home in gone:
            self._forget(home)
        return found, gone

    def _claim(self, there: dict[str, str], booted: Sequence[str], seen: Container[str]) -> None:
        """Those whose home is known, the surest first: so that each device is one stick, whatever had been thought before."""
        for port in booted:
            # not believed while something is plugged in where the home should be
            if (home := self.pairs.get(port)) is not None and home not in there and (home == port or home not in seen):
                there[home] = port
        for port in sorted(set(booted) - set(there.values())):
            if port in self.at:
                there[port] = port
                if port not in self._unidentified and port not in self.pairs:
                    self._learn(port, port)
        for port in sorted(set(booted) - set(there.values())):
            if home := next((home for home, at in self.at.items() if at == port and home not in there), None):
                there[home] = port

    def _away(self, there: Container[str], gone: Container[str]) -> list[str]:
        return [home for home in self.at if home not in there and home not in gone]

    def _returned(self, port: str, away: list[str]) -> str:
        """Whose first look after its boot this is: the one away with the same chain, else the one that left first."""
        same = [home for home in away if _chain(home) == _chain(port)]
        candidates = same or away
        if not candidates:
            self._unidentified.add(port)
            return port
        # sticks are alike: to mix two up for this once does no harm, to remember it would
        home = min(candidates, key=lambda each: self._away_s.get(each, float("inf")))
        doubtful = [lent for lent in self._ambiguous if not same or _chain(lent) == _chain(port)]
        if len(candidates) > 1:
            self._ambiguous.add(home)
        elif not doubtful:
            self._learn(port, home)
        return home

    def _renamed(self, home: str, away: list[str]) -> list[str]:
        """Orphans that are called by this home from now on: one was reset, and its home shows for the first time."""
        orphans = [name for name in away if name in self._unidentified]
        same = [name for name in orphans if _chain(name) == _chain(home)]
        candidates = same or orphans
        if len(candidates) == 1:
            self._learn(candidates[0], home)
        # of several it cannot be told which it is; their names would be taken for second sticks as soon as they have booted
        return candidates

    def _learn(self, port: str, home: str) -> None:
        """A socket has one other half; what was thought before was wrong."""
        self.pairs = {known: whose for known, whose in self.pairs.items() if whose != home}
        self.pairs[port] = home

    def _too_long(self, home: str, settled: Container[str], now_s: float) -> bool:
        since_s = self._away_s.setdefault(home, now_s)
        if home not in settled:
            self._may_be_booting.add(home)
        return now_s - since_s >= (BOOT_S if home in self._may_be_booting else RETURN_S)

    def _forget(self, home: str) -> None:
        del self.at[home]
        self._away_s.pop(home, None)
        self._may_be_booting.discard(home)
        self._unidentified.discard(home)
        self._ambiguous.discard(home)


def _chain(port: str) -> str:
    """ "2-1.2" -> "1.2"."""
    return port.partition("-")[2]
