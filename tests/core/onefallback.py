"""A daemon of simulated sticks whose CPU takes over."""

from __future__ import annotations

from ncs_cluster.core.events import Endpoint
from ncs_cluster.specs import Settings
from ncs_cluster.testing.world import cpu_fallback, installation

CPU = Endpoint("worker", "cpu-1")


def installed(sticks: int = 2, *, standby: bool = True, cameras: tuple[str, ...] = ("cam0",), **more: object) -> Settings:
    return installation(sticks, cameras, fallback=cpu_fallback(standby=standby), **more)  # type: ignore[arg-type]
