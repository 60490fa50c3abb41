"""Whether libusb, by which backend xlink reaches a stick, can be loaded. It is loaded in the check's own process."""

from __future__ import annotations

from typing import NamedTuple

from ncs_cluster.backends._libusb import Context, UsbError
from ncs_cluster.backends.base import LIBUSB
from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn

INSTALL = "sudo apt install -y libusb-1.0-0"


class Facts(NamedTuple):
    used: bool
    needed: bool
    """A backend that needs it is asked for."""
    name: str
    problem: str | None


def probe(case: Case) -> Facts:
    name = str(case.option(LIBUSB, "libusb") or "libusb-1.0.so.0")
    if not case.sticks_are_used:
        return Facts(False, False, name, None)
    problem = None
    try:
        Context(name).close()
    except (OSError, UsbError) as error:
        problem = str(error)
    return Facts(True, case.asks_for(LIBUSB), name, problem)


def judge(facts: Facts) -> list[Finding]:
    if not facts.used:
        return [skip("the settings use no stick of the bus")]
    if facts.problem is None:
        return [passed(f"{facts.name} loads")]
    return [(fail if facts.needed else warn)(f"{facts.name} cannot be used: {facts.problem}", INSTALL)]
