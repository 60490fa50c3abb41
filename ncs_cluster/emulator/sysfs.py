"""The kernel's view of the bus under /sys: bus/usb/devices/NAME, links to folders that are complete before they are linked."""

from __future__ import annotations

import shutil
from pathlib import Path

from ncs_cluster.emulator.port import Device

_MBPS = {3: "480", 4: "5000"}


class Sysfs:
    """A tree below `root` that follows the bus."""

    def __init__(self, root: Path) -> None:
        self._links, self._folders = root / "bus/usb/devices", root / "devices/platform/emulated"
        self._links.mkdir(parents=True, exist_ok=True)
        self._folders.mkdir(parents=True, exist_ok=True)

    def came(self, device: Device) -> None:
        what = device.descriptors
        attributes = {
            "busnum": device.bus,
            "devnum": device.address,
            "devpath": ".".join(map(str, device.chain)) or "0",
            "idVendor": f"{what.vendor:04x}",
            "idProduct": f"{what.product:04x}",
            "speed": _MBPS[what.speed],
            "version": f"{what.release >> 8:2x}.{what.release & 255:02x}",
            "bConfigurationValue": device.configuration,
            "authorized": 1,
        }
        attributes.update(zip(("manufacturer", "product", "serial"), what.strings, strict=False))
        folder = self._folders / f"{device.name}@{device.address}"
        folder.mkdir()
        for name, value in attributes.items():
            (folder / name).write_text(f"{value}\n")
        (self._links / device.name).symlink_to(folder)

    def left(self, device: Device) -> None:
        folder = self._folders / f"{device.name}@{device.address}"
        link = self._links / device.name
        if link.is_symlink() and link.readlink() == folder:
            link.unlink()
        shutil.rmtree(folder, ignore_errors=True)
