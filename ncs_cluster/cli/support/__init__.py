"""`ncsctl support-bundle FILE.tar.gz`: the facts of an installation for a bug report, without its secrets."""

from ncs_cluster.cli.support.command import add

__all__ = ["add"]
