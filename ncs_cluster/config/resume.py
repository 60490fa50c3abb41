"""Goes on where an earlier run of the same folder ended: its results name the pictures, so none is there twice.

Only what the file proves is believed: each graph's newest record of the camera names the picture that is now at its place of the
folder. A film's records name nothing, and a folder that has changed is another one: then the operator is told that results are
appended.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from msgspec import structs

from ncs_cluster.plugins import call, load
from ncs_cluster.sources import SOURCES
from ncs_cluster.specs import CameraSpec, GraphSpec, SinkSpec

WITHOUT = "none"
"""The graph of records of a daemon without one."""
TAIL = 4 << 20
"""Bytes from the end of the results that are looked at."""


class Newest(NamedTuple):
    """The newest record of one graph."""

    frame: int
    item: Optional[str]


def resumed(
    cameras: list[CameraSpec], graphs: Sequence[GraphSpec], sinks: Sequence[SinkSpec], notices: list[str]
) -> list[CameraSpec]:
    """The cameras; those that go on have their `written`. Adds a line for the operator to `notices` for each that has results."""
    files = [path for sink in sinks if (path := sink.options.get("path")) is not None and _is_file(path)]
    return [_resumed(camera, [graph.name for graph in graphs] or [WITHOUT], sinks, files, notices) for camera in cameras]


def _resumed(
    camera: CameraSpec, graphs: Sequence[str], sinks: Sequence[SinkSpec], files: Sequence[str], notices: list[str]
) -> CameraSpec:
    if not camera.ordered:
        return camera
    for path in files:
        newest = _newest(path, camera.name)
        if not newest:
            continue
        items = _items(camera) if len(sinks) == 1 and set(newest) == set(graphs) else []
        known = all(each.frame < len(items) and items[each.frame] == each.item for each in newest.values())
        first = min(each.frame for each in newest.values()) + 1
        if items and known and first < len(items):
            text = (
                f"goes on at picture {first + 1} of {len(items)}: {path} has the results of those before; to begin anew, remove it"
            )
            notices.append(f"{camera.name}: {text}")
            return structs.replace(camera, written={graph: each.frame for graph, each in newest.items()})
        notices.append(
            f"{camera.name}: {path} has results of this camera already; new ones are appended, so frames may be there twice"
        )
        break
    return camera


def _items(camera: CameraSpec) -> list[str]:
    """What the source will give, in order; empty where its registry entry does not say how to know."""
    plugin = SOURCES.get(camera.source)
    if plugin.items is None:
        return []
    options = load(plugin.options)(**camera.options)
    found: list[str] = call(plugin.items, options)
    return found


def _newest(path: str, camera: str) -> dict[str, Newest]:
    """The newest record of each graph among the last TAIL bytes; lines that are no records are left out."""
    newest: dict[str, Newest] = {}
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            lines = file.read(TAIL).split(b"\n")
    except OSError:
        return {}
    for line in reversed(lines):
        record = _record(line) if line[:1] == b"{" else None
        if record is not None and record.get("camera") == camera:
            frame, graph, item = record.get("frame"), record.get("graph"), record.get("item")
            if isinstance(frame, int) and isinstance(graph, str) and graph not in newest:
                newest[graph] = Newest(frame, item if isinstance(item, str) else None)
    return newest


def _record(line: bytes) -> Optional[dict[str, Any]]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_file(path: object) -> bool:
    try:
        return isinstance(path, str) and stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
