"""The settings, read and validated by `config`, cut into the branch that each process needs.

Plain values that walk over the wire. A child gets its own branch over its channel, never on its command line: some hold secrets.
Runs on CPython 3.9.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Set, Tuple

from msgspec import Struct

from ncs_cluster.specs.doors import FrigateSpec, GatewaySpec, IntakeSpec, OverflowIntakeSpec, is_local
from ncs_cluster.specs.machine import AmbientSpec, FanSpec
from ncs_cluster.specs.sticks import (
    ClusterSpec,
    DieFigures,
    DiscoverySpec,
    FallbackSpec,
    OverflowSpec,
    PoolSpec,
    RuntimeSpec,
    StickSpec,
)
from ncs_cluster.specs.work import GUEST, CameraSpec, ChunkOf, GraphSpec, JobRecord, JobSpec, SinkSpec

__all__ = [
    "GUEST",
    "AmbientSpec",
    "CameraSpec",
    "ChunkOf",
    "ClusterSpec",
    "DieFigures",
    "DiscoverySpec",
    "FallbackSpec",
    "FanSpec",
    "FrigateSpec",
    "GatewaySpec",
    "GraphSpec",
    "IntakeSpec",
    "JobRecord",
    "JobSpec",
    "OverflowIntakeSpec",
    "OverflowSpec",
    "PoolSpec",
    "RuntimeSpec",
    "Settings",
    "SinkSpec",
    "StickSpec",
    "is_local",
]


class Settings(Struct, frozen=True):
    """All settings of the daemon."""

    pools: List[PoolSpec]
    """In the order of the file."""
    graphs: List[GraphSpec]
    cameras: List[CameraSpec]
    runtimes: Dict[str, RuntimeSpec]
    runtime_dir: str
    state_dir: str
    sinks: List[SinkSpec] = []
    gateway: Optional[GatewaySpec] = None
    log_level: str = "info"
    jobs: List[JobSpec] = []
    """Jobs for which alone this daemon runs: it ends when they are done."""
    notices: List[str] = []
    """Lines the operator should read at start ("no stick found: working on this CPU")."""
    fan: Optional[FanSpec] = None
    ambient: Optional[AmbientSpec] = None
    intakes: List[IntakeSpec] = []
    history_days: int = 30
    """How long temperatures, rates and events are kept in the state directory; 0: not at all."""
    fallback: Optional[FallbackSpec] = None
    overflow: Optional[OverflowSpec] = None
    guests: List[GraphSpec] = []
    """Graphs of jobs of other machines, which no file names: loaded beside `graphs`, run on the frames of those jobs alone."""

    @property
    def all_graphs(self) -> List[GraphSpec]:
        """What workers load."""
        return [*self.graphs, *self.guests]

    @property
    def all_pools(self) -> List[PoolSpec]:
        """The pools, then that of the fallback and that of the neighbours."""
        return [*self.pools, *(each.pool for each in (self.fallback, self.overflow) if each is not None)]

    @property
    def sticks(self) -> List[StickSpec]:
        """Sticks of `pools` with a counted backend."""
        return [stick for pool in self.pools for stick in pool.sticks]

    @property
    def drivers(self) -> Set[Tuple[str, str]]:
        """Backend and runtime of every worker there may be."""
        counted = {(stick.backend, stick.runtime) for pool in self.all_pools for stick in pool.sticks}
        return counted | {(found.backend, found.runtime) for found in self.discoveries}

    @property
    def discoveries(self) -> List[DiscoverySpec]:
        return [pool.discovery for pool in self.pools if pool.discovery is not None]

    @property
    def simulated(self) -> bool:
        """True when every stick is simulated, but those of the fallback: only then faults may be injected."""
        driven = [*(stick.simulated for stick in self.sticks), *(found.simulated for found in self.discoveries)]
        return bool(self.sticks) and all(driven)
