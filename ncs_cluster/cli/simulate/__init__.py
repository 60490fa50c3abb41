"""ncsctl simulate: what a policy makes of so many sticks in such a room, in the thermal laboratory.

`arguments` reads the command line, `command` runs the trials and prints their table, `plot` draws them.
"""

from ncs_cluster.cli.simulate.command import main

__all__ = ["main"]
