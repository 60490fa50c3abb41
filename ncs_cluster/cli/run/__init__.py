"""ncsctl run: detect, classify or extract over files, each item exactly once, resumable.

The command lists the items in the job's ledger, runs a supervisor with one ordered stream from them, shows how far it is, and gives
the outputs their final form. It may be killed at any moment: the same command goes on.
"""

from ncs_cluster.cli.run.command import main

__all__ = ["main"]
