"""Which sticks there are, what drives them, and how they take turns."""

from __future__ import annotations

import os
from typing import Optional

from ncs_cluster.backends.sysfs import plugged_in
from ncs_cluster.config.asked import Asked
from ncs_cluster.config.backend import REAL, driver
from ncs_cluster.config.ncs import libusb, no_plugin, sysfs, whole_firmware
from ncs_cluster.specs import ClusterSpec, DiscoverySpec, StickSpec
from ncs_cluster.types import StickId

DEFAULT_COUNT = {"simulated": 4, "openvino": 1}
LATER_POLICIES = ("coolest", "predictive")


def sticks(asked: Asked, driven_by: str) -> list[StickSpec]:
    """Sticks that are simply there."""
    table, runtime = driver(asked, driven_by)
    if driven_by in REAL:
        if asked.root.sticks is not None:
            asked.refuse("sticks", because=f"sticks of backend {driven_by} are found, not counted; leave it out")
        return []
    count = asked.root.sticks or DEFAULT_COUNT[driven_by]
    if driven_by == "openvino" and count > 1 and not asked.given("openvino", "threads"):
        table["threads"] = max(1, len(os.sched_getaffinity(0)) // count)
    shown = {"simulated": ("sim", "sim"), "openvino": ("cpu", str(table.get("device", "CPU")))}
    prefix, port = shown[driven_by]
    return [
        StickSpec(id=StickId(f"{prefix}-{n}"), port=f"{port} {n}", backend=driven_by, options=table, runtime=runtime)
        for n in range(1, count + 1)
    ]


def discovery(asked: Asked, driven_by: str) -> Optional[DiscoverySpec]:
    """How sticks that come and go are found; None where none are looked for. What they cannot do without is looked for here."""
    if driven_by not in REAL:
        return None
    table, runtime = driver(asked, driven_by)
    if driven_by == "xlink":
        if asked.given("xlink", "libusb"):
            table["libusb"] = libusb(asked)
        table["firmware"] = str(whole_firmware(asked))
    elif (complaint := no_plugin(asked)) is not None:
        asked.refuse(
            "myriad",
            "runtime",
            because=f"{complaint}; name a [runtimes.NAME] whose Python has openvino 2021.4.2 (Python 3.6 to 3.9)",
        )
    devices = sysfs(asked)
    if not plugged_in(devices):
        asked.notices.append("no neural compute stick is plugged in yet: waiting for one")
    return DiscoverySpec(driven_by, table, runtime, sysfs=str(devices), stagger_s=asked.root.discovery.stagger_s)


def clusters(asked: Asked, driven_by: str, count: int) -> ClusterSpec:
    """Turns, checked against the number of sticks where that is fixed; where they come and go the cluster shrinks with them."""
    root = asked.root
    size, policy = root.cluster_size, root.policy or ("ring" if root.cluster_size else "all")
    if policy in LATER_POLICIES:
        asked.refuse("policy", because=f"{policy} is not in this version yet; use ring or all")
    if policy == "ring" and size == 0:
        asked.refuse("policy", because="ring takes turns between clusters; give --cluster-size K too")
    if policy == "ring" and size * 2 > count and driven_by not in REAL:
        remedy = f"use --cluster-size {count // 2}, or --sticks {size * 2}" if count > 1 else f"use --sticks {size * 2}"
        if asked.root.backend == "auto":
            # who has sticks must hear why they are not those that are counted here
            remedy = "; ".join([remedy, *asked.notices])
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
