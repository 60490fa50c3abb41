"""Which NATS server a command of `ncsctl fleet` asks: as the command line says, else as the settings do."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ncs_cluster.cli.text import printable
from ncs_cluster.errors import ConfigError, NcsClusterError
from ncs_cluster.fleet import address, login
from ncs_cluster.fleet.connection import Connection, Server, Unusable, connected, library
from ncs_cluster.token_file import read_password

LONGEST_S = 20.0
LOGINS = ("user", "nkey_file", "credentials_file")
"""Options, of which one may be given."""
T = TypeVar("T")


def asked(given: argparse.Namespace, question: Callable[[Connection], Awaitable[T]], longest_s: float | None = LONGEST_S) -> T:
    """What `question` comes to at the server. Raises ConfigError, Unusable with the server's address, NoServer."""
    library()
    server = server_of(given)

    async def whole() -> T:
        async with connected(server, "ncsctl") as connection:
            return await question(connection)

    try:
        return asyncio.run(asyncio.wait_for(whole(), longest_s))
    except TimeoutError as error:
        late = f"it has not answered all questions within {longest_s:.0f} s"
        raise Unusable(f"the NATS server {server.address} cannot be used: {late}") from error
    except Unusable as error:
        raise Unusable(f"the NATS server {server.address} cannot be used: {error}") from error


def server_of(given: argparse.Namespace) -> Server:
    """Raises ConfigError."""
    if given.nats is None:
        of_settings = _configured(given.config)
        # another user than the daemon's may look
        return _with(of_settings.address, given) if any(getattr(given, name) for name in (*LOGINS, "ca_file")) else of_settings
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
    named = [name for name in LOGINS if getattr(given, name) is not None]
    if len(named) > 1:
        first, second = (f"--{name.replace('_', '-')}" for name in named[:2])
        raise ConfigError(f"{second} is a second way to log in beside {first}; give one")
    key = None
    for name in named:
        if name != "user":
            try:
                key = login.read(Path(getattr(given, name)), name)
            except ValueError as error:
                raise ConfigError(f"--{name.replace('_', '-')} {error}") from error
    try:
        password = None if given.password_file is None else read_password(Path(given.password_file))
    except ValueError as error:
        raise ConfigError(f"--password-file {error}") from error
    return Server(where, given.user, password, given.ca_file, key)


def _configured(file: str | None) -> Server:
    from ncs_cluster.config.parts import parts

    found = parts([] if file is None else ["--config", file], os.environ)
    for part in ("settings", "nats"):
        if part in found.refused:
            raise ConfigError(found.refused[part])
    spec = next((each for each in found.settings.sinks if each.kind == "fleet"), None)
    if spec is None:
        raise NoServer("no NATS server is named; give --nats nats://HOST, or set url in [nats] (docs/fleet.md)")
    return of_options(spec.options)


def server_at(url: str) -> Server:
    """A server with the login of the settings where it is theirs, else without one. Raises ConfigError for what is no URL."""
    try:
        where = address.parse(url)
    except ValueError as error:
        raise ConfigError(f"the server's url {error}") from error
    try:
        configured = _configured(None)
    except (ConfigError, NoServer):
        return Server(where)
    return configured if configured.address == where else Server(where)


def of_options(of: Mapping[str, Any]) -> Server:
    """The server that the sink with these options announces its daemon at."""
    key = None if of["seed"] is None else login.Key(of["seed"], of["jwt"])
    return Server(address.parse(of["url"]), of["user"], of["password"], of["ca_file"], key)


class NoServer(NcsClusterError):
    """Neither the command line nor the settings name a server; the message is one line."""
