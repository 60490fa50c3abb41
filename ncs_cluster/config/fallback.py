"""The table [fallback]: what works while no stick can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import BackendPlugin
from ncs_cluster.config.context import Context
from ncs_cluster.config.layers import KeyPath
from ncs_cluster.config.request import PoolRequest
from ncs_cluster.config.tables import FallbackTable

FALLBACK = "fallback"
"""Name of its pool."""


class FallbackRequest(PoolRequest):
    """The keys of the fallback's pool."""

    def __init__(self, context: Context, prefix: Optional[str]) -> None:
        """`prefix`: of the ids of its workers; None: the backend's."""
        super().__init__(context)
        self._prefix = prefix

    @property
    def _table(self) -> FallbackTable:
        assert self.context.root.fallback is not None
        return self.context.root.fallback

    def value(self, key: str) -> Any:
        return getattr(self._table, key, None)

    def key(self, key: str) -> KeyPath:
        return (FALLBACK, key)

    @property
    def runtime(self) -> Optional[str]:
        return self._table.runtime

    @property
    def prefix(self) -> Optional[str]:
        return self._prefix

    @property
    def options(self) -> dict[str, Any]:
        return self._table.options

    def option_key(self, backend: str, option: str) -> KeyPath:
        own = (FALLBACK, "runtime") if option == "runtime" else (FALLBACK, "options", option)
        return own if self.context.given(*own) else (backend, option)


def chosen_fallback(context: Context, pools: Sequence[PoolRequest], plugins: Sequence[BackendPlugin]) -> Optional[BackendPlugin]:
    """The fallback's backend; None where there is no fallback. `plugins`: the backends of `pools`."""
    table = context.root.fallback
    if table is None:
        return None
    if table.backend is None and context.given(FALLBACK, "backend"):
        # a wrong value that was left out, so that the other settings are judged
        return None
    if table.backend is None:
        given = min(table.model_fields_set, default="backend")
        context.refuse(FALLBACK, given, because="backend is missing; give backend = 'openvino', or --fallback openvino")
    plugin = BACKENDS.get(table.backend)
    if plugin.counted is None or not plugin.on_host:
        what = "is simulated" if plugin.simulated else "may have no stick"
        context.refuse(FALLBACK, "backend", because=f"{plugin.name} {what}; a fallback computes with this machine: openvino")
    for pool, each in zip(pools, plugins, strict=True):
        if not each.on_host:
            continue
        if pool.value("backend") == "auto":
            context.notices.append("--fallback has nothing to do: this CPU works all the time")
            return None
        where = f"pool {pool.name}" if pool.name else f"--backend {each.name}"
        context.refuse(FALLBACK, "backend", because=f"{where} works with this machine all the time; leave out one of the two")
    return plugin
