"""The table [notify]: a sink that runs a command and calls a webhook when the daemon's state changes."""

from __future__ import annotations

import shutil
import socket
from typing import Optional
from urllib.parse import urlsplit

from ncs_cluster.config.context import Context
from ncs_cluster.plugins import made
from ncs_cluster.sinks import SINKS
from ncs_cluster.specs import SinkSpec
from ncs_cluster.token_file import read_password


def notify(context: Context, runtime_dir: str) -> list[SinkSpec]:
    """One sink, or none where neither a command nor a webhook is named."""
    table = context.root.notify
    if context.job or not table.model_fields_set:
        return []
    webhook = _webhook(context)
    if not table.command and webhook is None:
        given = sorted(table.model_fields_set)[0]
        context.refuse("notify", given, because="command and webhook are missing; give one of them")
    options = {
        "command": _command(context),
        "webhook": webhook,
        "hold_off_s": table.hold_off_s,
        "timeout_s": table.timeout_s,
        "host": socket.gethostname().partition(".")[0] or "this machine",
        "runtime_dir": runtime_dir,
    }
    plugin = SINKS.get("notify")
    try:
        made(plugin.options, options)
    except ValueError as error:
        key, _, because = str(error).partition(" ")
        context.refuse("notify", "webhook_file" if key == "webhook" and table.webhook_file is not None else key, because=because)
    ways = [*(["command " + table.command[0]] if table.command else []), *([_shown(webhook)] if webhook else [])]
    return [SinkSpec(plugin.name, options, ", ".join(ways), plugin.name, records=False)]


def _command(context: Context) -> list[str]:
    """With the whole path of its program, which is there."""
    words = context.root.notify.command
    if not words:
        return []
    # a path with a folder in it is relative to the file it stands in
    name = str(context.path(words[0], "notify", "command")) if "/" in words[0] else words[0]
    found = shutil.which(name) if name else None
    if found is None:
        context.refuse("notify", "command", because=f"{words[0]!r} is no program that can be run; give its whole path")
    return [found, *words[1:]]


def _webhook(context: Context) -> Optional[str]:
    table = context.root.notify
    if table.webhook_file is None:
        return table.webhook
    if table.webhook is not None:
        context.refuse("notify", "webhook_file", because="webhook names an address too; leave one of them out")
    try:
        return read_password(context.path(table.webhook_file, "notify", "webhook_file"))
    except ValueError as error:
        context.refuse("notify", "webhook_file", because=str(error))


def _shown(webhook: str) -> str:
    """Without its path: a part of it is mostly a secret."""
    parts = urlsplit(webhook)
    return f"{parts.scheme}://{parts.hostname}/***"
