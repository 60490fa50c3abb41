"""Which devices a mode has: sticks of a counted backend as the settings number them, others as they are plugged in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import structs

from ncs_cluster.backends import BACKENDS
from ncs_cluster.core.events import StickFound
from ncs_cluster.errors import ConfigError
from ncs_cluster.processes.discovery import SCAN_PERIOD_S, UsbBus
from ncs_cluster.specs import DiscoverySpec, PoolSpec, Settings, StickSpec

RETURN_S = 30.0
"""Longest wait for sticks that were closed to be there again: they leave the bus, and come back with their boot ROM."""


class Sticks:
    """The devices of the one pool of the settings."""

    def __init__(self, settings: Settings, numbered: Callable[[int], Settings]) -> None:
        """`numbered`: settings with so many counted sticks, of which each may have a share of the machine. Raises ConfigError."""
        if len(settings.pools) != 1:
            raise ConfigError("[pools]: a bench compares modes on devices of one kind; give settings with one pool")
        if settings.fallback is not None:
            raise ConfigError("[fallback]: a bench compares modes on devices of one kind; give settings without it")
        self._pool = settings.pools[0]
        self._state_dir, self._numbered = Path(settings.state_dir), numbered
        self._whole: dict[int, PoolSpec] = {len(self._pool.sticks): self._pool}
        self._ports: list[str] = [] if self._found is None else sorted(stick.port for stick in self._plugged(self._found))
        self.count = len(self._ports) if self._found is not None else len(self._pool.sticks)
        if not self.count:
            raise ConfigError("no stick is plugged in; plug one in, or use --backend openvino or --backend simulated")

    @property
    def backend(self) -> str:
        return self._pool.sticks[0].backend if self._found is None else self._found.backend

    @property
    def runtime(self) -> str:
        return self._pool.sticks[0].runtime if self._found is None else self._found.runtime

    @property
    def time_scale(self) -> float:
        return self._pool.clusters.time_scale

    def prepare(self, counts: Iterable[int]) -> None:
        """Read the settings of so many counted devices, which is not to be measured."""
        for count in counts if self._found is None else ():
            self._counted(count)

    def whole(self, count: int) -> list[StickSpec]:
        """The first `count` devices as the settings have them. Waits for sticks that were closed just now."""
        return self._counted(count) if self._found is None else self._returned(self._found, count)

    def alone(self, count: int) -> list[StickSpec]:
        """The first `count` devices, each to be driven with one request at a time. Waits for sticks that were closed just now."""
        found = self.whole(count)
        options = BACKENDS.get(self.backend).alone
        return [structs.replace(stick, options={**options, **stick.options}) for stick in found]

    def settings(self, count: int) -> dict[str, str | list[str]]:
        """Settings of a cluster that has the first `count` devices and no others."""
        if self._found is None:
            return {"sticks": str(count)}
        self._returned(self._found, self.count)
        return {"discovery.exclude": [*self._found.exclude, *self._ports[count:]]}

    @property
    def _found(self) -> DiscoverySpec | None:
        return self._pool.discovery

    def _counted(self, count: int) -> list[StickSpec]:
        if count not in self._whole:
            self._whole[count] = self._numbered(count).pools[0]
        return self._whole[count].sticks

    def _returned(self, spec: DiscoverySpec, count: int) -> list[StickSpec]:
        wanted, until_s = self._ports[:count], time.monotonic() + RETURN_S
        while True:
            there = {stick.port: stick for stick in self._plugged(spec)}
            if all(port in there for port in wanted):
                return [there[port] for port in wanted]
            if time.monotonic() > until_s:
                missing = ", ".join(port for port in wanted if port not in there)
                raise ConfigError(f"port {missing}: its stick has not come back after {RETURN_S:.0f} s; plug it in again")
            time.sleep(SCAN_PERIOD_S)

    def _plugged(self, spec: DiscoverySpec) -> list[StickSpec]:
        events = UsbBus(spec, self._state_dir).wake(time.monotonic(), set())
        return [event.stick for event in events if isinstance(event, StickFound)]
