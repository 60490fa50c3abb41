"""The sticks that are plugged in, as the kernel lists them in sysfs: some small reads that need no rights. Runs on CPython 3.9."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict

MOVIDIUS, PRODUCTS = "03e7", ("2485", "f63b")
"""Before its boot, and after."""


def plugged_in(sysfs: Path) -> Dict[str, str]:
    """USB port -> product of every Myriad X the kernel lists, before its boot or after. What vanishes meanwhile is left out."""
    seen = {}
    devices = sysfs / "bus" / "usb" / "devices"
    try:
        names = sorted(os.listdir(devices))
    except OSError:
        return {}
    for name in names:
        # "usb1" is a root hub, "1-1.2:1.0" an interface
        if ":" not in name and "-" in name and _word(devices / name / "idVendor") == MOVIDIUS:
            product = _word(devices / name / "idProduct")
            if product in PRODUCTS:
                seen[name] = product
    return seen


def _word(path: Path) -> str:
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(64).decode("ascii", "replace").strip().lower()
    except OSError:
        return ""
