"""`ncsctl support-bundle FILE.tar.gz`: what a helper needs to know of an installation, without its secrets."""

from ncs_cluster.cli.support.command import add

__all__ = ["add"]
