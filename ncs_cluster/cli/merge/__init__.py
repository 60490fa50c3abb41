"""ncsctl merge: the outputs of a whole job, made of those of its parts.

The parts are the folders of a job that was divided among machines (`--shard`), or the one folder of a job whose outputs were
divided into numbered files (`--shard-size`). They are only read; each output gets its name when it is whole.
"""

from ncs_cluster.cli.merge.command import main

__all__ = ["main"]
