"""Memory that the kernel gives to USB transfers of programs: libusb's transfers fail with ENOMEM where it is used up."""

from __future__ import annotations

from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, passed, skip, warn
from ncs_cluster.cli.doctor.usb import devices, seen

FILE = "/sys/module/usbcore/parameters/usbfs_memory_mb"
EACH_MB = 5
"""MB for one stick."""
CAMERA_MB = 16
"""MB for one RealSense camera, whose library reads it through usbfs."""


class Facts(NamedTuple):
    mb: int | None
    """0: without a limit."""
    sticks: int
    cameras: int


def probe(case: Case) -> Facts:
    real_sense = sum(each.name.startswith("Intel(R) RealSense") for each in devices(case.machine))
    return Facts(case.machine.number(FILE), len(seen(case.machine, case.exclude).devices), real_sense)


def judge(facts: Facts) -> list[Finding]:
    if facts.mb is None:
        return [skip(f"this kernel has no {FILE}")]
    if not facts.sticks and not facts.cameras:
        return [skip("neither a stick nor a RealSense camera is on the bus")]
    need = EACH_MB * facts.sticks + CAMERA_MB * facts.cameras
    who = f"{facts.sticks} sticks" + (f" and {facts.cameras} RealSense cameras" if facts.cameras else "")
    if 0 < facts.mb < need:
        remedy = f"echo {2 * need} | sudo tee {FILE}; for ever: usbcore.usbfs_memory_mb={2 * need} in the kernel's command line"
        return [warn(f"the kernel gives {facts.mb} MB to USB transfers; {who} need {need} MB", remedy)]
    return [passed(f"{facts.mb or 'unlimited'} MB for USB transfers; {who} need {need} MB")]
