"""A stick at its port: absent, in its ROM, booting, running; every enumeration is a new device with a new address."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ncs_cluster.emulator import descriptors, faults
from ncs_cluster.emulator.boot import BootStream
from ncs_cluster.emulator.descriptors import Descriptors
from ncs_cluster.emulator.loopback import Chip


@dataclass
class Handle:
    """A device opened by a client."""

    id: int
    client: Any
    device: Device


@dataclass(eq=False)
class Transfer:
    """A pending transfer."""

    client: Any
    id: int
    handle: Handle
    endpoint: int
    length: int
    data: bytes = b""
    got: list[bytes] = field(default_factory=list)
    done: int = 0
    ended: bool = False


@dataclass(eq=False)
class Device:
    """A device from one enumeration to its disconnection."""

    id: int
    bus: int
    address: int
    chain: tuple[int, ...]
    descriptors: Descriptors
    port: Port | None = None
    present: bool = True
    configuration: int = 1
    claims: dict[int, Handle] = field(default_factory=dict)
    hub: str | None = None
    """How a hub that programs may open switches the power of its ports: one of HUBS."""
    off: set[int] = field(default_factory=set)
    """Ports of the hub without power."""
    waiting: dict[int, deque[Transfer]] = field(default_factory=dict)
    """Pending transfers by endpoint, oldest first."""
    arrived: deque[bytes] = field(default_factory=deque)
    """Unread bytes of the chip on endpoint 0x81."""
    busy_until_s: float = 0.0
    in_until_s: float = 0.0

    @property
    def name(self) -> str:
        """As sysfs has it: bus-port.port, or usbN."""
        return f"{self.bus}-{'.'.join(map(str, self.chain))}" if self.chain else f"usb{self.bus}"


def parse_name(name: str) -> tuple[int, tuple[int, ...]]:
    """ "1-1.2" is port 2 of the hub at port 1 of bus 1. Raises ValueError."""
    bus, _, chain = name.partition("-")
    try:
        where = int(bus), tuple(int(part) for part in chain.split("."))
    except ValueError:
        where = 0, ()
    if not 1 <= where[0] <= 255 or not 1 <= len(where[1]) <= 7 or not all(1 <= part <= 255 for part in where[1]):
        raise ValueError(f"no port {name!r}: BUS-PORT[.PORT...], such as 1-1.2")
    return where


@dataclass(frozen=True)
class Profile:
    """Properties of a stick outside its chip; times in seconds of the emulator."""

    run_port: str | None = None
    """Port of the running stick. None: the same chain on the next bus, as on most USB 3 hosts. The port itself: USB 2 only."""
    serial: str | None = None
    """iSerial of the running firmware. None: one made from the port's name."""
    boot_s: float = 0.8
    """From the last byte of the firmware to the running stick."""
    firmware_s: float = 0.0
    """From the first byte of the firmware to the ROM's leave, at least; about 0.184 with a real stick, which is the time of the
    write."""
    reset_s: float = 0.3
    """From the end of the running firmware to the ROM."""
    boot: str = "well"
    """well, never (it does not return until it is plugged again) or rom (it returns in its ROM)."""
    any_firmware: bool = False
    """Any bytes that end with a4 boot; else the firmware must have the right structure and both stores."""
    access: bool = True
    """True: the caller may open it, as with the udev rule."""
    config: str | None = None
    """A wrong configuration descriptor in hex, in ROM and running, for robustness tests of hosts."""
    hub: str | None = None
    """How the hubs of its ports switch power: single, ganged (all ports together) or none. Without it they cannot be opened."""
    port_reset: str = "kept"
    """What libusb_reset_device does to the running firmware: kept or rom."""


BOOTS = ("well", "never", "rom")
HUBS = {"ganged": 0, "single": 1, "none": 2}
"""Two bits of a hub's characteristics."""
PROFILE = frozenset(item.name for item in fields(Profile))


class Port:
    """A port with its stick, plugged or not. `chip_of` creates the chip of a running stick."""

    def __init__(self, name: str, profile: Profile, chip: dict[str, Any], chip_of: Callable[..., Chip]) -> None:
        parse_name(name)
        self.name, self.profile, self.chip_options = name, profile, chip
        self.run_name = profile.run_port or "{}-{}".format(parse_name(name)[0] + 1, name.partition("-")[2])
        parse_name(self.run_name)
        if profile.boot not in BOOTS or profile.port_reset not in ("kept", "rom"):
            raise ValueError("boot is well, never or rom, and port_reset kept or rom")
        if profile.hub not in (None, *HUBS):
            raise ValueError(f"hub is {', '.join(HUBS)}")
        if len(bytes.fromhex(profile.config or "")) > 0xFFFF:
            raise ValueError("config: more than 65535 bytes")
        self._chip_of = chip_of
        self.state = "absent"
        self.life = 0
        """Counts state changes, so that a delayed step can tell whether it still applies."""
        self.device: Device | None = None
        self.chip: Chip | None = None
        self.stream = BootStream()
        self.written_s = 0.0
        """When the firmware's write ends at the earliest."""
        self.dark = False
        """Its hub has switched it off."""
        self.armed = faults.Armed()
        self.pace = faults.Pace()
        self.pulls: list[faults.Pull] = []
        self.counts = {"boots": 0, "pulls": 0, "resets": 0, "cuts": 0}
        self.boots: deque[str] = deque()
        """Results of the next boots; after them the profile's counts."""

    def serial(self) -> str:
        return self.profile.serial or f"{zlib.crc32(self.name.encode()):08X}"

    def descriptors(self, life: Descriptors) -> Descriptors:
        return life if self.profile.config is None else replace(life, config=bytes.fromhex(self.profile.config))

    def speed(self) -> int:
        return descriptors.HIGH if parse_name(self.run_name)[0] == parse_name(self.name)[0] else descriptors.SUPER

    def new_chip(self, watchdog: bool) -> Chip:
        return self._chip_of(watchdog=watchdog, **self.chip_options)

    def tell(self) -> dict[str, Any]:
        """State for the command `state`."""
        device = self.device
        inside = getattr(self.chip, "state", None)
        return {
            "state": self.state,
            "name": device.name if device else None,
            "address": device.address if device else None,
            "claimed_by": sorted({handle.client.pid for handle in device.claims.values()}) if device else [],
            **self.counts,
            "chip": inside() if callable(inside) else None,
        }
