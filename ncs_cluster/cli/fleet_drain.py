"""What `ncsctl fleet drain` and `fleet return` do: take a host out of the work of the fleet, as for an upgrade, and put it back."""

from __future__ import annotations

import argparse
import asyncio
import time

from ncs_cluster.cli.fleet_server import asked
from ncs_cluster.cli.text import printable
from ncs_cluster.errors import ConfigError
from ncs_cluster.fleet import drained
from ncs_cluster.fleet.address import NODE
from ncs_cluster.fleet.bucket import Host, read
from ncs_cluster.fleet.connection import Connection
from ncs_cluster.fleet.entry import Entry

CONFIRMED_S = 15.0
"""A host reads whether it is drained with each entry, every 5 s."""
AGAIN_S = 0.5


def drain(given: argparse.Namespace) -> int:
    """Exit code 0 once the host says that it is drained, or is not there; 1 where it does not say so. Raises as `asked`."""
    return _change(given, True)


def give_back(given: argparse.Namespace) -> int:
    """As `drain`."""
    return _change(given, False)


def _change(given: argparse.Namespace, away: bool) -> int:
    node = given.host
    if not NODE.fullmatch(node):
        raise ConfigError(f"{printable(node)} is no name of a host: letters, digits, _ and - only, 64 at most")

    async def change(connection: Connection) -> tuple[bool, Host | None]:
        changed = True
        if away:
            await drained.drain(connection, node)
        else:
            changed = await drained.give_back(connection, node)
        return changed, await _confirmed(connection, node, away)

    changed, host = asked(given, change, CONFIRMED_S + 20.0)
    if not away and not changed:
        print(f"{node} was not drained")
        return 0
    said = "is drained: it takes no chunks of jobs and no frames of other hosts" if away else "takes work of the fleet again"
    if host is None or host.gone:
        print(f"{node} {said}, once it is there: no host of this name is announced at present")
        return 0
    if isinstance(host.entry, Entry) and host.entry.drained is away:
        print(f"{node} {said}")
        return 0
    print(
        f"{node} has not told so within {CONFIRMED_S:.0f} s: its version is older, or it may not read "
        f"ncs.drained.{node} (docs/fleet.md, rights)"
    )
    return 1


async def _confirmed(connection: Connection, node: str, away: bool) -> Host | None:
    """The host, once it tells what is wanted or after CONFIRMED_S; None: it is not there."""
    until_s = time.monotonic() + CONFIRMED_S
    while True:
        host = next((each for each in (await read(connection)).hosts if each.node == node), None)
        told = host is not None and isinstance(host.entry, Entry) and host.entry.drained is away
        if host is None or host.gone or told or time.monotonic() > until_s:
            return host
        await asyncio.sleep(AGAIN_S)
