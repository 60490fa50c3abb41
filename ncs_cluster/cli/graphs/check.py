"""`ncsctl graphs check`: what a graph and its blob are, and whether the backend can run them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ncs_cluster.cli.graphs.settings import GraphSettings
from ncs_cluster.cli.graphs.text import blob_lines, blob_of, numbers, print_lines
from ncs_cluster.cli.text import Cell, printable
from ncs_cluster.errors import NcsClusterError

if TYPE_CHECKING:
    from ncs_cluster.specs import GraphSpec


def run(given: argparse.Namespace) -> int:
    settings = GraphSettings(given)
    path = Path(given.what)
    if path.suffix == ".blob":
        print_lines(blob_lines(path, blob_of(path)))
        return 0
    from msgspec import structs

    from ncs_cluster.provision import blobs

    graph = settings.read(given.what)
    head = [("graph", f"{graph.name}, decoder {graph.decoder}, {len(graph.labels)} labels, threshold {graph.threshold:g}")]
    head.append(("model", graph.model))
    arithmetic = f"{graph.colour}, {graph.resize}, (x - {numbers(graph.mean)}) / {numbers(graph.scale)}"
    print_lines([[Cell(f"{word:<8}", "dim"), Cell(printable(text))] for word, text in [*head, ("pixels", arithmetic)]])
    found = blobs.find(graph, settings.state)
    if found is None:
        return _check_model(graph, given.what, stick=settings.needs_blob())
    print_lines(blob_lines(found, blob_of(found)))
    from ncs_cluster.processes import preflight

    # the check that the daemon makes before it starts
    if (problem := preflight.unfit([structs.replace(graph, blob=str(found))])) is not None:
        raise NcsClusterError(problem)
    return 0


def _check_model(graph: GraphSpec, what: str, *, stick: bool) -> int:
    """Check a graph without a blob. `stick`: only a stick will do. Raises NcsClusterError."""
    import importlib.util

    from ncs_cluster.backends import ON_CPU
    from ncs_cluster.processes import preflight
    from ncs_cluster.provision import blobs, compile

    runs_here = importlib.util.find_spec("openvino") is not None
    if runs_here and (problem := preflight.check([graph], ON_CPU)) is not None:
        raise NcsClusterError(problem)
    recipe = blobs.Recipe.of(graph)
    why = "the blob beside its model is of another model" if blobs.outdated(recipe) else "it has no blob"
    remedy = f"make one with: ncsctl graphs compile {what}"
    try:
        compile.judge(recipe)
    except compile.CompileError as error:
        remedy = f"none can be made: {error}"
    if stick or not runs_here:
        raise NcsClusterError(f"{what}: {why}, so no stick can run it; {remedy}")
    for word, text in (("runs", "on this CPU"), ("sticks", f"{why}; {remedy}")):
        print_lines([[Cell(f"{word:<8}", "dim"), Cell(printable(text))]])
    return 0
