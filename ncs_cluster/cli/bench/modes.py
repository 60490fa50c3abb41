"""The ways of working through pictures that are compared, and which programs each one is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Mode(NamedTuple):
    """One way. `plain`: devices of each of its plain programs, of all its devices; None: it is the program with a cluster."""

    name: str
    title: str
    plain: Callable[[int], list[int]] | None
    one_device: bool = False
    """It has no use for a second device."""


MODES = {
    mode.name: mode
    for mode in (
        Mode("serial", "one picture after another on one device", lambda devices: [1], one_device=True),
        Mode("threads", "one process, a thread for each device", lambda devices: [devices]),
        Mode("processes", "a process for each device", lambda devices: [1] * devices),
        Mode("queue", "ncs_cluster: several requests in flight on each device, pictures read meanwhile", None),
    )
}
SERIAL = "serial"
"""What the others are compared with."""
