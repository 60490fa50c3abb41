"""A graph as files for hosts that lack it: graph.json, which holds every setting of it, and the model under a fixed name.

Not its folder: graph.toml and files of labels have names and forms of many kinds, and are read once, by the command; what a host
reads is one document with bounds. Runs on CPython 3.9.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Dict, List, Literal, NamedTuple, Optional, Tuple

import msgspec
from msgspec import Meta, Struct

from ncs_cluster.fleet.chunk import GraphFile, GraphFiles, Malformed
from ncs_cluster.specs import GUEST, GraphSpec
from ncs_cluster.types import GraphName

DESCRIPTION: GraphFile = "graph.json"
MODELS: Tuple[GraphFile, ...] = ("model.xml", "model.onnx", "model.tflite", "model.blob")
LARGEST = 512 << 20
"""Bytes of all files: a Myriad X has 512 MB."""
LARGEST_DESCRIPTION = 8 << 20
_DIGITS = 12
"""Of its key, in the name of a guest."""

Text = Annotated[str, Meta(max_length=200)]
Pixel = Annotated[float, Meta(ge=-1e6, le=1e6)]
Three = Annotated[List[Pixel], Meta(min_length=3, max_length=3)]


class Described(Struct, frozen=True, forbid_unknown_fields=True):
    """graph.json: the fields of a GraphSpec but its name and its files."""

    decoder: Annotated[str, Meta(max_length=64)]
    labels: Annotated[Dict[Annotated[int, Meta(ge=0, le=1_000_000)], Text], Meta(max_length=100_000)]
    threshold: Annotated[float, Meta(ge=0, le=1)]
    colour: Literal["BGR", "RGB"]
    resize: Literal["stretch", "letterbox"]
    align: Literal["centre", "top-left"]
    padding: Annotated[int, Meta(ge=0, le=255)]
    mean: Three
    scale: Three
    decoder_options: Annotated[Dict[Text, Any], Meta(max_length=64)]
    extra_outputs: Annotated[List[Text], Meta(max_length=16)]


class Sources(NamedTuple):
    """Where the files of a graph are on this machine, but for graph.json."""

    description: bytes
    """The content of graph.json; the same bytes for the same graph."""
    names: List[GraphFile]
    """Of all files, graph.json first."""
    paths: List[str]
    """Of those behind it."""


def sources(graph: GraphSpec) -> Sources:
    """With its blob, where it has one. Raises Malformed for a graph that cannot be sent, OSError."""
    stem, ending = os.path.splitext(graph.model)
    model: Optional[GraphFile] = next((name for name in MODELS if name == f"model{ending}"), None)
    if model is None:
        raise Malformed(f"has a model of a kind that is not sent: {ending or graph.model}")
    fields = {name: value for name, value in msgspec.to_builtins(graph).items() if name in Described.__struct_fields__}
    try:
        described = msgspec.convert(fields, Described, strict=False)
    except msgspec.ValidationError as error:
        raise Malformed(f"cannot be described: {error}") from error
    names, paths = [DESCRIPTION, model], [graph.model]
    # an .xml has its weights beside it
    if ending == ".xml" and os.path.isfile(f"{stem}.bin"):
        names.append("model.bin")
        paths.append(f"{stem}.bin")
    if ending != ".blob" and graph.blob is not None:
        names.append("model.blob")
        paths.append(graph.blob)
    if sum(os.path.getsize(path) for path in paths) > LARGEST:
        raise Malformed(f"has files of more than {LARGEST >> 20} MB")
    return Sources(msgspec.json.encode(msgspec.to_builtins(described, str_keys=True), order="sorted"), names, paths)


def check(files: GraphFiles) -> None:
    """Raises Malformed where they are no graph."""
    names, sizes = files.names, files.parcel.sizes
    if len(names) != len(sizes) or len(set(names)) < len(names) or names[0] != DESCRIPTION or names[1] not in MODELS:
        raise Malformed("has files that are no graph")
    if None in sizes or files.parcel.size > LARGEST or (sizes[0] or 0) > LARGEST_DESCRIPTION:
        raise Malformed(f"has files of more than {LARGEST >> 20} MB")


def guest_name(name: str, key: str) -> GraphName:
    """What a host calls a graph that jobs call `name`, and whose key is `key`: see same_graph.key_of."""
    shown = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)
    return GraphName(f"{shown[:40] or 'graph'}{GUEST}{key[:_DIGITS]}")


def read(folder: str, name: GraphName) -> GraphSpec:
    """The graph whose files lie in a folder. It says nothing of whether its decoder exists and takes its options. Raises Malformed,
    OSError."""
    with open(os.path.join(folder, DESCRIPTION), "rb") as file:
        text = file.read(LARGEST_DESCRIPTION + 1)
    model = next((each for each in MODELS if os.path.isfile(os.path.join(folder, each))), None)
    # a blob beside a model is not the model
    if model is None or len(text) > LARGEST_DESCRIPTION:
        raise Malformed("has files that are no graph")
    try:
        found = msgspec.json.decode(text, type=Described)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Malformed("has a graph.json that is not as this version writes it") from error
    fields = {each: getattr(found, each) for each in found.__struct_fields__}
    (m0, m1, m2), (s0, s1, s2) = found.mean, found.scale
    fields.update(mean=(m0, m1, m2), scale=(s0, s1, s2))
    return GraphSpec(name=name, model=os.path.join(folder, model), **fields)
