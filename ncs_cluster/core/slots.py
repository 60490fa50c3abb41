"""Who may touch which pool slot: granted to the camera for one write, then leased to everything that still needs the frame.

A slot is free, or granted once, or leased by at least one holder; never two of these. Free slots are reused newest first, so a
large pool that is little used costs little memory. Leases of a dead process are returned by whoever held them for it.
"""

from __future__ import annotations

from ncs_cluster.types import PoolLayout


class Slots:
    """The slots of one pool."""

    def __init__(self, layout: PoolLayout) -> None:
        self.layout = layout
        self._free = list(range(layout.slots - 1, -1, -1))
        self._granted: set[int] = set()
        self._leases: dict[int, int] = {}
        self.retired = False
        """No more grants: a newer pool has taken its place."""

    def grant(self) -> int | None:
        """A slot that may be written once, or None when all are in use."""
        if self.retired or not self._free:
            return None
        slot = self._free.pop()
        self._granted.add(slot)
        return slot

    @property
    def granted(self) -> int:
        return len(self._granted)

    @property
    def leased(self) -> int:
        return len(self._leases)

    @property
    def free(self) -> int:
        return len(self._free)

    def written(self, slot: int, holders: int) -> bool:
        """The granted slot holds a frame now, needed by so many. False when it was never granted: the message is a lie."""
        if slot not in self._granted:
            return False
        self._granted.remove(slot)
        if holders:
            self._leases[slot] = holders
        else:
            self._free.append(slot)
        return True

    def release(self, slot: int) -> None:
        """One holder less."""
        left = self._leases[slot] - 1
        if left:
            self._leases[slot] = left
        else:
            del self._leases[slot]
            self._free.append(slot)

    def revoke_grants(self) -> None:
        """The camera is gone, and with it whatever it was about to write."""
        self._free.extend(sorted(self._granted, reverse=True))
        self._granted.clear()

    @property
    def idle(self) -> bool:
        """Nothing is granted or leased: a retired pool can go."""
        return not self._granted and not self._leases
