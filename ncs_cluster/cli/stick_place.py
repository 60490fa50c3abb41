"""Where a stick is plugged in, in words: its hub, its port there, and what is plugged in beside it.

A Neural Compute Stick has no light that a program can switch, and heats up too slowly to be told by touch: it is told by its place,
or by unplugging it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ncs_cluster.status import StickStatus

_PORT = re.compile(r"(\d+)-(\d+(?:\.\d+)*)")
MOST_PORTS = 32
"""Ports of one hub that are listed; USB allows 255, and no hub on sale has as many as this."""


def lines(stick: StickStatus, sticks: Sequence[StickStatus], sysfs: Path) -> list[str]:
    """For people. `sysfs`: /sys, or a copy of it."""
    called = f"{stick.id} ({stick.name})" if stick.name else stick.id
    found = _PORT.fullmatch(stick.port)
    if found is None:
        return [f"{called} is at {stick.port}: it is not found at a USB port"]
    bus, chain = found[1], [int(port) for port in found[2].split(".")]
    devices = sysfs / "bus" / "usb" / "devices"
    hub = f"{bus}-{'.'.join(map(str, chain[:-1]))}" if len(chain) > 1 else f"usb{bus}"
    steps = [f"port {chain[0]} of bus {bus}", *(f"port {port} of the hub there" for port in chain[1:])]
    said = [f"{called} is at USB port {stick.port}: {', then '.join(steps)}"]
    said.append(f"hub       {_called(devices / hub) or 'not known'}")
    if stick.usb_mbps is not None:
        kind = "USB 3" if stick.usb_mbps >= 5000 else "USB 2: slower than the stick"
        said.append(f"link      {stick.usb_mbps:g} Mbit/s ({kind})")
    said += _beside(hub, bus, chain, sticks, devices)
    said.append("A stick has no light to switch. To be sure which one it is, unplug it: `ncsctl events --follow` names it.")
    if not stick.name:
        said.append(f'To give its port a name: [discovery.names] "{stick.port}" = "rear left" in the settings.')
    return said


def _beside(hub: str, bus: str, chain: Sequence[int], sticks: Sequence[StickStatus], devices: Path) -> list[str]:
    """One line for each port of the hub, where the kernel knows the hub."""
    prefix = f"{bus}-" if len(chain) == 1 else f"{hub}."
    names = {stick.port: f"{stick.id}{f' ({stick.name})' if stick.name else ''}" for stick in sticks if stick.state != "absent"}
    said = []
    for number in range(1, min(_number(devices / hub / "maxchild"), MOST_PORTS) + 1):
        port = f"{prefix}{number}"
        there = names.get(port) or _called(devices / port) or "nothing at this speed"
        said.append(f"port {number:<5}{there}{'   <- this one' if number == chain[-1] else ''}")
    return said


def _called(device: Path) -> str:
    return " ".join(word for name in ("manufacturer", "product") if (word := _text(device / name)))


def _number(path: Path) -> int:
    word = _text(path)
    return int(word) if word.isascii() and word.isdecimal() else 0


def _text(path: Path) -> str:
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(100).decode("utf-8", "replace").strip()
    except OSError:
        return ""
