"""ncsctl bench: serial, threads, processes and the cluster's queue, measured on the user's own devices, graph and pictures.

Each mode is a program of its own that `session` starts and `measure` times; `summary` makes figures of the runs, which `table`,
`plot` and `recommendation` show.
"""

from ncs_cluster.cli.bench.command import main

__all__ = ["main"]
