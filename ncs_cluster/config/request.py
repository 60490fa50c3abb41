"""The keys of one pool of sticks, before they are validated together."""

from __future__ import annotations

from typing import Any, NoReturn, Optional

from ncs_cluster.config.context import Context
from ncs_cluster.config.layers import KeyPath


class PoolRequest:
    """The keys of a pool and where each was given: in `[pools.NAME]`, else as the flag of the same name says."""

    def __init__(self, context: Context, name: Optional[str] = None) -> None:
        """`name`: of the table [pools.NAME]; None where the file has no such table, and the general keys make the only pool."""
        self.context, self.name = context, name

    def value(self, key: str) -> Any:
        own = None if self.name is None else getattr(self.context.root.pools[self.name], key)
        return getattr(self.context.root, key) if own is None else own

    @property
    def runtime(self) -> Optional[str]:
        """The interpreter that [pools.NAME] names for its workers."""
        return None if self.name is None else self.context.root.pools[self.name].runtime

    @property
    def prefix(self) -> Optional[str]:
        """Of the ids of counted sticks; None: that of the backend."""
        return self.name

    def key(self, key: str) -> KeyPath:
        """Where a key of the pool is given, or would be."""
        if self.name is None:
            return (key,)
        own = ("pools", self.name, key)
        return own if self.context.given(*own) or not self.context.given(key) else (key,)

    def refuse(self, key: str, because: str) -> NoReturn:
        self.context.refuse(*self.key(key), because=because)

    @property
    def options(self) -> dict[str, Any]:
        """The options that [pools.NAME.options] sets."""
        return {} if self.name is None else self.context.root.pools[self.name].options

    def option_key(self, backend: str, option: str) -> KeyPath:
        """Where an option of the pool's backend, or "runtime", is given, or would be."""
        if self.name is not None:
            own = ("pools", self.name, "runtime") if option == "runtime" else ("pools", self.name, "options", option)
            if self.context.given(*own):
                return own
        return (backend, option)


def requests(context: Context) -> list[PoolRequest]:
    """One for each table; --backend given by flag or environment makes one pool of the general keys."""
    origin = context.layers.origins.get(("backend",))
    if not context.root.pools or (origin is not None and origin.kind != "file"):
        return [PoolRequest(context)]
    return [PoolRequest(context, name) for name in context.root.pools]
