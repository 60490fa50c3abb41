"""One pool of sticks as it was asked for, before it is judged as a whole."""

from __future__ import annotations

from typing import Any, NoReturn

from ncs_cluster.config.asked import Asked
from ncs_cluster.config.layers import KeyPath


class PoolRequest:
    """The keys of a pool and where each was given."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    def value(self, key: str) -> Any:
        return getattr(self.asked.root, key)

    def key(self, key: str) -> KeyPath:
        """Where a key of the pool is given, or would be."""
        return (key,)

    def refuse(self, key: str, because: str) -> NoReturn:
        self.asked.refuse(*self.key(key), because=because)
