"""Drained hosts: they take no work of the fleet, until they are returned. A stream at the NATS server holds a message for each of
them, in the server's files, so it outlives the host and the server; work of the fleet comes over the same server, so a host that
cannot read it gets none.

    ncs_drained   ncs.drained.NODE

Runs on CPython 3.9.
"""

from __future__ import annotations

import json
from typing import FrozenSet, Optional

import msgspec
from msgspec import Struct

from ncs_cluster.fleet.address import NODE
from ncs_cluster.fleet.bucket import MOST_HOSTS, NOT_FOUND, Fault, Info, Written, answered, said
from ncs_cluster.fleet.connection import Connection, Unusable

STREAM, PREFIX = "ncs_drained", "ncs.drained."
INFO, CREATE, PURGE = (f"$JS.API.STREAM.{word}.{STREAM}" for word in ("INFO", "CREATE", "PURGE"))
GET = f"$JS.API.DIRECT.GET.{STREAM}.{PREFIX}"
CONFIGURATION = {
    "name": STREAM,
    "description": "hosts of ncs_cluster that take no work of others",
    "subjects": [f"{PREFIX}*"],
    "retention": "limits",
    "storage": "file",
    "discard": "new",
    "num_replicas": 1,
    "max_msgs_per_subject": 1,
    "max_bytes": 1 << 20,
    "max_msg_size": 1024,
    "allow_direct": True,
}


class _Purged(Struct, frozen=True):
    error: Optional[Fault] = None
    purged: int = 0


async def is_drained(connection: Connection, node: str) -> bool:
    """Whether a host may take no work of the fleet; asked before it takes some. Raises Unusable."""
    answer = await connection.ask(GET + node, b"")
    # without the stream nobody serves its subject: no host was ever drained
    return answer is not None and "Status" not in answer.headers


async def drained(connection: Connection) -> FrozenSet[str]:
    """The names of all drained hosts. Raises Unusable."""
    info = answered(await connection.ask(INFO, json.dumps({"subjects_filter": f"{PREFIX}*"}).encode()), Info)
    if info.error is not None and info.error.code == NOT_FOUND:
        return frozenset()
    if info.error is not None:
        raise Unusable(said(info.error))
    names = [subject[len(PREFIX) :] for subject in info.state.subjects or {} if subject.startswith(PREFIX)]
    return frozenset(sorted(filter(NODE.fullmatch, names))[:MOST_HOSTS])


async def drain(connection: Connection, node: str) -> None:
    """Raises Unusable."""
    answer = await connection.ask(PREFIX + node, b"{}")
    if answer is None:
        made = answered(await connection.ask(CREATE, msgspec.json.encode(CONFIGURATION)), Info)
        if made.error is not None:
            raise Unusable(said(made.error))
        answer = await connection.ask(PREFIX + node, b"{}")
    written = answered(answer, Written)
    if written.error is not None:
        raise Unusable(said(written.error))


async def give_back(connection: Connection, node: str) -> bool:
    """End the drain of a host. False: it was not drained. Raises Unusable."""
    done = answered(await connection.ask(PURGE, json.dumps({"filter": PREFIX + node}).encode()), _Purged)
    if done.error is not None and done.error.code == NOT_FOUND:
        return False
    if done.error is not None:
        raise Unusable(said(done.error))
    return done.purged > 0
