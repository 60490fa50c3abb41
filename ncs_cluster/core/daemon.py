"""What a peer may ask of the whole daemon."""

from __future__ import annotations

from typing import Protocol

from ncs_cluster.core.actions import Action


class Daemon(Protocol):
    """The engine, as its parts see it."""

    @property
    def stopping(self) -> bool:
        """A shutdown has begun."""

    def stop(self, now_s: float) -> list[Action]:
        """Drain and end; a second time: end at once."""

    def refuse(self, origin: str, detail: str) -> list[Action]:
        """A configured place or source can never work, and never has: end with exit code 78."""
