"""Cameras: the source of each, its options, and how its frames are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Optional

from pydantic import ValidationError

from ncs_cluster.config import spec
from ncs_cluster.config.context import Context, refusal
from ncs_cluster.config.layers import KeyPath
from ncs_cluster.config.table import options_table
from ncs_cluster.config.tables import Camera
from ncs_cluster.errors import ConfigError
from ncs_cluster.plugins import made
from ncs_cluster.sources import SOURCES
from ncs_cluster.sources.base import SourcePlugin
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import CameraName


def cameras(context: Context) -> list[CameraSpec]:
    """Cameras of --source and of [cameras.NAME]. A list given by flag or environment replaces the tables; a table of the same name
    then gives the other keys. A list in the file adds to the tables. Without both: the synthetic scene; none where other programs
    send pictures, or other machines jobs."""
    before, made = context.faults, list[CameraSpec]()
    for name, text, key in _named(context):
        with context.apart():
            made.append(_camera(context, name, text, key))
    context.settle(before)
    what = {"loop": "has an end", "every_frame": "has an end, and a live camera's frames do not wait"}
    for flag in ("loop", "every_frame", "size", "fps"):
        if not context.given(flag) or not getattr(context.root, flag):
            continue
        if any(_understands(SOURCES.get(camera.source), camera.options, flag) for camera in made):
            continue
        if flag in what:
            context.refuse(flag, because=f"no source here {what[flag]}; leave it out, or give a file or recording")
        context.notices.append(f"{context.layers.where((flag,))} has no effect: no source here can be asked for it")
    return made


def _named(context: Context) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(name, SPEC, key it was given by) of every camera."""
    root, origin = context.root, context.layers.origins.get(("source",))
    listed = list(root.source)
    tables = {name: table for name, table in root.cameras.items() if table.source is not None}
    if listed and origin is not None and origin.kind != "file":
        tables = {}
    if not listed and not tables:
        if root.cameras:
            name = next(iter(root.cameras))
            context.refuse("cameras", name, because="source is missing; give it one, or use --source " + name + "=SPEC")
        if root.nats is not None and root.nats.jobs:
            return
        if root.api or root.api_grpc is not None or (root.frigate is not None and root.frigate.endpoint is not None):
            return
        listed = ["synthetic"]
    pairs: list[tuple[Optional[str], str]] = []
    for text in listed:
        try:
            pairs.append(spec.split_name(text, context.layers.base(("source",))))
        except ValueError as error:
            context.refuse("source", because=str(error))
    taken = {name for name, _ in pairs if name is not None} | set(tables)
    used: set[str] = set()
    for at, (given, text) in enumerate(pairs):
        name = given or next(f"cam{n}" for n in range(at, 100_000) if f"cam{n}" not in taken | used)
        if name in used:
            context.refuse("source", because=f'two sources are called "{name}"; give each a name of its own')
        used.add(name)
        yield name, text, ("source",)
    for name, table in tables.items():
        if name in used:
            continue
        if not spec.NAME.fullmatch(name):
            context.refuse("cameras", name, because=f'camera name "{name}": {spec.NAME_RULE}')
        yield name, str(table.source), ("cameras", name, "source")


def _camera(context: Context, name: str, text: str, key: tuple[str, ...]) -> CameraSpec:
    root, table = context.root, context.root.cameras.get(name) or Camera()
    try:
        plugin, (options, shown) = spec.parse(text, context.layers.base(key))
    except (ValueError, ConfigError) as error:
        context.refuse(*key, because=str(error))
    every_frame = root.every_frame if table.every_frame is None else table.every_frame
    if every_frame:
        if not _understands(plugin, {**options, **table.options}, "every_frame"):
            context.refuse(
                *_key(context, name, "every_frame"),
                because=f"{name} ({shown}) is a live camera, whose frames do not wait; leave it out, or give a file or recording",
            )
        options |= plugin.every_frame or {}
    at = dict.fromkeys(options, key)
    size, fps = table.size or root.size, table.fps or root.fps
    if size is not None and plugin.size is not None:
        options |= zip(plugin.size, (int(part) for part in size.split("x")), strict=True)
        at |= dict.fromkeys(plugin.size, _key(context, name, "size"))
    if fps is not None and plugin.fps is not None:
        options[plugin.fps] = int(fps) if fps == int(fps) else fps
        at[plugin.fps] = _key(context, name, "fps")
    loop = root.loop if table.loop is None else table.loop
    if loop and plugin.loop is not None and _understands(plugin, options, "loop"):
        options[plugin.loop] = True
    options |= table.options
    at |= {option: ("cameras", name, "options", option) for option in table.options}
    context.check_runtime(table.runtime, "cameras", name, "runtime")
    ordered = every_frame or plugin.ordered
    picture = _key(context, name, "picture")
    if ordered and context.given(*picture) and (table.picture or root.picture) == "live":
        where = context.layers.where(picture)
        context.notices.append(f"{where}: live has no effect on {name} ({shown}), whose frames are drawn each with its own results")
    return CameraSpec(
        name=CameraName(name),
        source=plugin.name,
        options=_checked(context, plugin, options, at),
        shown=shown,
        weight=table.weight,
        ordered=ordered,
        picture="exact" if ordered else table.picture or root.picture,
        background=table.background or root.background,
        window=root.window if table.window is None else table.window,
        runtime=table.runtime,
    )


def _understands(plugin: SourcePlugin, options: Mapping[str, Any], flag: str) -> bool:
    """True when the flag changes anything for a source with these options."""
    if flag in ("loop", "every_frame") and plugin.ends_with is not None and options.get(plugin.ends_with) is None:
        return False
    return getattr(plugin, flag) is not None


def _key(context: Context, name: str, flag: str) -> KeyPath:
    """The key that sets a flag for a camera: in its own table, or the general one."""
    own = ("cameras", name, flag)
    return own if context.given(*own) else (flag,)


def _checked(context: Context, plugin: SourcePlugin, options: dict[str, Any], at: Mapping[str, KeyPath]) -> dict[str, Any]:
    """`at`: where each option was given."""
    table = options_table(plugin.options)
    try:
        judged = table.model_validate(options).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise refusal(error, context.layers, table, at) from error
    try:
        made(plugin.options, judged)
    except ValueError as error:
        context.refuse(*next((at[option] for option in judged if option in str(error)), ("source",)), because=str(error))
    return judged
