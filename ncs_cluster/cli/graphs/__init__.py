"""`ncsctl graphs list`, `check`, `compile` and `pull`: the graphs sticks run, and their blobs."""

from ncs_cluster.cli.graphs.arguments import add

__all__ = ["add"]
