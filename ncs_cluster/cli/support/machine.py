"""Facts of the machine and of its USB devices, from small reads of /proc and /sys. Serial numbers are left out."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

USB_FACTS = (
    *("idVendor", "idProduct", "manufacturer", "product", "speed", "version", "busnum", "devnum", "devpath"),
    *("bMaxPower", "maxchild", "bDeviceClass", "configuration", "power/control", "power/runtime_status"),
)
MOST_DEVICES = 200
MEMORY = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")


def facts(root: Path = Path("/"), folders: tuple[str, ...] = ()) -> dict[str, object]:
    """`root`: that of the file system, or a copy of /proc, /sys and /etc below it; `folders`: whose free space is told."""
    firmware = root / "sys/devices/platform/soc/soc:firmware/get_throttled"
    zones = sorted(root.glob("sys/class/thermal/thermal_zone*/temp"))
    return {
        "system": _release(root / "etc/os-release"),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "model": _text(root / "proc/device-tree/model") or None,
        "cores": os.cpu_count(),
        "load": _text(root / "proc/loadavg"),
        "uptime_s": _text(root / "proc/uptime").partition(" ")[0],
        "memory": [line for line in _text(root / "proc/meminfo", 4000).splitlines() if line.partition(":")[0] in MEMORY],
        "usbfs_memory_mb": _text(root / "sys/module/usbcore/parameters/usbfs_memory_mb"),
        "throttled": _text(firmware) or None,
        "temperatures_mc": {zone.parent.name: _text(zone) for zone in zones[:20]},
        "disks": {folder: _free(folder) for folder in folders},
    }


def usb(root: Path = Path("/")) -> list[dict[str, str]]:
    """Every device of the bus as the kernel lists it."""
    folder = root / "sys/bus/usb/devices"
    try:
        names = sorted(name for name in os.listdir(folder) if ":" not in name)[:MOST_DEVICES]
    except OSError:
        return []
    return [{"port": name, **{fact: value for fact in USB_FACTS if (value := _text(folder / name / fact))}} for name in names]


def versions() -> dict[str, str]:
    """Of the interpreter, of this package and of what it may use, as far as that is installed."""
    found = {"python": sys.version.split()[0]}
    try:
        needs = metadata.requires("ncs-cluster") or []
    except metadata.PackageNotFoundError:
        needs = []
    for need in ["ncs-cluster", *needs]:
        name = next((need[:end] for end, sign in enumerate(f"{need};") if not (sign.isalnum() or sign in "-_.")), need)
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def _release(path: Path) -> str | None:
    for line in _text(path, 4000).splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return None


def _free(folder: str) -> str:
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return error.strerror or "cannot be read"
    return f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB free"


def _text(path: Path, most: int = 200) -> str:
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(most).decode("utf-8", "replace").strip("\0 \n")
    except OSError:
        return ""
