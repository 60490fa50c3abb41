"""The keyword arguments of Cluster as flags of ncs-clusterd, which `config` judges."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ncs_cluster.errors import ConfigError

KNOWN = ("graph", "backend", "sticks", "threshold", "cluster_size", "config", "settings", "log")
REMEDY = 'name a folder or a pulled graph; "demo" knows only the synthetic scene, "none" runs no graph'


def refuse_unknown(given: Iterable[str]) -> None:
    """Raises ConfigError for the first name, with the known one that is nearest."""
    for name in given:
        near = difflib.get_close_matches(name, KNOWN, 1)
        remedy = f"did you mean {near[0]}?" if near else f'known: {", ".join(KNOWN)}; other keys go into settings={{"KEY": value}}'
        raise ConfigError(f"Cluster: unknown argument {name}; {remedy}")


def flags(
    graph: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None,
    config: str | os.PathLike[str] | None,
    settings: Mapping[str, Any],
    **single: Any,
) -> list[str]:
    """The flags, those whose value is None left out. Raises ConfigError for a value that cannot be written as one."""
    argv = ["--no-web", "--log-level=warning"]
    graphs = [] if graph is None else [graph] if isinstance(graph, (str, os.PathLike)) else list(graph)
    if not graphs and config is None and "graph" not in settings and "NCS_CLUSTER_GRAPH" not in os.environ:
        raise ConfigError(f"graph: is missing; {REMEDY}")
    for each in graphs:
        argv.append(f"--graph={os.fspath(each)}")
    if config is not None:
        argv.append(f"--config={os.fspath(config)}")
    for name, value in single.items():
        if value is not None:
            argv.append(f"--{name.replace('_', '-')}={_text(name, value)}")
    for key, value in settings.items():
        argv.append(f"--set={key}={_text(f'settings[{key!r}]', value)}")
    return argv


def _text(name: str, value: object) -> str:
    """As a flag has it; a list as TOML, which JSON's lists of texts and numbers are."""
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    if isinstance(value, (bool, list, tuple)):
        return json.dumps(value)
    if isinstance(value, (int, float)) or hasattr(value, "__float__"):
        return str(value)
    raise ConfigError(f"{name}: is a {type(value).__name__}; give text, a number, true or false, or a list of these")
