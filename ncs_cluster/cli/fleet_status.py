"""What `ncsctl fleet status` does: all hosts that a NATS server knows, also from a machine without a daemon."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import Any

import msgspec

from ncs_cluster.cli import show_fleet
from ncs_cluster.cli.text import Terminal, printable
from ncs_cluster.errors import ConfigError, NcsClusterError
from ncs_cluster.fleet import address
from ncs_cluster.fleet.bucket import Host, Hosts, read
from ncs_cluster.fleet.connection import Server, Unusable, connected, library
from ncs_cluster.fleet.entry import Entry
from ncs_cluster.token_file import read_password

LONGEST_S = 20.0


def run(given: argparse.Namespace) -> int:
    """Print all hosts. Raises ConfigError, Unusable, NoServer."""
    library()
    server = _server(given)
    try:
        found = asyncio.run(_read(server))
    except Unusable as error:
        raise Unusable(f"the NATS server {server.address} cannot be used: {error}") from error
    if given.json:
        print(json.dumps(_document(found), indent=2, ensure_ascii=False))
    else:
        terminal = Terminal()
        for line in show_fleet.hosts(found):
            print(terminal.render(line))
    return 0 if found.hosts and all(map(_healthy, found.hosts)) else 1


def _healthy(host: Host) -> bool:
    return isinstance(host.entry, Entry) and host.entry.state == "ok" and not show_fleet.gone(host)


async def _read(server: Server) -> Hosts:
    async def whole() -> Hosts:
        async with connected(server, "ncsctl") as connection:
            return await read(connection)

    try:
        return await asyncio.wait_for(whole(), LONGEST_S)
    except TimeoutError as error:
        raise Unusable(f"it has not answered all questions within {LONGEST_S:.0f} s") from error


def _document(found: Hosts) -> dict[str, Any]:
    hosts = []
    for host in found.hosts:
        told = msgspec.to_builtins(host.entry) if isinstance(host.entry, Entry) else None
        other = None if isinstance(host.entry, Entry) else {"protocol": host.entry.protocol, "version": host.entry.version}
        hosts.append(
            {"node": host.node, "age_s": round(host.age_s, 1), "gone": show_fleet.gone(host), "entry": told, "unreadable": other}
        )
    return {"hosts": hosts, "left_out": found.left_out}


def _server(given: argparse.Namespace) -> Server:
    """Raises ConfigError."""
    if given.nats is None:
        of_settings = _configured(given.config)
        # another user than the daemon's may look
        return of_settings if given.user is None and given.ca_file is None else _with(of_settings.address, given)
    try:
        return _with(address.parse(given.nats), given)
    except ValueError as error:
        raise ConfigError(f"--nats {error}") from error


def _with(where: address.Address, given: argparse.Namespace) -> Server:
    if (given.user is None) != (given.password_file is None):
        raise ConfigError("--user and --password-file belong together; give both")
    if given.ca_file is not None and not where.tls:
        raise ConfigError("--ca-file is for TLS; begin the URL with tls://")
    if given.ca_file is not None and not Path(given.ca_file).is_file():
        raise ConfigError(f"--ca-file {printable(given.ca_file)} is not a file")
    try:
        password = None if given.password_file is None else read_password(Path(given.password_file))
    except ValueError as error:
        raise ConfigError(f"--password-file {error}") from error
    return Server(where, given.user, password, given.ca_file)


def _configured(file: str | None) -> Server:
    from ncs_cluster.config.parts import parts

    found = parts([] if file is None else ["--config", file], os.environ)
    for part in ("settings", "nats"):
        if part in found.refused:
            raise ConfigError(found.refused[part])
    spec = next((each for each in found.settings.sinks if each.kind == "fleet"), None)
    if spec is None:
        raise NoServer("no NATS server is named; give --nats nats://HOST, or set url in [nats] (docs/fleet.md)")
    of = spec.options
    return Server(address.parse(of["url"]), of["user"], of["password"], of["ca_file"])


class NoServer(NcsClusterError):
    """Neither the command line nor the settings name a server; the message is one line."""
