"""Access to the slots of a frame pool: a slot is granted to the camera for one write, then leased by each unit that needs the
frame.

A slot is free, granted once, or leased by at least one unit; never two of these. Free slots are reused newest first, so a large
pool that is little used costs little memory. A lease belongs to a unit and not to a process: a process that exits returns none.
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
        """No more grants: a newer pool has replaced this one."""

    def grant(self) -> int | None:
        """Grant a slot for one write; None when all slots are in use."""
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

    def leases(self, slot: int) -> int:
        """How many units hold the slot."""
        return self._leases.get(slot, 0)

    @property
    def free(self) -> int:
        return len(self._free)

    def written(self, slot: int, holders: int) -> bool:
        """The granted slot holds a frame now, leased by `holders` units. False: the slot was not granted, and the message is
        invalid."""
        if slot not in self._granted:
            return False
        self._granted.remove(slot)
        if holders:
            self._leases[slot] = holders
        else:
            self._free.append(slot)
        return True

    def release(self, slot: int) -> None:
        """Return one lease of the slot; without leases it is free."""
        left = self._leases[slot] - 1
        if left:
            self._leases[slot] = left
        else:
            del self._leases[slot]
            self._free.append(slot)

    def revoke_grants(self) -> None:
        """Free all granted slots: the camera process has exited and writes no more."""
        self._free.extend(sorted(self._granted, reverse=True))
        self._granted.clear()

    @property
    def idle(self) -> bool:
        """No slot is granted or leased: a retired pool may be dropped."""
        return not self._granted and not self._leases
