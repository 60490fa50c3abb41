"""The table [overflow]: frames for other hosts of the fleet, and frames of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Optional

import msgspec

from ncs_cluster.backends import BACKENDS, NEIGHBOURS
from ncs_cluster.config.context import Context
from ncs_cluster.config.nats import fleet
from ncs_cluster.config.peripheral_tables import OverflowTable
from ncs_cluster.plugins import made
from ncs_cluster.specs import ClusterSpec, GraphSpec, IntakeSpec, OverflowIntakeSpec, OverflowSpec, PoolSpec, StickSpec
from ncs_cluster.types import StickId

POOL = INTAKE = "overflow"
"""Names of the pool that stands for neighbours, and of the intake of their frames."""
MBIT = 1e6 / 8


def sender(
    context: Context, graphs: Collection[GraphSpec], driven: tuple[list[PoolSpec], object, object]
) -> Optional[OverflowSpec]:
    """None where no frame is sent. `driven`: what `pools` gives."""
    table = _table(context, graphs, "send")
    if table is None:
        return None
    if any(pool.name == POOL for pool in driven[0]):
        context.refuse("pools", POOL, because=f'"{POOL}" is the name of the pool of --overflow; give this pool another one')
    options = {
        **_place(context),
        "deadline_ms": table.deadline_ms,
        "bytes_per_s": table.link_mbit * table.link_share * MBIT,
        "in_flight": table.in_flight,
        "quality": table.quality,
    }
    plugin = BACKENDS.get(NEIGHBOURS)
    made(plugin.options, options)
    assert plugin.counted is not None
    url = str(options["url"])
    stick = StickSpec(StickId(f"{plugin.counted.prefix}-1"), plugin.counted.port.format(url=url), plugin.name, options, pool=POOL)
    return OverflowSpec(PoolSpec(ClusterSpec(), [stick], name=POOL), url)


def receiver(context: Context, graphs: list[GraphSpec]) -> list[IntakeSpec]:
    """One intake, or none where no frame is taken."""
    table = _table(context, graphs, "receive")
    if table is None:
        return []
    spec = OverflowIntakeSpec(**_place(context))
    return [IntakeSpec(INTAKE, msgspec.to_builtins(spec), spec.url, table.weight)]


def _table(context: Context, graphs: Collection[GraphSpec], role: str) -> Optional[OverflowTable]:
    """The table, where it has this role or both. Raises ConfigError where it cannot have it."""
    table = context.root.overflow
    if table is None or context.job:
        return None
    if table.role is None:
        given = min(table.model_fields_set, default="role")
        context.refuse("overflow", given, because='role is missing; give role = "send", "receive" or "both", or --overflow ROLE')
    if context.root.nats is None:
        context.refuse("overflow", "role", because="hosts find each other at a NATS server; give --nats nats://HOST too")
    if not graphs:
        context.refuse("overflow", "role", because="there is no graph, by which hosts know what to do with a frame; give a --graph")
    return table if table.role in (role, "both") else None


def _place(context: Context) -> dict[str, Any]:
    table = context.root.nats
    assert table is not None
    checked = fleet(context, table)
    # the secrets themselves stay out of what is shown of sticks and intakes: their processes read the files
    files = {
        name: None if (text := getattr(table, name)) is None else str(context.path(text, "nats", name))
        for name in ("password_file", "nkey_file", "credentials_file")
    }
    return {**{name: checked[name] for name in ("url", "node", "user", "ca_file")}, **files}
