"""The speed at which each stick is connected. In its boot ROM a stick speaks USB 2 at any port: only after its boot it shows what
the port gives.
"""

from __future__ import annotations

from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.cli.doctor.usb import devices, seen

USB2, USB3 = 480.0, 5000.0
"""Mbit/s."""
MOVE = "plug it into a USB 3 port (blue), with a USB 3 cable and hub; then: lsusb -t"


class Facts(NamedTuple):
    sticks: list[tuple[str, bool, float | None]]
    """Port, whether it is booted, Mbit/s."""


def probe(case: Case) -> Facts:
    mbps = {each.port: each.mbps for each in devices(case.machine)}
    return Facts([(port, each.booted, mbps.get(port)) for port, each in seen(case.machine, case.exclude).devices.items()])


def judge(facts: Facts) -> list[Finding]:
    return [_one(*each) for each in facts.sticks] or [skip("no stick is on the bus")]


def _one(port: str, booted: bool, mbps: float | None) -> Finding:
    if mbps is None:
        return skip(f"port {port}: the kernel tells no speed")
    if mbps < USB2:
        return fail(f"port {port}: connected at {mbps:g} Mbit/s: no firmware can be loaded at that speed", MOVE)
    if not booted:
        return passed(f"port {port}: {mbps:g} Mbit/s in its boot ROM; its own speed shows after the boot")
    if mbps < USB3:
        return warn(f"port {port}: runs at USB 2 ({mbps:g} Mbit/s): large pictures take longer to it", MOVE)
    return passed(f"port {port}: runs at USB 3 ({mbps:g} Mbit/s)")
