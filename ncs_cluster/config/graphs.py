"""The graphs that run on every frame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from msgspec import structs

from ncs_cluster.backends.base import BackendPlugin
from ncs_cluster.config import graph_folder
from ncs_cluster.config.context import Context
from ncs_cluster.config.paths import state_dir
from ncs_cluster.errors import did_you_mean
from ncs_cluster.provision import blobs
from ncs_cluster.sources import SOURCES
from ncs_cluster.specs import CameraSpec, GraphSpec

DEFAULT, NONE = "demo", "none"
NAME = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,64}")


def graphs(context: Context, backends: Sequence[BackendPlugin], cameras: list[CameraSpec]) -> list[GraphSpec]:
    """Graphs of --graph and of [graphs.NAME]. A list given by flag or environment replaces the tables; a list in the file adds to
    them. Without both: the demo graph."""
    root = context.root
    origin = context.layers.origins.get(("graph",))
    chosen = list(root.graph)
    if NONE in chosen:
        needy = [plugin.name for plugin in backends if plugin.needs_graph]
        if len(chosen) > 1 or needy:
            without = f"backend {needy[0]} cannot work without a graph" if needy else "none stands alone"
            context.refuse("graph", because=f"{without}; name a graph")
        return []
    if not chosen or (origin is not None and origin.kind == "file"):
        chosen += [name for name in root.graphs if name not in chosen]
    if not chosen:
        chosen = [DEFAULT]
        if not all(SOURCES.get(camera.source).demo for camera in cameras):
            remedy = "ncsctl graphs pull yolox_nano fetches one for real pictures, --graph yolox_nano names it"
            context.notices.append(f"the demo graph knows only the synthetic scene: {remedy}")
    before, found = context.faults, list[GraphSpec]()
    for text in chosen:
        with context.apart():
            found.append(_graph(context, text, blob=any(plugin.artifact == "blob" for plugin in backends)))
    context.settle(before)
    names = [graph.name for graph in found]
    if len(set(names)) < len(names):
        context.refuse("graph", because="two graphs have the same name; give one a name of its own in [graphs.NAME] path = DIR")
    return found


def _graph(context: Context, text: str, *, blob: bool) -> GraphSpec:
    table = context.root.graphs.get(text)
    threshold = context.root.threshold
    # --threshold as a flag is for all graphs and beats the file's [graphs.NAME] threshold
    if table is not None and table.threshold is not None and not _overrides(context, text):
        threshold = table.threshold
    if table is not None and not NAME.fullmatch(text):
        context.refuse("graphs", text, because="a name is made of letters, digits, dot, dash and underscore, at most 64")
    folder = _folder(context, text, table.path if table is not None else None)
    name = text if table is not None else re.sub(r"[^A-Za-z0-9._-]", "-", folder.name)[:64] or "graph"
    graph = graph_folder.read(folder, name, threshold)
    return _compiled(context, text, graph) if blob else graph


def _compiled(context: Context, text: str, graph: GraphSpec) -> GraphSpec:
    """The graph with its blob, which a stick loads instead of the model."""
    blob = blobs.find(graph, Path(state_dir(context)))
    if blob is None:
        wrong = "is made of another model" if blobs.outdated(blobs.Recipe.of(graph)) else "is not there"
        remedy = f"make it with: ncsctl graphs compile {text}"
        context.refuse("graph", because=f"{graph.name}: its blob for a stick {wrong}; {remedy}")
    return structs.replace(graph, blob=str(blob))


def _overrides(context: Context, name: str) -> bool:
    """True when `threshold` is set by a higher layer (file, environment, flag, --set) than `graphs.NAME.threshold`."""
    rank = ("file", "environment", "flag", "set")
    general, own = (context.layers.origins.get(path) for path in (("threshold",), ("graphs", name, "threshold")))
    return general is not None and own is not None and rank.index(general.kind) > rank.index(own.kind)


def _folder(context: Context, text: str, path: Optional[str]) -> Path:
    if path is not None:
        return context.path(path, "graphs", text, "path")
    known = {**graph_folder.named(Path(state_dir(context))), **graph_folder.named()}
    if text in known:
        return known[text]
    folder = context.path(text, "graph")
    if not folder.is_dir():
        # its modules take a sixth of the time in which settings are read
        from ncs_cluster.config.catalogue import Catalogue

        key = ("graphs", text) if text in context.root.graphs else ("graph",)
        hint = f"; fetch it with: ncsctl graphs pull {text}" if text in Catalogue().names else ""
        hint = hint or did_you_mean(text, [*known, *Catalogue().names])
        context.refuse(*key, because=f'"{text}": there is no such folder, and no graph of this name ({", ".join(known)}){hint}')
    return folder
