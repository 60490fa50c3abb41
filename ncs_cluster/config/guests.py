"""Guests: graphs that came from a NATS server for jobs. Their folders hold data of strangers, so whatever a graph of the settings
is judged by is asked again, and a decoder is one of this host."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs, to_builtins

from ncs_cluster.config.graph_folder import decoder_options
from ncs_cluster.decoders import DECODERS
from ncs_cluster.errors import ConfigError, format_os_error
from ncs_cluster.fleet import graph_files
from ncs_cluster.fleet.chunk import Malformed
from ncs_cluster.plugins import load, made
from ncs_cluster.provision import blobs
from ncs_cluster.specs import GUEST, GraphSpec
from ncs_cluster.types import GraphName


def read(folder: str, name: str, state: Path, *, blob: bool) -> GraphSpec:
    """`blob`: a backend loads it in place of the model. Raises ConfigError, one line."""
    if GUEST not in name:
        raise ConfigError(f"graph {name}: is no name of a graph of another machine")
    try:
        graph = graph_files.read(folder, GraphName(name))
    except Malformed as error:
        raise ConfigError(f"graph {name}: {error}") from error
    except OSError as error:
        raise ConfigError(f"graph {name}: {format_os_error(error)}") from error
    options = decoder_options(graph.decoder, graph.decoder_options, f"graph {name}")
    plugin = DECODERS.get(graph.decoder)
    outputs = load(plugin.extra_outputs)(made(plugin.options, options)) if plugin.extra_outputs else []
    if to_builtins(options) != graph.decoder_options or outputs != graph.extra_outputs or 0.0 in graph.scale:
        raise ConfigError(f"graph {name}: its decoder {graph.decoder} is another one here; install one version on both machines")
    graph = structs.replace(graph, decoder_options=options)
    if not blob:
        return graph
    found = blobs.find(graph, state)
    if found is None:
        remedy = "compile it where the command runs: ncsctl graphs compile"
        raise ConfigError(f"graph {name}: it comes without a blob, which the sticks of this host need; {remedy}")
    return structs.replace(graph, blob=str(found))
