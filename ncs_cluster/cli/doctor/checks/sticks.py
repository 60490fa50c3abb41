"""Sticks on the bus and their state; foreign devices with a stick's ids; who holds a stick that no daemon drives."""

from __future__ import annotations

from typing import NamedTuple

from ncs_cluster.backends import BACKENDS
from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.cli.doctor.holders import holders
from ncs_cluster.cli.doctor.usb import devices, seen
from ncs_cluster.usb_ids import MYRIAD_X, text

POWER = "plug it in again, into a powered hub; then: ncsctl doctor"
STATES = {"absent": fail, "backoff": fail, "quarantined": fail, "resting": warn, "parked": warn}
"""States of a stick that an operator must act on, and the level of each."""


class Seen(NamedTuple):
    port: str
    booted: bool
    held_by: str | None
    """Another program than the daemon: "python3 (pid 812)"."""


class Driven(NamedTuple):
    """A stick as the daemon tells it."""

    id: str
    port: str
    state: str
    last_error: str | None


class Facts(NamedTuple):
    used: bool
    needed: bool
    seen: list[Seen]
    ignored: dict[str, str]
    driven: list[Driven] | None
    """None where no daemon answers."""


def probe(case: Case) -> Facts:
    listed, by_port = seen(case.machine, case.exclude), {each.port: each for each in devices(case.machine)}
    held = holders(case.machine, "/dev/bus/usb/") if case.status is None else {}
    found = [Seen(port, each.booted, held.get(by_port[port].node)) for port, each in listed.devices.items() if port in by_port]
    driven = None
    if case.status is not None:
        real = {name for name in BACKENDS.builtin if BACKENDS.builtin[name].matched is not None}
        driven = [Driven(each.id, each.port, each.state, each.last_error) for each in case.status.sticks if each.backend in real]
    return Facts(case.sticks_are_used, case.sticks_are_needed, found, listed.ignored, driven)


def judge(facts: Facts) -> list[Finding]:
    found = [_foreign(port, why) for port, why in facts.ignored.items()]
    if facts.driven is not None:
        found += [_driven(each) for each in facts.driven]
        if facts.driven or not facts.seen:
            return found or [skip("the daemon drives no stick of the bus")]
    if facts.seen and not facts.used:
        ports = ", ".join(each.port for each in facts.seen)
        return [
            *found,
            warn(f"port {ports}: sticks that the settings do not use", 'ncs-clusterd --backend xlink, or backend = "xlink"'),
        ]
    if facts.seen:
        return [*found, *map(_idle, facts.seen)]
    if not facts.used:
        return found or [skip("the settings use no stick of the bus")]
    none = "no neural compute stick is on the bus"
    remedy = "plug one in, into a powered hub; then: lsusb -d 03e7:"
    return [*found, fail(none, remedy) if facts.needed else warn(f"{none}: backend auto works on this CPU", remedy)]


def _idle(stick: Seen) -> Finding:
    ids = f"{text(MYRIAD_X.vendor)}:{text(MYRIAD_X.booted if stick.booted else MYRIAD_X.boot_rom)}"
    if stick.held_by is not None:
        pid = stick.held_by.rpartition(" ")[2].rstrip(")")
        return warn(f"port {stick.port}: {stick.held_by} uses the stick", f"ps -o user,pid,args -p {pid}; sudo kill {pid}")
    state = "still runs from an earlier program, and is reset when it is opened" if stick.booted else "waits for its boot"
    return passed(f"port {stick.port}: a neural compute stick ({ids}) {state}")


def _driven(stick: Driven) -> Finding:
    text = f"{stick.id} at port {stick.port} is {stick.state}"
    make = STATES.get(stick.state)
    if make is None:
        return passed(text)
    said = f"{text}: {stick.last_error}" if stick.last_error and make is fail else text
    remedy = {
        "absent": POWER,
        "parked": f"ncsctl stick work {stick.id}",
        "resting": "ncsctl status; docs/thermal.md: fewer sticks per cluster, or better cooling",
    }
    return make(said, remedy.get(stick.state, "ncsctl events"))


def _foreign(port: str, why: str) -> Finding:
    if "first generation" in why:
        return warn(f"port {port} {why}", f"unplug it, or leave it out: ncs-clusterd --set 'discovery.exclude=[\"{port}\"]'")
    return passed(f"port {port} {why}: left alone")
