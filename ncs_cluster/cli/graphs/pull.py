"""`ncsctl graphs pull`: a public model becomes a graph folder."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ncs_cluster.cli.graphs.settings import GraphSettings
from ncs_cluster.cli.graphs.text import print_lines, print_progress
from ncs_cluster.cli.text import Cell, printable, table
from ncs_cluster.errors import NcsClusterError

if TYPE_CHECKING:
    from ncs_cluster.config.catalogue import Catalogue


def run(given: argparse.Namespace) -> int:
    """Without a name: print the catalogue."""
    from ncs_cluster.config.catalogue import Catalogue

    catalogue = Catalogue(given.catalogue)
    if given.name is None:
        return _print_catalogue(catalogue)
    from ncs_cluster.cli.progress import progress
    from ncs_cluster.config import graph_folder
    from ncs_cluster.provision.catalogue import pull

    model = catalogue.model(given.name)
    folder = pull(model, GraphSettings(given).state, mirror=given.mirror, say=print_progress, progress=progress())
    graph_folder.read(folder, model.name, None)
    print(f"{folder}: run it with --graph {model.name}; for sticks compile it first: ncsctl graphs compile {model.name}")
    return 0


def _print_catalogue(catalogue: Catalogue) -> int:
    rows = []
    for name in catalogue.names:
        try:
            model = catalogue.model(name)
        except NcsClusterError as error:
            rows.append([Cell(printable(name)), Cell(printable(str(error)), "bad"), Cell(""), Cell("")])
            continue
        licence = model.licence.partition(",")[0]
        rows.append([Cell(name), Cell(model.about), Cell(f"{model.size / 1e6:.1f} MB"), Cell(licence)])
    print_lines(table(["MODEL", "FINDS", "SIZE", "LICENCE"], rows))
    return 0
