"""What a job is made of: the settings of its supervisor, and what makes it the same job when its command is given again."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

from ncs_cluster.errors import ConfigError
from ncs_cluster.jobs import same_graph
from ncs_cluster.jobs.listing import STDIN, Items
from ncs_cluster.jobs.same_graph import sha256
from ncs_cluster.plugins import load, made
from ncs_cluster.processes.ledgered_sink import CAMERA
from ncs_cluster.sinks import SINKS
from ncs_cluster.specs import CameraSpec, GraphSpec, JobSpec, Settings, SinkSpec

LEDGER, LOG = "ledger.sqlite", "run.log"
AHEAD = 8
"""Slots granted in advance: thousands of small pictures per second would wait for the supervisor's next turn otherwise."""
SOURCES_SHOWN = 3
"""SOURCEs that the status of a job names."""


def settings_for(given: argparse.Namespace, folder: Path, runtime_dir: str, settings: Settings) -> Settings:
    """Settings of the supervisor. Raises ConfigError, one line."""
    if len(settings.graphs) != 1:
        raise ConfigError("--graph: a job runs one graph; name it")
    width, height = given.most
    options = {
        "ledger": str(folder / LEDGER),
        "max_width": width,
        "max_height": height,
        "readers": given.readers,
        "strict": given.strict,
        "lock": given.attach,
    }
    try:
        made("ncs_cluster.sources.job:Options", options)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    graph = settings.graphs[0]
    sinks = [_sink(spec, given, folder, graph) for spec in settings.sinks]
    camera = CameraSpec(
        CAMERA,
        "job",
        options,
        "the job's items",
        graphs=[graph.name],
        ordered=True,
        picture="exact",
        ahead=AHEAD,
        resumable=True,
        weight=given.weight if given.attach else 1.0,
        sinks=[sink.name for sink in sinks],
    )
    job = JobSpec(camera, sinks, graph, str(folder), _few(_absolute(given.sources)), started_at=time.time())
    return structs.replace(settings, cameras=[], sinks=[], jobs=[job], gateway=None, runtime_dir=runtime_dir, notices=[])


def _sink(spec: SinkSpec, given: argparse.Namespace, folder: Path, graph: GraphSpec) -> SinkSpec:
    """The sink of one output, which describes the job where it has options for that."""
    fields = load(SINKS.get(spec.kind).options).__dataclass_fields__
    told = {
        "job": True,
        "ledger": str(folder / LEDGER),
        "shard_size": given.shard_size,
        "detector": str(graph.name),
        "attributes": {"graph": str(graph.name), "model": sha256(graph.model), **_layer(graph)},
    }
    options = {**{name: value for name, value in told.items() if name in fields}, **spec.options}
    if given.shard_size and "shard_size" not in fields:
        raise ConfigError(f"--shard-size: the output {spec.kind} has no shards; leave it out")
    try:
        made(SINKS.get(spec.kind).options, options)
    except ValueError as error:
        raise ConfigError(f"--format {spec.kind}: {str(error).replace('shard_size', '--shard-size')}") from error
    return SinkSpec(spec.kind, options, spec.shown, spec.kind, str(folder / LEDGER))


def _layer(graph: GraphSpec) -> dict[str, str]:
    """Which tensor the features are, where that was chosen."""
    return {name: str(graph.decoder_options[name]) for name in ("layer", "output") if graph.decoder_options.get(name)}


def identity(given: argparse.Namespace, graph: GraphSpec) -> dict[str, Any]:
    """What must be the same when the command is given again, under the names that a refusal uses."""
    described = {
        "sources": _absolute(given.sources),
        "graph": same_graph.described(graph),
        "formats": given.formats,
        "size": list(given.most),
        "shard": [given.part, given.parts],
        "shard size": given.shard_size,
    }
    # as the ledger gives it back
    same: dict[str, Any] = json.loads(json.dumps(described))
    return same


def facts(items: Items, sinks: Sequence[SinkSpec]) -> dict[str, Any]:
    """What `ncsctl merge` needs to know of a part: all items of the job, not this part's alone, and the options of its outputs."""
    return {"items": items.count, "names": items.sha256, "outputs": {spec.kind: spec.options for spec in sinks}}


def difference(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """What differs, in words; None: it is the same job."""
    for name in now:
        if before.get(name) == now[name]:
            continue
        if name == "graph":
            was = before[name] if isinstance(before.get(name), dict) else {}
            # an earlier version did not note the weights
            differing = [key for key in now[name] if was.get(key) != now[name][key] and (key != "weights" or key in was)]
            if not differing:
                continue
            return f"the graph's {', '.join(differing)} differ{'s' if len(differing) == 1 else ''}"
        return (
            f"its {name} {'were' if name in ('sources', 'formats') else 'was'} {_words(before.get(name))}, now {_words(now[name])}"
        )
    return None


def _few(sources: Sequence[str]) -> list[str]:
    more = len(sources) - SOURCES_SHOWN
    return [*sources[:SOURCES_SHOWN], *([f"and {more} more"] if more > 0 else [])]


def _absolute(sources: Sequence[str]) -> list[str]:
    return [text if text == STDIN else os.path.abspath(text) for text in sources]


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
