"""One pool of sticks as it was asked for, before it is judged as a whole."""

from __future__ import annotations

from typing import Any, NoReturn, Optional

from ncs_cluster.config.asked import Asked
from ncs_cluster.config.layers import KeyPath


class PoolRequest:
    """The keys of a pool and where each was given: in `[pools.NAME]`, else as the flag of the same name says."""

    def __init__(self, asked: Asked, name: Optional[str] = None) -> None:
        """`name`: of the table; None where there is none and the general keys make the one pool."""
        self.asked, self.name = asked, name

    def value(self, key: str) -> Any:
        own = None if self.name is None else getattr(self.asked.root.pools[self.name], key)
        return getattr(self.asked.root, key) if own is None else own

    def key(self, key: str) -> KeyPath:
        """Where a key of the pool is given, or would be."""
        if self.name is None:
            return (key,)
        own = ("pools", self.name, key)
        return own if self.asked.given(*own) or not self.asked.given(key) else (key,)

    def refuse(self, key: str, because: str) -> NoReturn:
        self.asked.refuse(*self.key(key), because=because)

    @property
    def options(self) -> dict[str, Any]:
        """What the pool's own table sets of its backend's Options."""
        return {} if self.name is None else self.asked.root.pools[self.name].options

    def option_key(self, backend: str, option: str) -> KeyPath:
        """Where an option of the pool's backend, or "runtime", is given, or would be."""
        if self.name is not None:
            own = ("pools", self.name, "runtime") if option == "runtime" else ("pools", self.name, "options", option)
            if self.asked.given(*own):
                return own
        return (backend, option)


def requests(asked: Asked) -> list[PoolRequest]:
    """One for each table; --backend given by flag or environment makes one pool of the general keys."""
    origin = asked.layers.origins.get(("backend",))
    if not asked.root.pools or (origin is not None and origin.kind != "file"):
        return [PoolRequest(asked)]
    return [PoolRequest(asked, name) for name in asked.root.pools]
