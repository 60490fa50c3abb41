"""Pools of sticks: the backend of each, its sticks, and how they take turns."""

from __future__ import annotations

from collections.abc import Collection
from typing import Optional

from msgspec import structs

from ncs_cluster import policies
from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import BackendPlugin
from ncs_cluster.backends.sysfs import scan
from ncs_cluster.config.backend import BackendHost, chosen, judge, of_table, options, sysfs
from ncs_cluster.config.calibrations import calibrations
from ncs_cluster.config.context import Context
from ncs_cluster.config.fallback import FALLBACK, FallbackRequest, chosen_fallback
from ncs_cluster.config.model import tables
from ncs_cluster.config.policy import policy_of
from ncs_cluster.config.request import PoolRequest, requests
from ncs_cluster.config.spec import NAME, NAME_RULE
from ncs_cluster.plugins import REMEDY, call, made, reason
from ncs_cluster.specs import ClusterSpec, DieFigures, DiscoverySpec, FallbackSpec, PoolSpec, StickSpec
from ncs_cluster.types import StickId
from ncs_cluster.usb_ids import UsbIds

LONG_INTERVAL_S = 3600.0
"""A longer switch interval is asked about: the original script counts milliseconds."""


def pools(context: Context) -> tuple[list[PoolSpec], Optional[FallbackSpec], list[BackendPlugin]]:
    """The pools, the fallback, and the backends of all."""
    wanted = requests(context)
    plugins = [chosen(pool) for pool in wanted]
    reserve = chosen_fallback(context, wanted, plugins)
    judge_tables(context, {plugin.name for plugin in [*plugins, *([reserve] if reserve else [])]})
    calibrated = calibrations(context)
    specs, taken = list[PoolSpec](), dict[UsbIds, str]()
    for pool, plugin in zip(wanted, plugins, strict=True):
        name = pool.name or plugin.name
        if pool.name is not None and not NAME.fullmatch(pool.name):
            context.refuse("pools", pool.name, because=f'pool name "{pool.name}": {NAME_RULE}')
        if plugin.matched is not None and taken.setdefault(plugin.matched.usb, name) != name:
            other = taken[plugin.matched.usb]
            pool.refuse("backend", because=f"pools {other} and {name} would both take each {plugin.matched.device}; keep one")
        found = sticks(pool, plugin)
        turns = clusters(pool, plugin, len(found), calibrated)
        specs.append(PoolSpec(turns, found, discovery(pool, plugin), name))
    if reserve is None:
        return specs, None, plugins
    return specs, fallback(context, reserve, {pool.name for pool in specs}), [*plugins, reserve]


def fallback(context: Context, plugin: BackendPlugin, names: Collection[str]) -> FallbackSpec:
    """The pool that works while no other can. `names`: of the other pools."""
    if FALLBACK in names:
        context.refuse("pools", FALLBACK, because=f'"{FALLBACK}" is the name of the pool of --fallback; give this pool another one')
    assert plugin.counted is not None
    assert context.root.fallback is not None
    request = FallbackRequest(context, FALLBACK if plugin.counted.prefix in names else None)
    # one copy of the weights, since they lie there for nothing most of the time
    given = {**plugin.alone, **options(request, plugin)}
    found = [structs.replace(stick, options=given) for stick in sticks(request, plugin)]
    device = found[0].port.rpartition(" ")[0]
    shown = f"the {device}" if device.isupper() else f"backend {plugin.name}"
    return FallbackSpec(PoolSpec(ClusterSpec(), found, name=FALLBACK), shown, context.root.fallback.standby)


def sticks(pool: PoolRequest, plugin: BackendPlugin) -> list[StickSpec]:
    """The sticks of a counted backend."""
    wanted = pool.value("sticks")
    if plugin.counted is None:
        if wanted is not None:
            pool.refuse("sticks", because=f"sticks of backend {plugin.name} are found, not counted; leave it out")
        return []
    count = wanted or plugin.counted.default
    given = options(pool, plugin)
    if plugin.divide is not None:
        given = call(plugin.divide, given, count)
    whole = made(plugin.options, given)
    try:
        place = plugin.counted.port.format_map({name: getattr(whole, name) for name in whole.__dataclass_fields__})
    except Exception as error:
        pool.refuse("backend", because=f"backend {plugin.name} cannot say where its sticks are: {reason(error)}; {REMEDY}")
    runtime = BackendHost(pool, plugin).runtime
    return [
        StickSpec(
            id=StickId(f"{pool.prefix or plugin.counted.prefix}-{n}"),
            port=f"{place} {n}",
            backend=plugin.name,
            options=given,
            runtime=runtime,
            simulated=plugin.simulated,
            on_host=plugin.on_host,
            pool=FALLBACK if isinstance(pool, FallbackRequest) else pool.name or plugin.name,
        )
        for n in range(1, count + 1)
    ]


def discovery(pool: PoolRequest, plugin: BackendPlugin) -> Optional[DiscoverySpec]:
    """How the sticks of a matched backend are found; None for a counted one. Refuses where this machine lacks what they need."""
    if plugin.matched is None:
        return None
    context, runtime = pool.context, BackendHost(pool, plugin).runtime
    given, devices = options(pool, plugin), sysfs(pool.context)
    table = context.root.discovery
    seen = scan(devices, plugin.matched.usb, table.exclude)
    if not seen.devices and not seen.ignored:
        # else the daemon says what is there instead, and why it is left alone
        context.notices.append(f"no {plugin.matched.device} is plugged in yet: waiting for one")
    return DiscoverySpec(
        plugin.name,
        given,
        runtime,
        str(devices),
        table.stagger_s,
        pool=pool.name or plugin.name,
        exclude=table.exclude,
        names=table.names,
    )


def judge_tables(context: Context, used: Collection[str]) -> None:
    """Validate the tables of unused backends too: a mistake shows before the backend is changed."""
    for name in tables(context.root):
        if name not in used:
            other = BACKENDS.get(name)
            judge(context, other, of_table(context, name))
            if other.simulated and context.given(name, "time_scale"):
                context.refuse(name, "time_scale", because=f"only simulated sticks can heat faster; use --backend {name}")


def clusters(pool: PoolRequest, plugin: BackendPlugin, count: int, calibrated: dict[StickId, DieFigures]) -> ClusterSpec:
    """How the sticks take turns. The cluster size is checked against a fixed number of sticks; where sticks come and go the core
    shrinks the cluster with them."""
    context = pool.context
    size: int = pool.value("cluster_size")
    policy, policy_options = policy_of(pool, size)
    if policy.takes_turns and size == 0:
        pool.refuse("policy", because=f"{policy.name} takes turns between clusters; give --cluster-size K too")
    if policy.takes_turns and size * 2 > count and plugin.counted is not None:
        remedy = f"use --cluster-size {count // 2}, or --sticks {size * 2}" if count > 1 else f"use --sticks {size * 2}"
        what = f"{size} of {count} stick{'s' * (count > 1)}"
        if pool.value("backend") == "auto":
            # why no real stick is used goes first, and waiting for one is a remedy too
            cause = "; ".join(context.notices)
            what, remedy = (
                f"{cause}, which counts as {count} stick{'s' * (count > 1)}",
                f"{remedy}, or --backend xlink for real ones",
            )
        pool.refuse("cluster_size", because=f"{what}: at most half may work while the others cool; {remedy}")
    interval_s = pool.value("switch_interval")
    if interval_s > LONG_INTERVAL_S:
        context.notices.append(f"switch interval: {interval_s:g} s are {interval_s / 3600:.1f} h; are milliseconds meant?")
    spec = ClusterSpec(
        cluster_size=size,
        policy=policy.name,
        policy_options=policy_options,
        switch_interval_s=pool.value("switch_interval"),
        switch_temp_c=pool.value("switch_temp"),
        time_scale=getattr(context.root, plugin.name).time_scale if plugin.simulated else 1.0,
        calibrated=calibrated,
    )
    try:
        policies.create(spec)
    except Exception as error:
        # the supervisor makes it again
        pool.refuse("policy", because=f"policy {policy.name} cannot be made: {reason(error)}; {REMEDY}")
    return spec
