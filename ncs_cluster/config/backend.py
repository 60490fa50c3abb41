"""Which backend drives a pool of sticks, and with which options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn, Optional

from pydantic import ValidationError

from ncs_cluster.backends import AUTO, BACKENDS
from ncs_cluster.backends.base import BackendPlugin
from ncs_cluster.backends.sysfs import scan
from ncs_cluster.config.context import Context, refusal
from ncs_cluster.config.layers import KeyPath
from ncs_cluster.config.paths import state_dir
from ncs_cluster.config.request import PoolRequest
from ncs_cluster.config.runtimes import interpreter
from ncs_cluster.config.table import options_table
from ncs_cluster.plugins import call, load, made

BESIDE = {"runtime", "time_scale"}
"""Keys of a backend's table that are no options of its own."""


def chosen(pool: PoolRequest) -> BackendPlugin:
    """The backend of a pool. `auto` looks at the machine; a notice says what was found and chosen."""
    wanted: str = pool.value("backend")
    if wanted != "auto":
        return BACKENDS.get(wanted)
    if (running := _running(pool)) in AUTO:
        # `auto` decides at the daemon's start: a stick plugged in since must not change the backend of a running pool
        return BACKENDS.get(running)
    context, seen = pool.context, ""
    ignored = dict[str, str]()
    *found, last = (BACKENDS.get(name) for name in AUTO)
    for plugin in found:
        if plugin.matched is None:
            continue
        listed = scan(sysfs(context), plugin.matched.usb, context.root.discovery.exclude)
        ports, ignored = list(listed.devices), ignored | listed.ignored
        if not ports:
            continue
        count = f"1 {plugin.matched.device} is" if len(ports) == 1 else f"{len(ports)} {plugin.matched.device}s are"
        seen = f"{count} plugged in (port {', '.join(ports)})"
        obstacle = None if plugin.obstacle is None else call(plugin.obstacle, BackendHost(pool, plugin))
        if obstacle is None:
            context.notices.append(f"{seen}: driven by backend {plugin.name}")
            return plugin
        if obstacle:
            context.notices.append(f"{seen}, but backend {plugin.name} cannot drive any: {obstacle}")
    if seen:
        context.notices.append("working on this CPU")
    elif (waiting := _waited_for(pool, found)) is not None:
        return waiting
    else:
        device = next(plugin.matched.device for plugin in found if plugin.matched is not None)
        cause = [f"port {port} {why}" for port, why in ignored.items()] or [f"no {device} is plugged in"]
        context.notices.append(f"{'; '.join(cause)}: working on this CPU (--backend simulated shows sticks)")
    return last


def _running(pool: PoolRequest) -> str:
    """The backend that drives this pool in the daemon that reads its settings again; empty where there is none."""
    pools = [] if pool.context.running is None else pool.context.running.pools
    for each in pools:
        drives = each.discovery.backend if each.discovery is not None else each.sticks[0].backend if each.sticks else ""
        if each.name == pool.name or (pool.name is None and len(pools) == 1 and each.name == drives):
            return drives
    return ""


def _waited_for(pool: PoolRequest, found: list[BackendPlugin]) -> Optional[BackendPlugin]:
    """With a fallback, the backend that waits for sticks though none is plugged in; None: none could drive one."""
    if pool.context.root.fallback is None:
        return None
    for plugin in found:
        obstacle = None if plugin.obstacle is None else call(plugin.obstacle, BackendHost(pool, plugin))
        if plugin.matched is not None and obstacle is None:
            return plugin
        if obstacle:
            pool.context.notices.append(f"backend {plugin.name} cannot wait for a stick: {obstacle}")
    return None


def options(pool: PoolRequest, plugin: BackendPlugin) -> dict[str, Any]:
    """The options that were set, validated by the backend's dataclass, and those that its `configure` hook adds."""
    host = BackendHost(pool, plugin)
    try:
        made(plugin.options, host.set)
    except ValueError as error:
        option = next((name for name in host.set if name in str(error)), None)
        host.refuse(option, str(error))
    return host.set if plugin.configure is None or pool.context.bare else {**host.set, **call(plugin.configure, host)}


def judge(context: Context, plugin: BackendPlugin, given: dict[str, Any]) -> None:
    """Validate options by the backend's dataclass. An error names the key that set the option."""
    try:
        made(plugin.options, given)
    except ValueError as error:
        context.refuse_options(error, given, plugin.name)


def of_table(context: Context, name: str) -> dict[str, Any]:
    """The options that the table [BACKEND] sets."""
    table: dict[str, Any] = getattr(context.root, name).model_dump(exclude_unset=True, exclude=BESIDE)
    return table


def sysfs(context: Context) -> Path:
    """Where the kernel lists its devices. A wrong path is refused: the daemon would wait for a stick for ever."""
    root = context.path(context.root.discovery.sysfs, "discovery", "sysfs")
    if context.given("discovery", "sysfs") and not root.is_dir():
        context.refuse("discovery", "sysfs", because=f"{root} is no folder; leave it out for the kernel's own, /sys")
    return root


class BackendHost:
    """See backends.base.Host."""

    def __init__(self, pool: PoolRequest, plugin: BackendPlugin) -> None:
        self._pool, self._context, self._plugin = pool, pool.context, plugin
        self.set = {**of_table(pool.context, plugin.name), **_own(pool, plugin)}

    @property
    def state_dir(self) -> Path:
        return Path(state_dir(self._context))

    def given(self, option: str) -> bool:
        return self._context.given(*self._key(option))

    def option(self, name: str) -> Any:
        return self.set[name] if name in self.set else getattr(load(self._plugin.options), name, None)

    def path(self, option: str) -> Path:
        return self._context.path(str(self.option(option)), *self._key(option))

    @property
    def runtime(self) -> str:
        """The name of the [runtimes.NAME] its workers run under."""
        name: str = self._pool.runtime or getattr(self._context.root, self._plugin.name).runtime
        self._context.check_runtime(name, *self._key("runtime"))
        return name

    def interpreter(self) -> tuple[str, dict[str, str]]:
        name = self.runtime
        table = self._context.root.runtimes.get(name)
        python = sys.executable if table is None else interpreter(self._context, name) or table.python
        outside = ("PYTHONHOME", "VIRTUAL_ENV", "PYTHONPATH")
        environment = {key: value for key, value in self._context.environ.items() if key not in outside}
        return python, {**environment, **(table.env if table else {})}

    def refuse(self, option: Optional[str], because: str) -> NoReturn:
        key = self._pool.key("backend") if option is None else self._key(option)
        self._context.refuse(*key, because=because)

    def _key(self, option: str) -> KeyPath:
        return self._pool.option_key(self._plugin.name, option)


def _own(pool: PoolRequest, plugin: BackendPlugin) -> dict[str, Any]:
    """The options that [pools.NAME.options] sets, validated as those of [BACKEND] are."""
    table, given = options_table(plugin.options), pool.options
    try:
        judged: dict[str, Any] = table.model_validate(given).model_dump(exclude_unset=True)
    except ValidationError as error:
        at = {name: pool.option_key(plugin.name, name) for name in given}
        raise refusal(error, pool.context.layers, table, at) from error
    return judged
