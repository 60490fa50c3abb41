"""ncsctl config: judge settings without a daemon, and show what each key is set to and by what."""

from ncs_cluster.cli.config.command import main

__all__ = ["main"]
