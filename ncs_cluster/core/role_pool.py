"""A pool with a role beside the pools of sticks: the fallback's, and the neighbours'. Its regulator holds it back while it is not
needed."""

from __future__ import annotations

from collections.abc import Mapping

from ncs_cluster.core.regulator import Regulator
from ncs_cluster.core.stick import Stick
from ncs_cluster.core.sticks import Sticks


class RolePool:
    """What the two have in common; each decides by itself when it is needed."""

    def __init__(self, pool: str, sticks: Sticks, regulators: Mapping[str, Regulator], *, needed: bool) -> None:
        self.needed = needed
        """Fallback: no stick of another pool can work. Overflow: the sticks of this host cannot keep up."""
        self._pool, self._sticks, self._regulators = pool, sticks, regulators

    @property
    def regulator(self) -> Regulator:
        return self._regulators[self._pool]

    @property
    def members(self) -> list[Stick]:
        return self._sticks.of_pool(self._pool)

    @property
    def ready(self) -> bool:
        """It can take frames at once."""
        return any(stick.usable for stick in self.members)

    @property
    def serving(self) -> bool:
        """It gets frames."""
        return self.needed and self.ready
