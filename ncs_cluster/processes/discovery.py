"""Discovery: real sticks as the kernel lists them, simulated sticks as an operator unplugs them.

Real sticks are found in sysfs by a few small reads every 0.5 s. This needs no privileges, and a test may give another tree.
`core.usb_identity` matches ports to sticks; learned pairs of ports are kept in the state directory.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
from collections.abc import Container
from pathlib import Path

from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import Matched
from ncs_cluster.backends.sysfs import Listed, link_mbps, scan
from ncs_cluster.core.events import BusEvent, DeviceIgnored, StickFound, StickGone, StickListed
from ncs_cluster.core.usb_identity import UsbIdentity
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import DiscoverySpec, StickSpec
from ncs_cluster.types import StickId
from ncs_cluster.usb_ids import MYRIAD_X, is_at

SCAN_PERIOD_S = 0.5
UNPLUGGED_S = 5.0
"""A simulated stick is plugged in again after this time."""
LARGEST_FILE = 1 << 16

log = logging.getLogger(__name__)


class UsbBus:
    """Real sticks. An id is the prefix of the kind of device and the boot port: ncs-1-1.2."""

    def __init__(self, spec: DiscoverySpec, state_dir: Path) -> None:
        self._spec = spec
        self._kind = _matched(spec.backend)
        self._sysfs = Path(spec.sysfs)
        # each kind of device has a file of its own
        self._kept = state_dir / ("ports.json" if self._kind.usb == MYRIAD_X else f"ports-{self._kind.prefix}.json")
        self._identity = UsbIdentity(_read(self._kept))
        self._saved_pairs = dict(self._identity.pairs)
        self._listed: dict[str, Listed | None] = {}
        """The device of each boot port at the last scan."""
        self._ignored: dict[str, str] = {}
        self._forgotten: list[str] = []
        self.deadline_s = 0.0

    @property
    def pool(self) -> str:
        """The pool that its sticks belong to."""
        return self._spec.pool

    def configure(self, spec: DiscoverySpec) -> list[BusEvent]:
        """Take new names of ports. Returns the sticks that are called otherwise now."""
        present = self._identity.port_of
        before = {boot_port: self._name(boot_port) for boot_port in present}
        self._spec = spec
        return [StickFound(self._stick(boot_port)) for boot_port in present if self._name(boot_port) != before[boot_port]]

    def forget(self, stick: StickId) -> None:
        """Forget at which port the stick returns after its boot, also of one that is gone. The next scan writes that down, and
        reports the new settings of a stick that is there."""
        for boot_port in {*self._identity.port_of, *self._identity.pairs.values()}:
            if self._id(boot_port) == stick and self._identity.forget(boot_port):
                self._forgotten.append(boot_port)

    def wake(self, now_s: float, no_boot_expected: Container[StickId]) -> list[BusEvent]:
        """Changes since the last scan, when the next scan is due. `no_boot_expected`: sticks with no boot ahead of them."""
        if now_s < self.deadline_s:
            return []
        self.deadline_s = now_s + SCAN_PERIOD_S
        try:
            seen, ignored = scan(self._sysfs, self._kind.usb, self._excluded())
        except OSError as error:
            # to find no stick would be wrong: nothing is known
            log.debug("%s cannot be read: %s", self._sysfs, error)
            return []
        no_boot = {boot_port for boot_port in self._identity.port_of if self._id(boot_port) in no_boot_expected}
        found, gone = self._identity.update({port: device.booted for port, device in seen.items()}, no_boot, now_s)
        learned, self._forgotten = self._forgotten, []
        if self._identity.pairs != self._saved_pairs:
            learned += [
                boot_port
                for port, boot_port in self._identity.pairs.items()
                if self._saved_pairs.get(port) != boot_port and boot_port not in found
            ]
            self._saved_pairs = dict(self._identity.pairs)
            _write(self._kept, self._saved_pairs)
        events: list[BusEvent] = self._passed_over(ignored)
        events += [StickGone(self._id(boot_port), boot_port in self._identity.renamed) for boot_port in gone]
        present = self._identity.port_of
        events += [StickFound(self._stick(boot_port)) for boot_port in (*found, *learned) if boot_port in present]
        return events + self._changed({boot_port: seen.get(port) for boot_port, port in present.items()})

    def _excluded(self) -> list[str]:
        """The excluded ports, and the learned ports of return of the sticks at them."""
        exclude = self._spec.exclude
        back = [port for port, known in self._identity.pairs.items() if any(is_at(known, place) for place in exclude)]
        return [*exclude, *back]

    def _passed_over(self, ignored: dict[str, str]) -> list[BusEvent]:
        before, self._ignored = self._ignored, ignored
        left: list[BusEvent] = [DeviceIgnored(port, "") for port in before if port not in ignored]
        return left + [DeviceIgnored(port, why) for port, why in ignored.items() if before.get(port) != why]

    def _changed(self, listed: dict[str, Listed | None]) -> list[BusEvent]:
        """The sticks whose device is another one than at the last scan."""
        before, self._listed = self._listed, listed
        return [
            self._listing(boot_port, device)
            for boot_port, device in listed.items()
            if boot_port not in before or before[boot_port] != device
        ]

    def _listing(self, boot_port: str, device: Listed | None) -> StickListed:
        if device is None or not device.booted:
            return StickListed(self._id(boot_port), "missing" if device is None else "rom")
        return StickListed(self._id(boot_port), "booted", link_mbps(self._sysfs, self._identity.port_of[boot_port]))

    def _stick(self, boot_port: str) -> StickSpec:
        spec = self._spec
        options = dict(spec.options)
        back = next((port for port, known in self._identity.pairs.items() if known == boot_port), None)
        if back is not None and self._kind.booted_port is not None:
            # where the chain changes with the boot, the worker finds its stick by this port only
            options[self._kind.booted_port] = back
        return StickSpec(
            self._id(boot_port),
            boot_port,
            spec.backend,
            options,
            spec.runtime,
            pool=spec.pool,
            exclusive_boot=back is None,
            name=self._name(boot_port),
        )

    def _name(self, boot_port: str) -> str | None:
        """The operator's name of the port; a name of the port itself goes before one of its chain."""
        names = self._spec.names
        return names.get(boot_port) or next((name for place, name in names.items() if is_at(boot_port, place)), None)

    def _id(self, boot_port: str) -> StickId:
        return StickId(f"{self._kind.prefix}-{boot_port}")


def _matched(backend: str) -> Matched:
    matched = BACKENDS.get(backend).matched
    if matched is None:
        raise ConfigError(f"backend {backend} has no devices that are found on a bus")
    return matched


def _read(path: Path) -> dict[str, str]:
    """Read learned pairs; empty where the file is missing or damaged."""
    try:
        with path.open("rb") as file:
            pairs = json.loads(file.read(LARGEST_FILE))
        return {port: boot_port for port, boot_port in pairs.items() if isinstance(boot_port, str)}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def _write(path: Path, pairs: dict[str, str]) -> None:
    """Replace the file atomically. On failure the pairs are learned again at the next start."""
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(pairs, indent=1, sort_keys=True) + "\n")
        fresh.replace(path)
    except OSError as error:
        log.debug("%s cannot be written: %s", path, error)
        with contextlib.suppress(OSError):
            fresh.unlink()


class SimulatedBus:
    """Simulated sticks: which are unplugged, and when each is plugged in again."""

    def __init__(self, sticks: list[StickSpec]) -> None:
        self._sticks = {stick.id: stick for stick in sticks}
        self._away: dict[StickId, float] = {}
        self.deadline_s = math.inf
        """When the next stick is plugged in again; infinite while none is away."""

    def configure(self, sticks: list[StickSpec]) -> None:
        """Replace the configured sticks."""
        self._sticks = {stick.id: stick for stick in sticks}
        self._away = {stick: back_s for stick, back_s in self._away.items() if stick in self._sticks}
        self._look_again()

    def unplug(self, stick: StickId, now_s: float) -> list[StickGone]:
        if stick not in self._sticks or stick in self._away:
            return []
        self._away[stick] = now_s + UNPLUGGED_S
        self._look_again()
        return [StickGone(stick)]

    def wake(self, now_s: float) -> list[StickFound]:
        """The sticks that are plugged in again."""
        back = [stick for stick, when_s in self._away.items() if when_s <= now_s]
        for stick in back:
            del self._away[stick]
        self._look_again()
        return [StickFound(self._sticks[stick]) for stick in back]

    def _look_again(self) -> None:
        # the loop asks thousands of times a second
        self.deadline_s = min(self._away.values(), default=math.inf)
