"""Settings part by part, for `ncsctl doctor`: a refused part does not hide the faults of the others.

Requirements on this machine (firmware, interpreters that start) are not checked, and no process is started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from ncs_cluster.backends.base import BackendPlugin
from ncs_cluster.config.assembled import assembled, going_on, graphs_of, whole
from ncs_cluster.config.backend import chosen
from ncs_cluster.config.cameras import cameras
from ncs_cluster.config.climate import ambient, fan
from ncs_cluster.config.context import Context
from ncs_cluster.config.faults import right_keys
from ncs_cluster.config.flags import parse
from ncs_cluster.config.intakes import intakes
from ncs_cluster.config.listen import gateway
from ncs_cluster.config.merged import merged
from ncs_cluster.config.mqtt import mqtt
from ncs_cluster.config.nats import nats
from ncs_cluster.config.notify import notify
from ncs_cluster.config.overflow import receiver, sender
from ncs_cluster.config.paths import runtime_dir, state_dir
from ncs_cluster.config.pools import pools
from ncs_cluster.config.request import requests
from ncs_cluster.config.runtimes import interpreter, runtimes
from ncs_cluster.config.sinks import sinks
from ncs_cluster.errors import ConfigError, format_os_error
from ncs_cluster.specs import FallbackSpec, PoolSpec, RuntimeSpec, Settings

T = TypeVar("T")


class Parts(NamedTuple):
    settings: Settings
    """A refused part is empty."""
    refused: dict[str, str]
    """Part -> the line that refuses it: "settings" where nothing could be read, "key 1" ... for keys that are left out, else
    "cameras", "graphs", "listen" ..."""
    wanted: list[str]
    """Backends of the pools, as they are asked for; "auto" is one."""
    file: str | None
    """The settings' file."""


def parts(argv: Sequence[str], environ: Mapping[str, str]) -> Parts:
    """As `load`; nothing is raised but SystemExit by --help and --version."""
    refused: dict[str, str] = {}

    def part(name: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except ConfigError as error:
            refused[name] = str(error)
        except OSError as error:
            refused[name] = format_os_error(error)
        return otherwise

    layers = part("settings", lambda: merged(parse(argv), environ), None)
    if layers is None:
        return Parts(Settings([], [], [], {}, "", ""), refused, [], None)
    root, wrong = right_keys(layers)
    refused.update((f"key {number}", line) for number, line in enumerate(wrong, 1))
    if root is None:
        return Parts(Settings([], [], [], {}, "", ""), refused, [], layers.file and layers.file.name)
    context = Context(root, layers, environ, bare=True)
    wanted = [str(pool.value("backend")) for pool in requests(context)]

    def attempt(read: Callable[..., Any], *given: Any) -> Any:
        if read is going_on:
            # the results of an earlier run are no part of the settings
            return given[1]
        if read is whole:
            return whole(*given)
        name, empty = EMPTY[read]
        if read in (intakes, receiver, sender) and "graphs" in refused:
            # each would be refused for want of a graph, which is said already
            return empty(context)
        return part(name, lambda: (_runtimes if read is runtimes else read)(*given), empty(context))

    return Parts(assembled(context, attempt), refused, wanted, layers.file and layers.file.name)


def _no_pools(context: Context) -> tuple[list[PoolSpec], FallbackSpec | None, list[BackendPlugin]]:
    """No pool, and the backends that are asked for, by which the graphs are judged."""
    try:
        return [], None, [chosen(pool) for pool in requests(context)]
    except ConfigError:
        return [], None, []


EMPTY: dict[Callable[..., Any], tuple[str, Callable[[Context], Any]]] = {
    pools: ("sticks", _no_pools),
    runtimes: ("runtimes", lambda _: {}),
    cameras: ("cameras", lambda _: []),
    sinks: ("results", lambda _: []),
    gateway: ("listen", lambda _: None),
    graphs_of: ("graphs", lambda _: []),
    runtime_dir: ("runtime_dir", lambda _: ""),
    state_dir: ("state_dir", lambda _: ""),
    fan: ("fan", lambda _: None),
    ambient: ("ambient", lambda _: None),
    intakes: ("frigate", lambda _: []),
    mqtt: ("mqtt", lambda _: []),
    notify: ("notify", lambda _: []),
    nats: ("nats", lambda _: []),
    sender: ("overflow", lambda _: None),
    receiver: ("overflow", lambda _: []),
}
"""How each part is called in Parts.refused, and what it is where it is refused."""


def _runtimes(context: Context) -> dict[str, RuntimeSpec]:
    return {
        name: RuntimeSpec(python=interpreter(context, name) or table.python, env=dict(table.env))
        for name, table in context.root.runtimes.items()
    }
