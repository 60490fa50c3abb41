"""The USB devices that a machine's kernel lists: what sysfs says of each. Reading it needs no rights and touches no device."""

from __future__ import annotations

from typing import NamedTuple

from ncs_cluster.backends.sysfs import Scan, scan
from ncs_cluster.cli.doctor.machine import Machine
from ncs_cluster.usb_ids import MYRIAD_X

DEVICES = "/sys/bus/usb/devices"
HUB_CLASS = "09"
USB3_MBPS = 5000.0
SELF_POWERED = 0x40
"""Bit of bmAttributes: USB 2.0 specification, 9.6.3."""


class Device(NamedTuple):
    port: str
    """ "1-1.2"; of a root hub "usb1"."""
    vendor: str
    product: str
    """Ids as lsusb writes them: "03e7"."""
    name: str
    mbps: float | None
    most_ma: int
    """What it may draw from its port, by bMaxPower."""
    hub: bool
    self_powered: bool
    node: str
    """ "/dev/bus/usb/001/005"."""
    suspends: bool
    """The kernel may put it to sleep when nothing uses it."""


def devices(machine: Machine) -> list[Device]:
    """Root hubs too."""
    return [_device(machine, name) for name in machine.names(DEVICES) if ":" not in name]


def seen(machine: Machine, exclude: list[str]) -> Scan:
    """Sticks, and devices that may be taken for one."""
    return scan(machine.at("/sys"), MYRIAD_X, exclude)


def _device(machine: Machine, port: str) -> Device:
    def word(name: str) -> str:
        return machine.text(f"{DEVICES}/{port}/{name}") or ""

    def number(text: str, base: int = 10) -> int:
        try:
            return int(text, base)
        except ValueError:
            return 0

    return Device(
        port,
        word("idVendor"),
        word("idProduct"),
        word("product"),
        float(speed) if (speed := word("speed")).replace(".", "", 1).isdigit() else None,
        number(word("bMaxPower").removesuffix("mA")),
        word("bDeviceClass") == HUB_CLASS,
        bool(number(word("bmAttributes"), 16) & SELF_POWERED),
        f"/dev/bus/usb/{number(word('busnum')):03d}/{number(word('devnum')):03d}",
        word("power/control") == "auto" and not word("power/autosuspend_delay_ms").startswith("-"),
    )
