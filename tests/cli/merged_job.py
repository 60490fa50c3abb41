"""Folders of the parts of one job, as `ncsctl run` leaves them, and what joining them must give."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncs_cluster.plugins import load, made
from ncs_cluster.sinks import SINKS
from tests.sinks.divided_job import Item, part, records

KINDS = ("jsonl", "csv", "coco", "yolo", "megadetector")
ITEMS = [
    Item("a.jpg"),
    Item("x/film.avi", 30, frozenset({3})),
    Item("torn.png", failed=frozenset({0})),
    Item("a.png"),
    *[Item(f"{number}.jpg") for number in range(40)],
    Item("b.avi", 25),
]
FAILED = 2


def sink(kind: str, folder: Path, **options: Any) -> Any:
    """The sink that a job in this folder has."""
    plugin = SINKS.get(kind)
    return load(plugin.driver)(made(plugin.options, chosen(kind, folder, **options)))


def chosen(kind: str, folder: Path, **options: Any) -> dict[str, Any]:
    plugin = SINKS.get(kind)
    place = load(plugin.parse)(f"{folder}/{plugin.output}", Path)
    return {**place.options, **({"job": True} if kind == "jsonl" else {}), **options}


def write(folder: Path, own: Sequence[Any], kinds: Sequence[str], **options: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        writer = sink(kind, folder, **options)
        writer.open(0, None)
        for record in own:
            writer.write(record)
        writer.finish()
        writer.close()
    return folder


def job_part(
    folder: Path, number: int = 1, parts: int = 1, kinds: Sequence[str] = KINDS, items: Sequence[Item] = ITEMS, **changes: Any
) -> Path:
    """`number`: from 1. `changes`: of what the ledger says of the job, `facts` of what it says besides."""
    size = changes.get("shard size", 0)
    options = {"shard_size": size} if size else {}
    job = {
        "sources": [str(folder.parent / "photos")],
        "graph": {"decoder": "ssd", "model": "0123", "threshold": 0.6},
        "formats": list(kinds),
        "size": [1280, 720],
        "shard": [number, parts],
        "shard size": 0,
        **{name: value for name, value in changes.items() if name != "facts"},
    }
    facts = {
        "items": len(items),
        "names": "4567",
        "outputs": {kind: chosen(kind, folder, **options) for kind in kinds},
        **changes.get("facts", {}),
    }
    ledger, own = part(folder, items, number - 1, parts, job=job, facts=facts, sinks=kinds)
    ledger.close()
    return write(folder, own, kinds, **options)


def whole(folder: Path, kinds: Sequence[str] = KINDS) -> dict[str, bytes]:
    """The outputs of a job that was not divided."""
    return outputs(write(folder, [record for _, record in records(ITEMS)], kinds))


def outputs(folder: Path) -> dict[str, bytes]:
    """Final files: parts, drafts and marks are hidden."""
    found = (path for path in folder.rglob("*") if path.is_file())
    named = {os.fspath(path.relative_to(folder)): path for path in found}
    hidden = ("ledger.sqlite", "run.log")
    return {
        name: path.read_bytes() for name, path in sorted(named.items()) if not name.startswith(".") and not name.startswith(hidden)
    }
