"""`ncsctl graphs list`: the graphs that have a name."""

from __future__ import annotations

import argparse

from ncs_cluster.cli.graphs.settings import GraphSettings
from ncs_cluster.cli.graphs.text import few_labels, input_size, print_lines
from ncs_cluster.cli.text import Cell, printable, table
from ncs_cluster.errors import NcsClusterError


def run(given: argparse.Namespace) -> int:
    from ncs_cluster.provision import blobs

    settings = GraphSettings(given)
    rows = []
    for name, (_, where) in settings.folders().items():
        try:
            graph = settings.read(name)
        except NcsClusterError as error:
            rows.append([Cell(printable(name)), Cell(where), Cell(printable(str(error)), "bad")])
            continue
        recipe = blobs.Recipe.of(graph)
        found = blobs.find(graph, settings.state)
        state = "outdated" if blobs.outdated(recipe) else "none"
        if found is not None:
            state = "beside the model" if found.parent == recipe.model.parent else "compiled"
        size = sum(path.stat().st_size for path in (recipe.model, recipe.weights) if path is not None and path.exists())
        rows.append(
            [
                Cell(printable(name)),
                Cell(where),
                Cell(graph.decoder),
                Cell(input_size(recipe.model)),
                Cell(few_labels(graph.labels)),
                Cell(f"{size / 1e6:.1f} MB"),
                Cell(state, "" if found is not None else "warn"),
            ]
        )
    print_lines(
        table(["GRAPH", "FROM", "DECODER", "INPUT", "LABELS", "SIZE", "BLOB"], [row + [Cell("")] * (7 - len(row)) for row in rows])
    )
    return 0
