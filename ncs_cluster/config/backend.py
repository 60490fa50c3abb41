"""What drives the sticks: as asked, or what this machine has; and with which options."""

from __future__ import annotations

from typing import Any

from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.sysfs import plugged_in
from ncs_cluster.config.asked import Asked
from ncs_cluster.config.model import options_class
from ncs_cluster.config.ncs import firmware, get_firmware, no_plugin, sysfs

REAL = ("xlink", "myriad")
"""Backends of sticks that are found, not counted."""


def backend(asked: Asked) -> str:
    """The backend that drives the sticks; `auto` looks at the machine and says what it decided."""
    wanted: str = asked.root.backend
    if wanted != "auto":
        return wanted
    ports = plugged_in(sysfs(asked))
    if not ports:
        asked.notices.append("no neural compute stick is plugged in: working on this CPU (--backend simulated shows sticks)")
        return "openvino"
    count = "1 neural compute stick is" if len(ports) == 1 else f"{len(ports)} neural compute sticks are"
    seen = f"{count} plugged in (port {', '.join(ports)})"
    if asked.given("myriad", "runtime"):
        if (complaint := no_plugin(asked)) is None:
            asked.notices.append(f"{seen}: driven by the vendor's plugin (backend myriad)")
            return "myriad"
        asked.notices.append(f"not by backend myriad, whose runtime is set: {complaint}")
    boots = firmware(asked)
    if boots.is_file():
        asked.notices.append(f"{seen}: driven by backend xlink")
        return "xlink"
    asked.notices.append(f"{seen}, but there is no firmware {boots}: working on this CPU; get it with: {get_firmware(asked)}")
    return "openvino"


def driver(asked: Asked, driven_by: str) -> tuple[dict[str, Any], str]:
    """Options and runtime of a backend; those of the others are judged too."""
    runtime = getattr(asked.root, driven_by).runtime
    asked.check_runtime(runtime, driven_by, "runtime")
    return {name: _options(asked, name) for name in BACKENDS}[driven_by], runtime


def _options(asked: Asked, name: str) -> dict[str, Any]:
    """What was set of a backend's Options, judged by the dataclass too."""
    table: dict[str, Any] = getattr(asked.root, name).model_dump(exclude_unset=True, exclude={"runtime", "time_scale"})
    try:
        options_class(BACKENDS[name])(**table)
    except ValueError as error:
        asked.refuse_options(error, table, name)
    return table
