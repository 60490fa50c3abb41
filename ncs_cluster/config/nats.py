"""The table [nats]: the server of the fleet, the sink that announces this daemon there, and the sink that takes chunks of jobs."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ncs_cluster.config.context import Context
from ncs_cluster.config.mqtt import page_address
from ncs_cluster.config.paths import state_dir
from ncs_cluster.config.peripheral_tables import Nats
from ncs_cluster.config.server_files import ca_file, password
from ncs_cluster.plugins import made
from ncs_cluster.sinks import SINKS
from ncs_cluster.specs import GatewaySpec, SinkSpec

if TYPE_CHECKING:
    from ncs_cluster.fleet.login import Key


def fleet(context: Context, table: Nats) -> dict[str, Any]:
    """The server, who this host is there, and its secrets: options of sinks. Raises ConfigError."""
    # imported here: others do not pay for the connection's modules
    from ncs_cluster.fleet.address import NODE, parse
    from ncs_cluster.sinks._mqtt_names import word

    if table.url is None:
        context.refuse("nats", "url", because='is missing; give the server\'s address: url = "nats://HOST", or --nats nats://HOST')
    try:
        address = parse(table.url)
    except ValueError as error:
        context.refuse("nats", "url", because=str(error))
    if table.ca_file is not None and not address.tls:
        context.refuse("nats", "ca_file", because="is for TLS; begin the url with tls://")
    if (table.user is None) != (table.password_file is None):
        key, other = ("user", "password_file") if table.password_file is None else ("password_file", "user")
        context.refuse("nats", key, because=f"user and password belong together; set {other} too")
    logins = {"user": table.user, "nkey_file": table.nkey_file, "credentials_file": table.credentials_file}
    named = [key for key, value in logins.items() if value is not None]
    if len(named) > 1:
        context.refuse("nats", named[1], because=f"is a second way to log in beside {named[0]}; remove one")
    login = _key(context, "nkey_file", table.nkey_file) or _key(context, "credentials_file", table.credentials_file)
    node = table.node if table.node is not None else word(socket.gethostname().partition(".")[0]) or "ncs"
    if not NODE.fullmatch(node):
        context.refuse("nats", "node", because=f"{node!r} may hold letters, digits, _ and - only, 64 at most")
    return {
        "url": str(address),
        "node": node,
        "user": table.user,
        "password": password(context, "nats", table.password_file),
        "ca_file": ca_file(context, "nats", table.ca_file),
        "seed": None if login is None else login.seed,
        "jwt": None if login is None else login.jwt,
    }


def nats(context: Context, page: Optional[GatewaySpec], runtime_dir: str) -> list[SinkSpec]:
    """One or two sinks, or none where no server is named."""
    table = context.root.nats
    if table is None or context.job:
        return []
    options = {**fleet(context, table), "page": table.page or page_address(page), "runtime_dir": runtime_dir}
    plugin = SINKS.get("fleet")
    made(plugin.options, options)
    announced = SinkSpec(plugin.name, options, options["url"], plugin.name, records=False)
    return [announced, *_chunks(context, options, options["url"])]


def fleet_of(announced: list[SinkSpec]) -> dict[str, Any]:
    """How the page reads all hosts; empty: no server is named."""
    return next((dict(sink.options) for sink in announced if sink.kind == "fleet"), {})


def _chunks(context: Context, announced: dict[str, Any], shown: str) -> list[SinkSpec]:
    """`announced`: the options of the sink that tells the fleet."""
    table = context.root.nats
    assert table is not None
    if not table.jobs:
        for key in sorted({"mounts", "job_weight", "graphs"} & table.model_fields_set):
            context.refuse("nats", key, because="is for jobs of other machines; set jobs = true too")
        return []
    options = {
        **{key: value for key, value in announced.items() if key != "page"},
        "folder": str(Path(state_dir(context)) / "chunks"),
        "mounts": {name: str(context.path(path, "nats", "mounts")) for name, path in table.mounts.items()},
        "weight": table.job_weight,
        "graphs": str(Path(state_dir(context)) / "guests") if table.graphs else "",
    }
    plugin = SINKS.get("chunks")
    try:
        made(plugin.options, options)
    except ValueError as error:
        context.refuse("nats", "mounts", because=str(error).removeprefix("mounts: "))
    return [SinkSpec(plugin.name, options, shown, plugin.name, records=False)]


def _key(context: Context, name: str, file: Optional[str]) -> Optional[Key]:
    """What the file of a key of the table holds; None where it is not set. Raises ConfigError."""
    if file is None:
        return None
    from ncs_cluster.fleet import login

    path = context.path(file, "nats", name)
    try:
        return login.read(path, name)
    except ValueError as error:
        context.refuse("nats", name, because=str(error))
