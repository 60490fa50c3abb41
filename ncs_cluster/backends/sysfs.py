"""The devices of one kind that are plugged in, as the kernel lists them in sysfs: small reads that need no rights.

Runs on CPython 3.9.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Dict, NamedTuple

from ncs_cluster.usb_ids import UsbIds, text


class Listed(NamedTuple):
    """One device as the kernel lists it."""

    booted: bool
    """Its firmware runs; else it is in its boot ROM."""
    number: str
    """The kernel gives a device another one each time it is plugged in, boots or resets."""


def plugged_in(sysfs: Path, ids: UsbIds) -> Dict[str, Listed]:
    """USB port -> device, of every device with these ids. A device that vanishes meanwhile is left out. Raises
    OSError when this process has no descriptor left to look."""
    seen = {}
    products = {text(ids.booted): True, text(ids.boot_rom): False}
    devices = sysfs / "bus" / "usb" / "devices"
    try:
        names = sorted(os.listdir(devices))
    except OSError as error:
        _raise_without_descriptor(error)
        return {}
    for name in names:
        # "usb1" is a root hub, "1-1.2:1.0" an interface
        if ":" not in name and "-" in name and _word(devices / name / "idVendor") == text(ids.vendor):
            product = _word(devices / name / "idProduct")
            if product in products:
                seen[name] = Listed(products[product], _word(devices / name / "devnum"))
    return seen


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
