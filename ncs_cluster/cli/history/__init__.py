"""ncsctl history: temperatures, rates and events of the last weeks, from the file that the daemon keeps; it need not run.

`command` reads and prints, `plot` draws.
"""

from ncs_cluster.cli.history.command import add

__all__ = ["add"]
