"""`ncsctl graphs pull`: a public model becomes a graph folder."""

from __future__ import annotations

import argparse

from ncs_cluster.cli.graphs.settings import GraphSettings
from ncs_cluster.cli.graphs.text import print_progress


def run(given: argparse.Namespace) -> int:
    from ncs_cluster.cli.progress import progress
    from ncs_cluster.provision import catalogue

    folder = catalogue.pull(given.name, GraphSettings(given).state, mirror=given.mirror, say=print_progress, progress=progress())
    print(f"{folder}: run it with --graph {given.name}; for sticks compile it first: ncsctl graphs compile {given.name}")
    return 0
