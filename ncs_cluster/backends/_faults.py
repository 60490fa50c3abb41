"""A script of faults for simulated sticks: `KIND@AFTER_S` or `KIND@AFTER_S:FOR_S`, for instance "slow@5:10" or "crash@20".

Seconds count from the moment the stick was opened, so a stick that is opened again plays its script again. A fault that
lasts does so for ever when FOR_S is missing. Runs on CPython 3.9.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import time
from typing import Dict, List, NamedTuple, NoReturn

from ncs_cluster.errors import StickError

LASTING = {
    "slow": "every inference takes ten times as long",
    "heat": "ambient air 15 C warmer",
    "lie": "the sensor says -89.7 C",
    "nan": "the sensor says NaN",
    "freeze": "the sensor repeats its last value",
    "nosensor": "the sensor gives no value",
}
SUDDEN = {
    "hang": "the process blocks and never answers again",
    "crash": "the process exits with code 7",
    "segfault": "the process dies of a real SIGSEGV",
    "unplug": "the stick is gone",
}


class Fault(NamedTuple):
    """One fault of the script. Times are seconds after the stick was opened."""

    kind: str
    after_s: float
    for_s: float


def parse(text: str) -> Fault:
    """Raises ValueError, one line with the right form."""
    kind, at, when = text.strip().partition("@")
    after, colon, length = when.partition(":")
    if kind not in LASTING and kind not in SUDDEN:
        raise ValueError(f'fault "{text}": kind "{kind}" is none of {", ".join([*LASTING, *SUDDEN])}')
    if colon and kind in SUDDEN:
        raise ValueError(f'fault "{text}": "{kind}" has no end, write {kind}@{after}')
    try:
        after_s, for_s = float(after), float(length) if colon else math.inf
    except ValueError:
        after_s = for_s = math.nan
    if not at or not 0 <= after_s < math.inf or not for_s > 0:
        raise ValueError(f'fault "{text}": write KIND@AFTER_S or KIND@AFTER_S:FOR_S in seconds, for instance {kind}@5')
    return Fault(kind, after_s, for_s)


class FaultScript:
    """The faults of a stick, by script or injected. Times are time.monotonic()."""

    def __init__(self, faults: List[Fault], opened_s: float) -> None:
        self._waiting = sorted((opened_s + fault.after_s, fault.for_s, fault.kind) for fault in faults)
        self._until_s: Dict[str, float] = {}

    @property
    def next_s(self) -> float:
        """When the next fault begins; infinite when there is none."""
        return self._waiting[0][0] if self._waiting else math.inf

    def play(self, now_s: float) -> None:
        """Begin the faults that are due. Some end the process."""
        while self._waiting and self._waiting[0][0] <= now_s:
            at_s, for_s, kind = self._waiting.pop(0)
            self.begin(kind, at_s + for_s)

    def begin(self, kind: str, until_s: float) -> None:
        """Begin one fault now. Raises StickError for an unknown kind, and for a stick that is gone."""
        if kind in LASTING:
            self._until_s[kind] = max(until_s, self._until_s.get(kind, 0.0))
        elif kind in SUDDEN:
            _die(kind)
        else:
            raise StickError("protocol", f'fault "{kind}" is none of {", ".join([*LASTING, *SUDDEN])}')

    def on(self, kind: str, now_s: float) -> bool:
        """True while a lasting fault lasts."""
        return now_s < self._until_s.get(kind, 0.0)


def _die(kind: str) -> NoReturn:
    if kind == "unplug":
        raise StickError("gone", "the simulated stick was unplugged")
    if kind == "crash":
        os._exit(7)
    if kind == "segfault":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.string_at(0)
    while True:
        time.sleep(3600)
