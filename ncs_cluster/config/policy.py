"""The policy of a pool, and its options."""

from __future__ import annotations

from typing import Any, Optional

from pydantic import ValidationError

from ncs_cluster.config.context import refusal
from ncs_cluster.config.request import PoolRequest
from ncs_cluster.config.table import options_table
from ncs_cluster.config.tables import PolicyTable
from ncs_cluster.errors import ConfigError
from ncs_cluster.plugins import made
from ncs_cluster.policies import POLICIES
from ncs_cluster.policies.base import PolicyPlugin

TURNS, NO_TURNS = "ring", "predictive"
"""Policies where none is named, with a cluster size and without one."""


def policy_of(pool: PoolRequest, cluster_size: int) -> tuple[PolicyPlugin, dict[str, Any]]:
    """The policy, and the options that were set, validated by its dataclass."""
    table: PolicyTable = pool.value("policy") or PolicyTable()
    at, given = pool.key("policy"), table.model_extra or {}
    try:
        plugin = POLICIES.get(table.name or (TURNS if cluster_size else NO_TURNS))
    except ConfigError as error:
        pool.refuse("policy", because=str(error))
    options = options_table(plugin.options, name=(Optional[str], None))
    try:
        judged = options.model_validate(given).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise refusal(error, pool.context.layers, options, {name: (*at, name) for name in given}) from error
    try:
        made(plugin.options, judged)
    except ValueError as error:
        pool.context.refuse_options(error, judged, *at)
    return plugin, judged
