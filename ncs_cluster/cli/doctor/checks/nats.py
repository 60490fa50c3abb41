"""The NATS server: whether it lets the daemon in, and what the running daemon says of it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.errors import ConfigError, NcsClusterError

KIND = "fleet"
NAME = "ncsctl doctor"
LOGIN = "set user and password_file, or the key, in [nats] as the server has them (docs/fleet.md)"
LIBRARY = "pip install 'ncs-cluster[fleet]'"


class Facts(NamedTuple):
    shown: str | None
    """None where no server is named."""
    host: str
    port: int
    problem: str | None
    """Why the server cannot be used."""
    lacking: bool
    """The problem is the missing library."""
    locked: bool
    """The problem is the user and password, or the key."""
    said: str | None
    """Why the running daemon cannot announce itself, by its status."""


def probe(case: Case) -> Facts:
    spec = next((each for each in case.settings.sinks if each.kind == KIND), None)
    if spec is None:
        return Facts(None, "", 0, None, False, False, None)
    # imported here: without [nats] nothing of it is needed
    from ncs_cluster.cli.fleet_server import of_options
    from ncs_cluster.fleet.connection import KEY_REFUSED, REFUSED, connected

    server = of_options(spec.options)
    where = server.address

    async def greet() -> None:
        async with connected(server, NAME):
            pass

    problem, lacking = None, False
    try:
        asyncio.run(greet())
    except NcsClusterError as error:
        problem, lacking = str(error), isinstance(error, ConfigError)
    sinks = case.status.sinks if case.status is not None else []
    said = next((each.detail for each in sinks if each.name == spec.name), None)
    return Facts(spec.shown, where.host, where.port, problem, lacking, problem in (REFUSED, KEY_REFUSED), said)


def judge(facts: Facts) -> list[Finding]:
    if facts.shown is None:
        return [skip("no NATS server is named")]
    if facts.lacking:
        return [fail(str(facts.problem), LIBRARY)]
    if facts.locked:
        return [fail(f"{facts.shown}: {facts.problem}", LOGIN)]
    if facts.problem is not None:
        remedy = f"nc -vz {facts.host} {facts.port}; on the server: systemctl status nats-server"
        return [fail(f"{facts.shown} cannot be used: {facts.problem}", remedy)]
    if facts.said is not None:
        return [warn(f"{facts.shown}: {facts.said}", "ncsctl events")]
    return [passed(f"{facts.shown} lets this daemon in")]
