"""The devices of one kind that are plugged in, as the kernel lists them in sysfs: small reads that need no rights.

Runs on CPython 3.9.
"""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path
from typing import Dict, Iterable, NamedTuple, Optional

from ncs_cluster.usb_ids import CAMERA_MAKER, FOREIGN, UsbIds, is_at, text


class Listed(NamedTuple):
    """One device as the kernel lists it."""

    booted: bool
    """Its firmware runs; else it is in its boot ROM."""
    number: str
    """The kernel gives a device another one each time it is plugged in, boots or resets."""


class Scan(NamedTuple):
    """What the kernel lists, by USB port."""

    devices: Dict[str, Listed]
    ignored: Dict[str, str]
    """Devices that are left alone, and why: "is an OAK camera ...", for people."""


def scan(sysfs: Path, ids: UsbIds, exclude: Iterable[str] = ()) -> Scan:
    """Every device with these ids, and devices that may be taken for one. `exclude`: ports or chains that are left alone. A device
    that vanishes meanwhile is left out. Raises OSError when this process has no descriptor left to look."""
    found = Scan({}, {})
    products = {text(ids.booted): True, text(ids.boot_rom): False}
    foreign = {text(product): what for (vendor, product), what in FOREIGN.items() if vendor == ids.vendor}
    devices = sysfs / "bus" / "usb" / "devices"
    try:
        names = sorted(os.listdir(devices))
    except OSError as error:
        _raise_without_descriptor(error)
        return found
    for name in names:
        # "usb1" is a root hub, "1-1.2:1.0" an interface
        if ":" in name or "-" not in name or _word(devices / name / "idVendor") != text(ids.vendor):
            continue
        product = _word(devices / name / "idProduct")
        if product not in products and product not in foreign:
            continue
        if any(is_at(name, place) for place in exclude):
            found.ignored[name] = "is left out by [discovery] exclude"
        elif product in foreign:
            found.ignored[name] = f"has {foreign[product]}"
        elif _word(devices / name / "product").startswith(CAMERA_MAKER.lower()):
            found.ignored[name] = "has an OAK camera that another program drives"
        else:
            found.devices[name] = Listed(products[product], _word(devices / name / "devnum"))
    return found


def link_mbps(sysfs: Path, port: str) -> Optional[float]:
    """Speed of the USB link at a port, Mbit/s: 480 is USB 2, 5000 is USB 3; None where the kernel does not tell it.

    Source: the kernel's Documentation/ABI/stable/sysfs-bus-usb, `speed`.
    """
    try:
        mbps = float(_word(sysfs / "bus" / "usb" / "devices" / port / "speed"))
    except (ValueError, OSError):
        return None
    return mbps if 0.0 < mbps < math.inf else None


def _word(path: Path) -> str:
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(64).decode("ascii", "replace").strip().lower()
    except OSError as error:
        _raise_without_descriptor(error)
        return ""


def _raise_without_descriptor(error: OSError) -> None:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        raise error
