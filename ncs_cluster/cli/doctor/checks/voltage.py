"""Under-voltage and throttling of a Raspberry Pi: weak power supplies let sticks vanish.

Bits of get_throttled: Raspberry Pi documentation, "vcgencmd". The file of that name below /sys is asked last: reading it makes the
kernel log a warning.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn

FILE = "/sys/devices/platform/soc/soc:firmware/get_throttled"
LOW, CAPPED, THROTTLED, SOFT = 1 << 0, 1 << 1, 1 << 2, 1 << 3
PAST = 16
"""Bits since boot are the present ones, shifted by this."""
SUPPLY = "use the supply that Raspberry Pi sells for this board, and a powered hub for the sticks; then: vcgencmd get_throttled"
COOL = "cool the board (fan, heat sink); then: vcgencmd get_throttled; vcgencmd measure_temp"


class Facts(NamedTuple):
    model: str | None
    bits: int | None
    """None: not told."""


def probe(case: Case) -> Facts:
    machine = case.machine
    model = (machine.text("/proc/device-tree/model") or "").rstrip("\0")
    if not model.startswith("Raspberry Pi"):
        return Facts(None, None)
    said = re.search(r"throttled=0x([0-9a-fA-F]+)", machine.run("vcgencmd", "get_throttled") or "")
    if said is not None:
        return Facts(model, int(said[1], 16))
    for chip in machine.names("/sys/class/hwmon"):
        if machine.text(f"/sys/class/hwmon/{chip}/name") == "rpi_volt":
            return Facts(model, machine.number(f"/sys/class/hwmon/{chip}/in0_lcrit_alarm"))
    return Facts(model, machine.number(FILE, 16))


def judge(facts: Facts) -> list[Finding]:
    if facts.model is None:
        return [skip("this machine is no Raspberry Pi")]
    if facts.bits is None:
        return [
            skip(
                "the board does not tell its voltage",
                "sudo apt install -y raspi-utils-core || sudo apt install -y libraspberrypi-bin",
            )
        ]
    found = []
    if facts.bits & LOW:
        found.append(fail("the board's voltage is too low now", SUPPLY))
    elif facts.bits & LOW << PAST:
        found.append(warn("the board's voltage has been too low since it booted", SUPPLY))
    if facts.bits & (CAPPED | THROTTLED | SOFT):
        found.append(warn("the board is slowed now, by heat or low voltage", COOL))
    elif facts.bits & (CAPPED | THROTTLED | SOFT) << PAST:
        found.append(warn("the board has been slowed since it booted, by heat or low voltage", COOL))
    return found or [passed(f"{facts.model}: no under-voltage and no throttling since it booted")]
