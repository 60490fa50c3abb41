"""What a peer may request of the whole daemon."""

from __future__ import annotations

from typing import Protocol

from ncs_cluster.core.actions import Action


class Daemon(Protocol):
    """The part of the engine that cameras, sinks and the gateway use."""

    @property
    def stopping(self) -> bool:
        """A shutdown has begun."""

    def stop(self, now_s: float) -> list[Action]:
        """Drain, then exit; a second call exits at once."""

    def refuse(self, origin: str, detail: str) -> list[Action]:
        """A configured source or sink has never worked and cannot work: exit with code 78."""
