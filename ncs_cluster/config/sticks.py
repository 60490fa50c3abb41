"""Which sticks there are, what drives them, and how they take turns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ncs_cluster.backends import BACKENDS
from ncs_cluster.config.asked import Asked
from ncs_cluster.config.model import options_class
from ncs_cluster.specs import ClusterSpec, StickSpec
from ncs_cluster.types import StickId

NCS2_VENDOR = "03e7"
DEFAULT_COUNT = {"simulated": 4, "openvino": 1}
LATER_POLICIES = ("coolest", "predictive")


def backend(asked: Asked) -> str:
    """The backend that drives the sticks; `auto` looks at the machine and says what it decided."""
    wanted = asked.root.backend
    if wanted != "auto":
        if wanted not in DEFAULT_COUNT:  # sticks that are found as they come are not looked for yet
            asked.refuse("backend", because=f"{wanted} is not in this version yet; use auto, openvino or simulated")
        return wanted
    ports = plugged_in(Path(asked.root.discovery.sysfs))
    if ports:
        count = "1 neural compute stick is" if len(ports) == 1 else f"{len(ports)} neural compute sticks are"
        asked.notices.append(
            f"{count} plugged in (port {', '.join(ports)}), but this version cannot drive them yet: working on this CPU"
        )
    else:
        asked.notices.append("no neural compute stick is plugged in: working on this CPU (--backend simulated shows sticks)")
    return "openvino"


def plugged_in(sysfs: Path) -> list[str]:
    """USB ports that hold a Movidius device, before or after its boot."""
    ports = []
    for vendor in sorted((sysfs / "bus" / "usb" / "devices").glob("*/idVendor")):
        try:
            if vendor.read_text().strip().lower() == NCS2_VENDOR:
                ports.append(vendor.parent.name)
        except OSError:
            continue  # pulled while we looked
    return ports


def sticks(asked: Asked, driven_by: str) -> list[StickSpec]:
    """Sticks that are simply there."""
    count = asked.root.sticks or DEFAULT_COUNT[driven_by]
    table = {name: _options(asked, name) for name in BACKENDS}[driven_by]
    runtime = getattr(asked.root, driven_by).runtime
    if driven_by == "openvino" and count > 1 and not asked.given("openvino", "threads"):
        table["threads"] = max(1, len(os.sched_getaffinity(0)) // count)
    asked.check_runtime(runtime, driven_by, "runtime")
    shown = {"simulated": ("sim", "sim"), "openvino": ("cpu", str(table.get("device", "CPU")))}
    prefix, port = shown[driven_by]
    return [
        StickSpec(id=StickId(f"{prefix}-{n}"), port=f"{port} {n}", backend=driven_by, options=table, runtime=runtime)
        for n in range(1, count + 1)
    ]


def _options(asked: Asked, name: str) -> dict[str, Any]:
    """What was set of a backend's Options, judged by the dataclass too."""
    table: dict[str, Any] = getattr(asked.root, name).model_dump(exclude_unset=True, exclude={"runtime", "time_scale"})
    try:
        options_class(BACKENDS[name])(**table)
    except ValueError as error:
        asked.refuse_options(error, table, name)
    return table


def clusters(asked: Asked, driven_by: str, count: int) -> ClusterSpec:
    """Turns, checked against the number of sticks, which is fixed here."""
    root = asked.root
    size, policy = root.cluster_size, root.policy or ("ring" if root.cluster_size else "all")
    if policy in LATER_POLICIES:
        asked.refuse("policy", because=f"{policy} is not in this version yet; use ring or all")
    if policy == "ring" and size == 0:
        asked.refuse("policy", because="ring takes turns between clusters; give --cluster-size K too")
    if policy == "ring" and size * 2 > count:
        remedy = f"use --cluster-size {count // 2}, or --sticks {size * 2}" if count > 1 else f"use --sticks {size * 2}"
        asked.refuse(
            "cluster_size",
            because=f"{size} of {count} stick{'s' * (count > 1)}: at most half may work while the others cool; {remedy}",
        )
    if driven_by != "simulated" and asked.given("simulated", "time_scale"):
        asked.refuse("simulated", "time_scale", because="only simulated sticks can heat faster; use --backend simulated")
    return ClusterSpec(
        cluster_size=size,
        policy=policy,
        switch_interval_s=root.switch_interval,
        switch_temp_c=root.switch_temp,
        time_scale=root.simulated.time_scale if driven_by == "simulated" else 1.0,
    )
