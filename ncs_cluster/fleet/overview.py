"""All hosts at once, as `ncsctl fleet status --json` and the page of hosts have them."""

from __future__ import annotations

from typing import Any, Dict

import msgspec

from ncs_cluster.fleet.bucket import Hosts, read
from ncs_cluster.fleet.connection import Connection, Unusable, is_forbidden
from ncs_cluster.fleet.drained import drained
from ncs_cluster.fleet.entry import Entry


async def look(connection: Connection) -> Hosts:
    """All hosts, with those that shall be drained. Raises Unusable."""
    try:
        away = await drained(connection)
    except Unusable as error:
        if not is_forbidden(error):
            raise
        # with the rights of an older version a reader knows what the hosts say of themselves
        away = frozenset()
    return (await read(connection))._replace(drained=away)


def document(found: Hosts) -> Dict[str, Any]:
    """For JSON. Fields may be added, never renamed."""
    hosts = []
    for host in found.hosts:
        told = msgspec.to_builtins(host.entry) if isinstance(host.entry, Entry) else None
        other = None if isinstance(host.entry, Entry) else {"protocol": host.entry.protocol, "version": host.entry.version}
        hosts.append(
            {
                "node": host.node,
                "age_s": round(host.age_s, 1),
                "gone": host.gone,
                "drained": host.node in found.drained,
                "entry": told,
                "unreadable": other,
            }
        )
    return {"hosts": hosts, "left_out": found.left_out}
