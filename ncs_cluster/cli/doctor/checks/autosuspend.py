"""Whether the kernel may put a stick to sleep while it cools: it does not answer then, and counts as hung."""

from __future__ import annotations

from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, passed, skip, warn
from ncs_cluster.cli.doctor.usb import DEVICES, devices, seen

RULE = 'ACTION=="add", SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ATTR{idVendor}=="03e7", ATTR{power/control}="on"'
FILE = "/etc/udev/rules.d/99-ncs-cluster-awake.rules"


class Facts(NamedTuple):
    awake: list[str]
    """Ports of sticks that stay on."""
    sleepy: list[str]


def probe(case: Case) -> Facts:
    suspends = {each.port: each.suspends for each in devices(case.machine)}
    ports = list(seen(case.machine, case.exclude).devices)
    return Facts([port for port in ports if not suspends.get(port)], [port for port in ports if suspends.get(port)])


def judge(facts: Facts) -> list[Finding]:
    if facts.sleepy:
        now = " ".join(f"{DEVICES}/{port}/power/control" for port in facts.sleepy)
        remedy = f"echo on | sudo tee {now}; for ever: echo '{RULE}' | sudo tee {FILE}"
        return [warn(f"the kernel may put the stick at port {', '.join(facts.sleepy)} to sleep", remedy)]
    return [passed("no stick is put to sleep") if facts.awake else skip("no stick is on the bus")]
