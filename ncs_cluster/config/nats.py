"""The table [nats]: a sink that tells the fleet of this daemon."""

from __future__ import annotations

import socket
from typing import Any, Optional

from ncs_cluster.config.context import Context
from ncs_cluster.config.mqtt import page_address
from ncs_cluster.config.server_files import ca_file, password
from ncs_cluster.plugins import made
from ncs_cluster.sinks import SINKS
from ncs_cluster.specs import GatewaySpec, SinkSpec


def nats(context: Context, page: Optional[GatewaySpec], runtime_dir: str) -> list[SinkSpec]:
    """One sink, or none where no server is named."""
    table = context.root.nats
    if table is None or context.job:
        return []
    # imported here: others do not pay for the connection's modules
    from ncs_cluster.fleet.address import parse
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
    options: dict[str, Any] = {
        "url": str(address),
        "node": table.node if table.node is not None else word(socket.gethostname().partition(".")[0]) or "ncs",
        "user": table.user,
        "password": password(context, "nats", table.password_file),
        "ca_file": ca_file(context, "nats", table.ca_file),
        "page": table.page or page_address(page),
        "runtime_dir": runtime_dir,
    }
    plugin = SINKS.get("fleet")
    try:
        made(plugin.options, options)
    except ValueError as error:
        context.refuse("nats", "node", because=str(error).removeprefix("node "))
    return [SinkSpec(plugin.name, options, str(address), plugin.name)]
