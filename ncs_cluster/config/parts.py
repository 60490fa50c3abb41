"""Settings part by part, for `ncsctl doctor`: a refused part does not hide the faults of the others.

Requirements on this machine (firmware, interpreters that start) are not checked, and no process is started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from ncs_cluster.backends.base import BackendPlugin
from ncs_cluster.config.backend import chosen
from ncs_cluster.config.cameras import cameras
from ncs_cluster.config.context import Context
from ncs_cluster.config.faults import right_keys
from ncs_cluster.config.flags import parse
from ncs_cluster.config.graphs import graphs
from ncs_cluster.config.intakes import intakes
from ncs_cluster.config.listen import gateway
from ncs_cluster.config.merged import merged
from ncs_cluster.config.mqtt import mqtt
from ncs_cluster.config.nats import nats
from ncs_cluster.config.notify import notify
from ncs_cluster.config.paths import runtime_dir, state_dir
from ncs_cluster.config.pools import pools
from ncs_cluster.config.request import requests
from ncs_cluster.config.runtimes import interpreter
from ncs_cluster.config.sinks import sinks
from ncs_cluster.errors import ConfigError, format_os_error
from ncs_cluster.specs import CameraSpec, GraphSpec, RuntimeSpec, Settings, SinkSpec

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
    plugins = part("sticks", lambda: [chosen(pool) for pool in requests(context)], list[BackendPlugin]())
    seen = part("cameras", lambda: cameras(context), list[CameraSpec]())
    page = part("listen", lambda: gateway(context), None)
    found = part("graphs", lambda: graphs(context, plugins, seen), list[GraphSpec]())
    here = part("runtime_dir", lambda: runtime_dir(context), "")
    return Parts(
        Settings(
            pools=part("sticks", lambda: pools(context)[0], []),
            graphs=found,
            cameras=seen,
            runtimes=part("runtimes", lambda: _runtimes(context), {}),
            runtime_dir=here,
            state_dir=part("state_dir", lambda: state_dir(context), ""),
            sinks=[
                *part("results", lambda: sinks(context), list[SinkSpec]()),
                *part("mqtt", lambda: mqtt(context, seen, found, page, here), list[SinkSpec]()),
                *part("notify", lambda: notify(context, here), list[SinkSpec]()),
                *part("nats", lambda: nats(context, page, here), list[SinkSpec]()),
            ],
            gateway=page,
            # without a graph each protocol is refused for want of one, which is said already
            intakes=[] if "graphs" in refused else part("frigate", lambda: intakes(context, found), []),
        ),
        refused,
        wanted,
        layers.file and layers.file.name,
    )


def _runtimes(context: Context) -> dict[str, RuntimeSpec]:
    return {
        name: RuntimeSpec(python=interpreter(context, name) or table.python, env=dict(table.env))
        for name, table in context.root.runtimes.items()
    }
