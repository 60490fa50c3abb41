"""Sinks: where results are written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ncs_cluster.config.context import Context, refusal
from ncs_cluster.config.table import options_table
from ncs_cluster.errors import ConfigError
from ncs_cluster.plugins import call, made
from ncs_cluster.sinks import SINKS
from ncs_cluster.sinks.base import Parsed, SinkPlugin
from ncs_cluster.specs import SinkSpec


def sinks(context: Context) -> list[SinkSpec]:
    """One for each --results. The first has no name, the others are called by their place: "2", "3", ..."""
    found: list[SinkSpec] = []
    for number, text in enumerate(context.root.results, 1):
        plugin, (options, shown) = _parsed(context, text)
        if any((plugin.name, options) == (each.kind, each.options) for each in found):
            context.refuse("results", because=f"{shown} is given twice; keep one")
        found.append(SinkSpec(plugin.name, _checked(context, plugin, options), shown, "" if number == 1 else str(number)))
    # those without a form are made by a program, not by settings
    known = [name for name in SINKS.names() if name not in SINKS.builtin or SINKS.builtin[name].form]
    for name in context.root.sinks:
        if name not in known:
            context.refuse("sinks", name, because=f'there is no sink "{name}"; known: {", ".join(known)}')
    return found


def _parsed(context: Context, text: str) -> tuple[SinkPlugin, Parsed]:
    word, colon, rest = text.partition(":")
    try:
        if colon and word in SINKS:
            plugin, spec = SINKS.get(word), rest
        else:
            plugin, spec = next(each for each in SINKS.builtin.values() if each.files), text
        if plugin.jobs_only and not context.job:
            context.refuse("results", because=f"{plugin.name} is a format of jobs; name a file for JSON Lines")
        return plugin, call(plugin.parse, spec, lambda path: _place(context, path))
    except ConfigError as error:
        # an error of a path names its key already
        if str(error).startswith(context.layers.where(("results",))):
            raise
        context.refuse("results", because=str(error))
    except ValueError as error:
        context.refuse("results", because=str(error))


def _checked(context: Context, plugin: SinkPlugin, options: dict[str, Any]) -> dict[str, Any]:
    """The options of the SPEC and of [sinks.NAME], validated by the sink's dataclass."""
    own = context.root.sinks.get(plugin.name, {})
    at = {**dict.fromkeys(options, ("results",)), **{option: ("sinks", plugin.name, option) for option in own}}
    table = options_table(plugin.options)
    try:
        judged: dict[str, Any] = table.model_validate({**options, **own}).model_dump(exclude_unset=True)
        made(plugin.options, judged)
    except ValidationError as error:
        raise refusal(error, context.layers, table, at) from error
    except ValueError as error:
        context.refuse(*next((at[option] for option in at if option in str(error)), ("results",)), because=str(error))
    if judged.get("job"):
        context.refuse("sinks", plugin.name, "job", because="only a job may set it; remove it")
    return judged


def _place(context: Context, text: str) -> Path:
    """The absolute path of a file that can be written."""
    path = context.path(text, "results")
    if path.is_dir():
        context.refuse("results", because=f'"{text}" is a folder; name a file in it')
    if not path.parent.is_dir():
        context.refuse("results", because=f"there is no folder {path.parent}; make it first")
    there = path if path.exists() else path.parent
    if not os.access(there, os.W_OK):
        if os.statvfs(there).f_flag & os.ST_RDONLY:
            because = f"{path} is on a file system that may only be read here; choose another place, or let the unit write there"
            context.refuse("results", because=f"{because} (ReadWritePaths=)")
        context.refuse("results", because=f"{path} may not be written by this user; change its owner or choose another place")
    return path
