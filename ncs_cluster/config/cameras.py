"""Which cameras there are, and what was asked of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Optional

from pydantic import ValidationError

from ncs_cluster.config import spec
from ncs_cluster.config.asked import Asked, complaint
from ncs_cluster.config.layers import KeyPath
from ncs_cluster.config.model import Camera, options_table
from ncs_cluster.errors import ConfigError
from ncs_cluster.plugins import made
from ncs_cluster.sources import SOURCES
from ncs_cluster.sources.base import SourcePlugin
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import CameraName


def cameras(asked: Asked) -> list[CameraSpec]:
    """--source where it is given (a table of the same name lends its other keys), beside the tables where the list stands in the
    file; else the tables; else the synthetic scene."""
    made = [_camera(asked, name, text, key) for name, text, key in _named(asked)]
    what = {"loop": "has an end", "every_frame": "has an end, and a live camera's frames do not wait"}
    for flag in ("loop", "every_frame", "size", "fps"):
        if not asked.given(flag) or not getattr(asked.root, flag):
            continue
        if any(_understands(SOURCES.get(camera.source), camera.options, flag) for camera in made):
            continue
        if flag in what:
            asked.refuse(flag, because=f"no source here {what[flag]}; leave it out, or give a file or recording")
        asked.notices.append(f"{asked.layers.where((flag,))} has no effect: no source here can be asked for it")
    return made


def _named(asked: Asked) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(name, SPEC, key it was given by) of every camera."""
    root, origin = asked.root, asked.layers.origins.get(("source",))
    listed = list(root.source)
    tables = {name: table for name, table in root.cameras.items() if table.source is not None}
    if listed and origin is not None and origin.kind != "file":
        tables = {}
    if not listed and not tables:
        if root.cameras:
            name = next(iter(root.cameras))
            asked.refuse("cameras", name, because="source is missing; give it one, or use --source " + name + "=SPEC")
        listed = ["synthetic"]
    pairs: list[tuple[Optional[str], str]] = []
    for text in listed:
        try:
            pairs.append(spec.split_name(text, asked.layers.base(("source",))))
        except ValueError as error:
            asked.refuse("source", because=str(error))
    taken = {name for name, _ in pairs if name is not None} | set(tables)
    used: set[str] = set()
    for at, (given, text) in enumerate(pairs):
        name = given or next(f"cam{n}" for n in range(at, 100_000) if f"cam{n}" not in taken | used)
        if name in used:
            asked.refuse("source", because=f'two sources are called "{name}"; give each a name of its own')
        used.add(name)
        yield name, text, ("source",)
    for name, table in tables.items():
        if name in used:
            continue
        if not spec.NAME.fullmatch(name):
            asked.refuse("cameras", name, because=f'camera name "{name}": {spec.NAME_RULE}')
        yield name, str(table.source), ("cameras", name, "source")


def _camera(asked: Asked, name: str, text: str, key: tuple[str, ...]) -> CameraSpec:
    root, table = asked.root, asked.root.cameras.get(name) or Camera()
    try:
        plugin, (options, shown) = spec.parse(text, asked.layers.base(key))
    except (ValueError, ConfigError) as error:
        asked.refuse(*key, because=str(error))
    every_frame = root.every_frame if table.every_frame is None else table.every_frame
    if every_frame:
        if not _understands(plugin, {**options, **table.options}, "every_frame"):
            asked.refuse(
                *_key(asked, name, "every_frame"),
                because=f"{name} ({shown}) is a live camera, whose frames do not wait; leave it out, or give a file or recording",
            )
        options |= plugin.every_frame or {}
    at = dict.fromkeys(options, key)
    size, fps = table.size or root.size, table.fps or root.fps
    if size is not None and plugin.size is not None:
        options |= zip(plugin.size, (int(part) for part in size.split("x")), strict=True)
        at |= dict.fromkeys(plugin.size, _key(asked, name, "size"))
    if fps is not None and plugin.fps is not None:
        options[plugin.fps] = int(fps) if fps == int(fps) else fps
        at[plugin.fps] = _key(asked, name, "fps")
    loop = root.loop if table.loop is None else table.loop
    if loop and plugin.loop is not None and _understands(plugin, options, "loop"):
        options[plugin.loop] = True
    options |= table.options
    at |= {option: ("cameras", name, "options", option) for option in table.options}
    asked.check_runtime(table.runtime, "cameras", name, "runtime")
    return CameraSpec(
        name=CameraName(name),
        source=plugin.name,
        options=_checked(asked, plugin, options, at),
        shown=shown,
        weight=table.weight,
        ordered=every_frame or plugin.ordered,
        picture=table.picture or root.picture,
        background=table.background or root.background,
        window=root.window if table.window is None else table.window,
        runtime=table.runtime,
    )


def _understands(plugin: SourcePlugin, options: Mapping[str, Any], flag: str) -> bool:
    """Whether a source with these options can be asked for it."""
    if flag in ("loop", "every_frame") and plugin.ends_with is not None and options.get(plugin.ends_with) is None:
        return False
    return getattr(plugin, flag) is not None


def _key(asked: Asked, name: str, flag: str) -> KeyPath:
    """Where this was asked for: at the camera's own table, or for all."""
    own = ("cameras", name, flag)
    return own if asked.given(*own) else (flag,)


def _checked(asked: Asked, plugin: SourcePlugin, options: dict[str, Any], at: Mapping[str, KeyPath]) -> dict[str, Any]:
    """`at`: where each option was given."""
    table = options_table(plugin.options)
    try:
        judged = table.model_validate(options).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise complaint(error, asked.layers, table, at) from error
    try:
        made(plugin.options, judged)
    except ValueError as error:
        asked.refuse(*next((at[option] for option in judged if option in str(error)), ("source",)), because=str(error))
    return judged
