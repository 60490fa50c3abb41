"""Which graphs of two hosts are the same: by everything on which an answer depends, whatever the graphs are called. Runs on CPython
3.9."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Dict

import msgspec

from ncs_cluster.specs import GraphSpec

BLOCK = 1 << 20
LONGEST = 32
"""Hexadecimal digits of an identity: 128 bits."""
FIXED = ("decoder", "colour", "resize", "align", "padding", "mean", "scale", "extra_outputs")
"""Fields of a GraphSpec that a daemon never changes while it runs."""


def content(graph: GraphSpec) -> str:
    """SHA-256 of the model's files, in hexadecimal digits. Reads them whole. Raises OSError."""
    digest = hashlib.sha256()
    stem, ending = os.path.splitext(graph.model)
    # an .xml has its weights beside it
    for path in [graph.model, *([f"{stem}.bin"] if ending.lower() == ".xml" else [])]:
        with open(path, "rb") as file:
            digest.update(os.fstat(file.fileno()).st_size.to_bytes(8, "big"))
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


def identity(content: str, graph: GraphSpec) -> str:
    """LONGEST hexadecimal digits. `content`: see there. `graph`: with its present threshold, labels and decoder options."""
    told: Dict[str, Any] = {name: getattr(graph, name) for name in FIXED}
    told["threshold"] = float(graph.threshold)
    told["labels"] = sorted(graph.labels.items())
    told["decoder_options"] = graph.decoder_options
    # in the order of names at every depth
    settings = msgspec.json.encode(msgspec.json.decode(msgspec.json.encode(told)), order="sorted")
    return hashlib.sha256(content.encode() + b"\n" + settings).hexdigest()[:LONGEST]
