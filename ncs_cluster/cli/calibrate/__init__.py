"""ncsctl calibrate: how one stick warms and cools, measured: idle, at full load, idle.

`arguments` reads the command line, `command` runs the steps, `measure` lets the stick work and keeps every reading, `samples` are
those, `fit` finds the figures, `report` says and keeps what was found, `plot` draws it.
"""

from ncs_cluster.cli.calibrate.command import main

__all__ = ["main"]
