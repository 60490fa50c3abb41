"""Which sticks there are, what drives them, and how they take turns."""

from __future__ import annotations

from typing import Optional

from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import BackendPlugin
from ncs_cluster.backends.sysfs import plugged_in
from ncs_cluster.config.asked import Asked
from ncs_cluster.config.backend import BackendHost, judge, of_table, options, sysfs
from ncs_cluster.config.model import tables
from ncs_cluster.config.policy import policy_of
from ncs_cluster.config.request import PoolRequest
from ncs_cluster.plugins import load, made
from ncs_cluster.specs import ClusterSpec, DiscoverySpec, StickSpec
from ncs_cluster.types import StickId


def sticks(pool: PoolRequest, plugin: BackendPlugin) -> list[StickSpec]:
    """Sticks that are simply there."""
    wanted = pool.value("sticks")
    if plugin.counted is None:
        if wanted is not None:
            pool.refuse("sticks", because=f"sticks of backend {plugin.name} are found, not counted; leave it out")
        return []
    count = wanted or plugin.counted.default
    given = options(pool, plugin)
    if plugin.divide is not None:
        given = load(plugin.divide)(given, count)
    whole = made(plugin.options, given)
    place = plugin.counted.port.format_map({name: getattr(whole, name) for name in whole.__dataclass_fields__})
    runtime = BackendHost(pool, plugin).runtime
    return [
        StickSpec(
            id=StickId(f"{plugin.counted.prefix}-{n}"),
            port=f"{place} {n}",
            backend=plugin.name,
            options=given,
            runtime=runtime,
            simulated=plugin.simulated,
        )
        for n in range(1, count + 1)
    ]


def discovery(pool: PoolRequest, plugin: BackendPlugin) -> Optional[DiscoverySpec]:
    """How sticks that come and go are found; None where none are looked for. What they cannot do without is looked for here."""
    if plugin.matched is None:
        return None
    asked, runtime = pool.asked, BackendHost(pool, plugin).runtime
    given, devices = options(pool, plugin), sysfs(pool.asked)
    if not plugged_in(devices, plugin.matched.usb):
        asked.notices.append(f"no {plugin.matched.device} is plugged in yet: waiting for one")
    return DiscoverySpec(plugin.name, given, runtime, sysfs=str(devices), stagger_s=asked.root.discovery.stagger_s)


def judge_tables(asked: Asked, plugin: BackendPlugin) -> None:
    """Tables of backends that are not used are judged too."""
    for name in tables(asked.root):
        if name != plugin.name:
            other = BACKENDS.get(name)
            judge(asked, other, of_table(asked, name))
            if other.simulated and asked.given(name, "time_scale"):
                asked.refuse(name, "time_scale", because=f"only simulated sticks can heat faster; use --backend {name}")


def clusters(pool: PoolRequest, plugin: BackendPlugin, count: int) -> ClusterSpec:
    """Turns, checked against the number of sticks where that is fixed; where they come and go the cluster shrinks with them."""
    asked = pool.asked
    size: int = pool.value("cluster_size")
    policy, policy_options = policy_of(pool, size)
    if policy.takes_turns and size == 0:
        pool.refuse("policy", because=f"{policy.name} takes turns between clusters; give --cluster-size K too")
    if policy.takes_turns and size * 2 > count and plugin.counted is not None:
        remedy = f"use --cluster-size {count // 2}, or --sticks {size * 2}" if count > 1 else f"use --sticks {size * 2}"
        if pool.value("backend") == "auto":
            # who has sticks must hear why they are not those that are counted here
            remedy = "; ".join([remedy, *asked.notices])
        pool.refuse(
            "cluster_size",
            because=f"{size} of {count} stick{'s' * (count > 1)}: at most half may work while the others cool; {remedy}",
        )
    return ClusterSpec(
        cluster_size=size,
        policy=policy.name,
        policy_options=policy_options,
        switch_interval_s=pool.value("switch_interval"),
        switch_temp_c=pool.value("switch_temp"),
        time_scale=getattr(asked.root, plugin.name).time_scale if plugin.simulated else 1.0,
    )
