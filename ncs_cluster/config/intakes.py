"""Intakes: protocols by which other programs send pictures."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from ncs_cluster.config import label_file
from ncs_cluster.config.context import Context
from ncs_cluster.config.paths import runtime_dir
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import GraphSpec, IntakeSpec

LONGEST_SOCKET = 107
"""Bytes of the path of a socket: unix(7)."""
_TCP = re.compile(r"^tcp://(?P<host>[^\s/:]+|\[[0-9a-fA-F:.]+\]|\*):(?P<port>\d{1,5})$")
_LOCAL = ("127.", "localhost", "[::1]")


def intakes(context: Context, graphs: list[GraphSpec]) -> list[IntakeSpec]:
    for key in ("api", "api_grpc"):
        if getattr(context.root, key) and not graphs:
            context.refuse(key, because="there is no graph to answer with; give a --graph")
    table = context.root.frigate
    if table is None:
        return []
    if table.endpoint is None:
        given = min(table.model_fields_set, default="endpoint")
        context.refuse("frigate", given, because="endpoint is missing; give one, such as tcp://127.0.0.1:5555")
    if importlib.util.find_spec("zmq") is None:
        context.refuse("frigate", "endpoint", because="pyzmq is not installed; pip install 'ncs-cluster[frigate]'")
    names = [str(graph.name) for graph in graphs]
    if not names:
        context.refuse("frigate", "endpoint", because="there is no graph to answer with; give a --graph")
    if table.graph is not None and table.graph not in names:
        context.refuse("frigate", "graph", because=f"{table.graph} is no graph of the daemon, which has {', '.join(names)}")
    default = Path(runtime_dir(context)) / "frigate.sock"
    socket = default if table.socket is None else context.path(table.socket, "frigate", "socket")
    if len(str(socket).encode()) > LONGEST_SOCKET:
        context.refuse("frigate", "socket", because=f"{socket} is too long for a socket, {LONGEST_SOCKET} bytes; set a shorter one")
    options = {
        "endpoint": _endpoint(context, table.endpoint),
        "deadline_ms": table.deadline_ms,
        "colours": table.colours.upper(),
        "graph": table.graph,
        "labelmap": _labelmap(context, table.labelmap),
        "socket": str(socket),
        "keep_s": table.keep_s,
    }
    return [IntakeSpec("frigate", options, table.endpoint, table.weight)]


def _endpoint(context: Context, text: str) -> str:
    path = text.removeprefix("ipc://")
    if path != text:
        if not path.startswith("/"):
            context.refuse("frigate", "endpoint", because=f'"{text}": an ipc:// endpoint is an absolute path, as in ipc:///run/x')
        if len(path.encode()) > LONGEST_SOCKET:
            context.refuse("frigate", "endpoint", because=f"{path} is too long for a socket, {LONGEST_SOCKET} bytes")
        return text
    match = _TCP.match(text)
    if match is None or not 0 < int(match["port"]) <= 65535:
        context.refuse(
            "frigate", "endpoint", because=f'"{text}": must be tcp://HOST:PORT or ipc:///PATH, as in tcp://127.0.0.1:5555'
        )
    if not match["host"].startswith(_LOCAL):
        context.notices.append(f"Frigate's detector at {text} can be used from other machines: its protocol knows no password")
    return text


def _labelmap(context: Context, text: str | None) -> dict[int, str] | None:
    if text is None:
        return None
    try:
        names = label_file.read(context.path(text, "frigate", "labelmap"))
    except ConfigError as error:
        context.refuse("frigate", "labelmap", because=str(error))
    return names if isinstance(names, dict) else dict(enumerate(names))
