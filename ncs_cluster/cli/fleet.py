"""`ncsctl fleet status`, as the command line has it."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ncs_cluster.cli import options

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    fleet = command("fleet", lambda _: 2, "the hosts at a NATS server")
    sentence = "hosts with their sticks, heat and rates; exit code 0 when all are healthy, 1 when not"
    status = fleet.add_subparsers(metavar="WHAT", required=True).add_parser(
        "status", parents=[options.runtime_dir()], help=sentence, description=sentence[0].upper() + sentence[1:] + "."
    )
    status.set_defaults(run=_status)
    status.add_argument("--json", action="store_true", help="every field of every host")
    status.add_argument("--nats", metavar="URL", help="nats://HOST[:PORT] or tls://HOST[:PORT]; without it: as [nats] says")
    status.add_argument("--user", metavar="NAME", help="to log in with; wants a --password-file")
    status.add_argument("--password-file", metavar="FILE", help="a file that holds the password alone, not world-readable")
    status.add_argument("--ca-file", metavar="FILE", help="the authority that has signed the server's certificate")
    status.add_argument("--config", metavar="FILE", help="settings whose [nats] is used; without it: as for ncs-clusterd")


def _status(given: argparse.Namespace) -> int:
    # imported here: other commands do not pay for an event loop
    from ncs_cluster.cli import fleet_status

    return fleet_status.run(given)
