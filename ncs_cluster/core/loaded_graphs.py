"""The graphs that a worker has loaded, compared with those in the settings. A graph is known by its name."""

from __future__ import annotations

from collections.abc import Sequence

from ncs_cluster.specs import GraphSpec

LIVE_GRAPH_FIELDS = {"threshold", "labels", "decoder_options"}
"""Fields of a GraphSpec that a worker applies to a loaded graph."""


def model(graph: GraphSpec) -> list[object]:
    """The fields of a graph on which its loaded model depends."""
    return [getattr(graph, name) for name in graph.__struct_fields__ if name not in LIVE_GRAPH_FIELDS]


def has_all(loaded: Sequence[GraphSpec], wanted: Sequence[GraphSpec]) -> bool:
    """Every wanted graph is loaded, with its present model. What is loaded besides costs memory alone."""
    models = {graph.name: model(graph) for graph in loaded}
    return all(models.get(graph.name) == model(graph) for graph in wanted)


def changed(loaded: Sequence[GraphSpec], wanted: Sequence[GraphSpec]) -> list[GraphSpec]:
    """The loaded graphs, in their order, with the thresholds, labels and decoder options that are wanted. One that is not wanted
    any more, or with another model, keeps its own: they belong to its model."""
    by_name = {graph.name: graph for graph in wanted}
    new = [by_name.get(graph.name, graph) for graph in loaded]
    return [after if model(after) == model(before) else before for before, after in zip(loaded, new, strict=True)]
