"""What a job's folder remembers of its offer at a NATS server, and how that is removed there. A job that was begun over hosts may
be finished in another way, on another day."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import msgspec
from msgspec import Struct, structs

from ncs_cluster.cli.fleet_server import LONGEST_S, server_at
from ncs_cluster.cli.run.chunking import has_films
from ncs_cluster.cli.run.prepared import OVER_HOSTS
from ncs_cluster.errors import ConfigError
from ncs_cluster.fleet.connection import Server, Unusable, connected
from ncs_cluster.fleet.open_jobs import withdraw
from ncs_cluster.jobs.ledger import Ledger


class Offered(Struct, frozen=True):
    """An offer that may be at a server still."""

    job: str
    """What the job is called there: a name that no other one has had."""
    size: int
    """Pictures of its chunks."""
    carry: bool = False
    """Its files are sent."""
    divides: bool = False
    """Its films are done in parts."""
    retry: int = 0
    """The pass over its frames, as the ledger has it."""
    url: str | None = None
    """Of the server, without secrets; None: kept by an older version."""


def offered(ledger: Ledger) -> Offered | None:
    """The offer that a job's ledger remembers; None: the job was never offered, or its offer is removed. Raises ConfigError."""
    if (text := ledger.kept(OVER_HOSTS)) is None:
        return None
    try:
        return msgspec.json.decode(text, type=Offered)
    except msgspec.DecodeError as error:
        raise ConfigError("the ledger of the job is damaged; remove its folder to begin anew") from error


def keep(ledger: Ledger, server: Server, carry: bool, size: Callable[[Ledger], int]) -> tuple[Offered, str | None]:
    """The offer of a job, the same for every command of it; one at another server, of another pass, or one that sends the files
    after one that did not, begins anew. Also what that has left behind, one line; None: nothing. `size`: pictures of a chunk."""
    url, before, left = str(server.address), offered(ledger), None
    if before is not None and ((before.carry, before.retry) != (carry, ledger.retry) or before.url not in (None, url)):
        left = _remove(before, server if before.url in (None, url) else server_at(str(before.url)))
        before = None
    # each part would carry the whole film
    divides = not carry and has_films(ledger)
    made = Offered(os.urandom(10).hex(), size(ledger), carry, divides, ledger.retry) if before is None else before
    made = structs.replace(made, url=url)
    if made != before:
        ledger.keep(OVER_HOSTS, msgspec.json.encode(made).decode())
    return made, left


def remove(ledger: Ledger, server: Server | None = None) -> str | None:
    """Remove what a server has of a job that is done. `server`: where it is known with its login; else the one that the folder
    remembers, as the settings log in there. Returns why that was not possible and what to do, one line; None: nothing is left."""
    try:
        known = offered(ledger)
    except ConfigError:
        ledger.forget(OVER_HOSTS)
        return "a NATS server may keep the job's offer for two weeks: ncsctl fleet jobs --nats URL lists what is there"
    if known is None:
        return None
    if server is None and known.url is None:
        return f"a NATS server may keep the job's offer for two weeks; to remove it: ncsctl fleet forget {known.job} --nats URL"
    left = _remove(known, server or server_at(str(known.url)))
    if left is None:
        ledger.forget(OVER_HOSTS)
    return left


def _remove(known: Offered, server: Server) -> str | None:
    async def whole() -> None:
        async with connected(server, "ncsctl run") as connection:
            await withdraw(connection, known.job)

    try:
        asyncio.run(asyncio.wait_for(whole(), LONGEST_S))
    except (Unusable, ConfigError, TimeoutError) as error:
        at = str(server.address)
        why = "it does not answer" if isinstance(error, TimeoutError) else str(error)
        command = f"ncsctl fleet forget {known.job} --nats {at}"
        return f"the NATS server {at} cannot be used: {why}; it keeps what it has of the job for two weeks, or until: {command}"
    return None
