"""Current of hubs: what the devices at each may draw, against what a hub without a supply of its own, or a Raspberry Pi, can give.

Sources: USB 2.0 specification 7.2.1 (100 mA of 500 mA are a bus-powered hub's own), USB 3.2 11.4.1 (150 mA a unit, 900 mA in all);
Raspberry Pi documentation, "Typical power requirements".
"""

from __future__ import annotations

from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, passed, skip, warn
from ncs_cluster.cli.doctor.machine import Machine
from ncs_cluster.cli.doctor.usb import DEVICES, USB3_MBPS, Device, devices, seen

STICK_MA = 900
"""What a stick draws at most, whatever its descriptor says."""
BUS_MA, BUS3_MA = 500, 900
"""What one port gives to a hub that has no supply of its own."""
BOARDS = {"Raspberry Pi 5": 600, "Raspberry Pi 4": 1200, "Raspberry Pi 400": 1200, "Raspberry Pi 3": 1200, "Raspberry Pi 2": 600}
"""All USB ports of the board together, mA."""
PI5_STRONG_MA = 1600
"""With a supply of 5 A."""
ON_BOARD = {("2109", "3431"), ("0424", "9514"), ("0424", "9512"), ("0424", "2514")}
"""Hubs soldered onto a Raspberry Pi: their ports are the board's."""
POWERED = "use a powered hub, or move sticks to other ports; then: ncsctl doctor"


class Load(NamedTuple):
    place: str
    """ "the hub at 1-1.4", "Raspberry Pi 4 Model B"."""
    ma: int
    """What the devices there may draw."""
    can_ma: int
    sticks: int


class Facts(NamedTuple):
    loads: list[Load]
    sticks: int
    cut_off: dict[str, int]
    """Ports ("usb1-port2") that a hub has switched off for too much current -> how often."""


def probe(case: Case) -> Facts:
    listed = {each.port: each for each in devices(case.machine)}
    sticks = set(seen(case.machine, case.exclude).devices)
    loads = [_at_hub(hub, listed, sticks) for hub in listed.values() if hub.hub and "-" in hub.port and not hub.self_powered]
    if (board := _board(case)) is not None:
        loads.append(_at_board(*board, listed, sticks))
    return Facts([each for each in loads if each.sticks], len(sticks), _cut_off(case.machine))


def judge(facts: Facts) -> list[Finding]:
    found = [warn(f"too much current was drawn at {port}, {times} times", POWERED) for port, times in facts.cut_off.items()]
    for place, ma, can_ma, sticks in facts.loads:
        text = f"{place}: {sticks} stick{'s' * (sticks > 1)} and what else is there may draw {ma} mA of {can_ma} mA"
        found.append(warn(text, POWERED) if ma > can_ma else passed(text))
    return found or [passed("each stick is at a hub with a supply of its own") if facts.sticks else skip("no stick is on the bus")]


def _draws(device: Device, sticks: set[str]) -> int:
    return max(device.most_ma, STICK_MA) if device.port in sticks else device.most_ma


def _parent(port: str) -> str:
    bus, _, chain = port.partition("-")
    return f"{bus}-{chain.rpartition('.')[0]}" if "." in chain else f"usb{bus}"


def _at_hub(hub: Device, listed: dict[str, Device], sticks: set[str]) -> Load:
    below = [each for each in listed.values() if _parent(each.port) == hub.port]
    can_ma = (BUS3_MA if (hub.mbps or 0) >= USB3_MBPS else BUS_MA) - min(hub.most_ma, 100)
    return Load(
        f"the hub at {hub.port}, which has no supply of its own",
        sum(_draws(each, sticks) for each in below),
        can_ma,
        sum(each.port in sticks for each in below),
    )


def _at_board(name: str, can_ma: int, listed: dict[str, Device], sticks: set[str]) -> Load:
    """Devices at the board's own ports, and below hubs that take their current from there."""

    def of_board(device: Device) -> bool:
        above = listed.get(_parent(device.port))
        while above is not None and "-" in above.port:
            if above.self_powered and (above.vendor, above.product) not in ON_BOARD:
                return False
            above = listed.get(_parent(above.port))
        return True

    there = [each for each in listed.values() if "-" in each.port and not each.hub and of_board(each)]
    return Load(name, sum(_draws(each, sticks) for each in there), can_ma, sum(each.port in sticks for each in there))


def _cut_off(machine: Machine) -> dict[str, int]:
    """over_current_count of each port: the kernel's Documentation/ABI/testing/sysfs-bus-usb."""
    found = dict[str, int]()
    for hub in (name for name in machine.names(DEVICES) if name.endswith(":1.0")):
        for port in (name for name in machine.names(f"{DEVICES}/{hub}") if "-port" in name):
            if times := machine.number(f"{DEVICES}/{hub}/{port}/over_current_count"):
                found[port] = times
    return found


def _board(case: Case) -> tuple[str, int] | None:
    """The board's name and what its USB ports give; None for another machine."""
    model = (case.machine.text("/proc/device-tree/model") or "").rstrip("\0")
    can_ma = next((ma for name, ma in BOARDS.items() if model.startswith(name)), None)
    if can_ma is None:
        return None
    if model.startswith("Raspberry Pi 5") and "=1" in (case.machine.run("vcgencmd", "get_config", "usb_max_current_enable") or ""):
        can_ma = PI5_STRONG_MA
    return model.partition(" Rev")[0], can_ma
