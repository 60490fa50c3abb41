"""Sticks, what drives them, and the interpreters of their processes. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from msgspec import Struct

from ncs_cluster.types import StickId


class RuntimeSpec(Struct, frozen=True):
    """An interpreter a child runs under, and what is added to its environment."""

    python: str
    env: Dict[str, str] = {}


class StickSpec(Struct, frozen=True):
    """One stick and how it is driven."""

    id: StickId
    port: str
    """Where it is plugged in, for people."""
    backend: str
    options: Dict[str, Any] = {}
    """Fields of the backend's `Options`."""
    runtime: str = "default"
    pool: str = "default"
    """The PoolSpec it belongs to."""
    exclusive_boot: bool = False
    """It boots while no other stick does: the port at which it comes back is not known yet."""
    simulated: bool = False
    """Not real: faults may be injected."""
    on_host: bool = False
    """It computes with this machine's processors: its inference times say nothing of its own heat."""
    name: Optional[str] = None
    """The operator's name of its port."""


class DiscoverySpec(Struct, frozen=True):
    """Where real sticks are looked for, and how those that are found are driven."""

    backend: str
    options: Dict[str, Any] = {}
    runtime: str = "default"
    sysfs: str = "/sys"
    stagger_s: float = 0.3
    """Least time between the boots of two sticks."""
    pool: str = "default"
    """The PoolSpec that its sticks belong to."""
    simulated: bool = False
    """Not real: faults may be injected."""
    exclude: List[str] = []
    """Ports ("1-1.2"), or chains of any bus ("1.2"), whose devices are left alone."""
    names: Dict[str, str] = {}
    """The operator's names of ports or chains."""


class DieFigures(Struct, frozen=True):
    """How one stick warms by working, as `ncsctl calibrate` found it. R, C and power apart cannot be told; their products can."""

    die_rise_k: float
    """How much warmer than the case the die settles by full work."""
    die_s: float
    """Time constant of that, the case held at its temperature."""
    case_rise_k: float
    """How much warmer than the air the case settles by full work."""
    case_s: float
    """Time constant of that, of the case alone."""
    sigma: float = 0.0
    """Relative standard deviation of the largest of their errors."""


class ClusterSpec(Struct, frozen=True):
    """How sticks take turns."""

    cluster_size: int = 0
    policy: str = "all"
    switch_interval_s: float = 10.0
    switch_temp_c: float = 65.0
    time_scale: float = 1.0
    """Heat, telemetry, ageing, dwell and interval all run this many times faster (demos and tests)."""
    policy_options: Dict[str, Any] = {}
    """Fields of the policy's `Options`."""
    calibrated: Dict[StickId, DieFigures] = {}
    """Of sticks that `ncsctl calibrate` has measured."""


class PoolSpec(Struct, frozen=True):
    """Sticks that one backend drives, how they are found, and how they take turns among themselves."""

    clusters: ClusterSpec
    sticks: List[StickSpec] = []
    """Sticks of a counted backend (simulated, CPU)."""
    discovery: Optional[DiscoverySpec] = None
    """How sticks of a matched backend are found; None for a counted one."""
    name: str = "default"


class FallbackSpec(Struct, frozen=True):
    """The pool that works only while no other pool can."""

    pool: PoolSpec
    """Counted sticks that compute with this machine's processors."""
    shown: str = "the CPU"
    """What it is, for people."""
    standby: bool = True
    """Its workers always run, with their graphs loaded; False: they are started when the other sticks run short."""


class OverflowSpec(Struct, frozen=True):
    """Neighbours that take frames which the sticks of this host cannot: a pool of one worker."""

    pool: PoolSpec
    shown: str
    """The server at which neighbours are found, for people."""
