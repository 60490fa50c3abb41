"""The clock: results and events carry its time, and a Raspberry Pi without a network begins years ago."""

from __future__ import annotations

import ctypes
import time
from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.cli.doctor.machine import Machine

EARLIEST_S = 1704067200.0
"""2024-01-01 UTC, before the first release: an earlier clock is wrong."""
SYNC = "sudo timedatectl set-ntp true && timedatectl timesync-status"
TIMESYNC = "/run/systemd/timesync"
_TIMEX_BYTES, _TIME_ERROR = 512, 5
"""Room for struct timex; what adjtimex(2) returns while the clock is not synchronised."""


class Facts(NamedTuple):
    now_s: float
    """Unix time."""
    synchronised: bool | None
    """None: the kernel does not tell."""


def probe(case: Case) -> Facts:
    return Facts(time.time(), _by_kernel() if case.machine.real else _by_timesync(case.machine))


def judge(facts: Facts) -> list[Finding]:
    now = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(facts.now_s))
    if facts.now_s < EARLIEST_S:
        return [fail(f"the clock says {now}", SYNC)]
    if facts.synchronised is None:
        return [skip(f"{now}; the kernel does not tell whether it is synchronised")]
    return [passed(f"{now}, synchronised") if facts.synchronised else warn(f"{now}: the clock is not synchronised", SYNC)]


def _by_kernel() -> bool | None:
    # modes 0: nothing is set, no right is needed
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _TIME_ERROR


def _by_timesync(machine: Machine) -> bool | None:
    return machine.at(f"{TIMESYNC}/synchronized").exists() if machine.at(TIMESYNC).is_dir() else None
