"""The table [mqtt]: a sink that tells a broker of the whole daemon."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Optional

from ncs_cluster.config.context import Context
from ncs_cluster.config.peripheral_tables import Mqtt
from ncs_cluster.config.server_files import ca_file, password
from ncs_cluster.plugins import made
from ncs_cluster.sinks import SINKS
from ncs_cluster.specs import CameraSpec, GatewaySpec, GraphSpec, SinkSpec

PORT, TLS_PORT = 1883, 8883
MOST_LABELS = 24
"""Of a camera, where none are named: each is two entities of Home Assistant."""
SAME = ("prefix", "discovery_prefix", "commands", "image", "image_interval_s", "interval_s", "hold_s")
"""Keys that are the sink's options of the same name."""
WITHOUT_BOXES = ("classification", "features")
"""Decoders whose labels name no objects."""


def mqtt(
    context: Context, cameras: Sequence[CameraSpec], graphs: Sequence[GraphSpec], page: Optional[GatewaySpec], runtime_dir: str
) -> list[SinkSpec]:
    """One sink, or none where no broker is named."""
    table = context.root.mqtt
    if table is None or context.job:
        return []
    # imported here: others do not pay for the connection's modules
    from ncs_cluster.sinks._mqtt_names import word
    from ncs_cluster.sinks.mqtt import shown

    if table.broker is None:
        context.refuse("mqtt", "broker", because='is missing; give the broker\'s address: broker = "HOST", or --mqtt HOST')
    if table.image and page is None:
        context.refuse("mqtt", "image", because="pictures come from the page; leave out --no-web, or image")
    if table.ca_file is not None and not table.tls:
        context.refuse("mqtt", "ca_file", because="is for TLS; set tls = true too")
    if table.password_file is not None and table.user is None:
        context.refuse("mqtt", "password_file", because="a password needs a user; set user too")
    host, port = _address(context, table.broker, TLS_PORT if table.tls else PORT)
    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "node": table.node if table.node is not None else word(socket.gethostname().partition(".")[0]) or "ncs",
        "user": table.user,
        "password": password(context, "mqtt", table.password_file),
        "tls": table.tls,
        "ca_file": ca_file(context, "mqtt", table.ca_file),
        "page": table.page or page_address(page),
        "labels": {camera.name: _labels(table, camera, graphs) for camera in cameras},
        "runtime_dir": runtime_dir,
        **{name: getattr(table, name) for name in SAME},
    }
    plugin = SINKS.get("mqtt")
    try:
        made(plugin.options, options)
    except ValueError as error:
        key = next((name for name in ("discovery_prefix", "prefix", "node") if str(error).startswith(name)), "broker")
        context.refuse("mqtt", key, because=str(error).removeprefix(f"{key} "))
    return [SinkSpec(plugin.name, options, shown(host, port), plugin.name)]


def _address(context: Context, text: str, port: int) -> tuple[str, int]:
    host, colon, digits = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not host.startswith("[")):
        # no port, or an IPv6 address alone
        host, digits = text, str(port)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if "/" in host or "@" in host or not host or not (digits.isascii() and digits.isdigit() and 1 <= int(digits[:6]) <= 65535):
        context.refuse("mqtt", "broker", because="must be HOST[:PORT], as in 192.168.1.5:1883; user and password stand in [mqtt]")
    return host, int(digits)


def page_address(page: Optional[GatewaySpec]) -> Optional[str]:
    """The address by which other machines reach the page, as far as it is known."""
    if page is None or page.port == 0:
        return None
    host = socket.gethostname() if page.host in ("0.0.0.0", "::") else page.host
    return f"http://{f'[{host}]' if ':' in host else host}:{page.port}/"


def _labels(table: Mqtt, camera: CameraSpec, graphs: Sequence[GraphSpec]) -> list[str]:
    if table.labels:
        return list(dict.fromkeys(table.labels))
    own = [graph for graph in graphs if (not camera.graphs or graph.name in camera.graphs) and graph.decoder not in WITHOUT_BOXES]
    names = dict.fromkeys(label for graph in own for _, label in sorted(graph.labels.items()))
    return list(names)[:MOST_LABELS]
