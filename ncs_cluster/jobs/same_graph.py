"""What makes a graph the same, on several machines or when a job goes on: what it computes, not where it lies.

Runs on CPython 3.9.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Dict

from msgspec import to_builtins

from ncs_cluster.specs import GraphSpec

_BLOCK = 1 << 20
ELSEWHERE = frozenset({"model", "blob", "name"})
"""Fields that may differ."""


def described(graph: GraphSpec) -> Dict[str, Any]:
    """The fields that count, the model by its content. Raises OSError."""
    fields = {name: value for name, value in to_builtins(graph, str_keys=True).items() if name not in ELSEWHERE}
    stem, ending = os.path.splitext(graph.model)
    # an .xml has its weights beside it
    weights = {"weights": sha256(f"{stem}.bin")} if ending == ".xml" and os.path.isfile(f"{stem}.bin") else {}
    return {**fields, "model": sha256(graph.model), **weights}


def key_of(graph: GraphSpec) -> str:
    """One word for what `described` says, the same on all machines. Raises OSError."""
    return hashlib.sha256(json.dumps(described(graph), sort_keys=True).encode()).hexdigest()


def sha256(path: str) -> str:
    """Of a file's content. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
