"""docs/configuration.md, made from the model: `python -m ncs_cluster.config.document > docs/configuration.md`."""

from __future__ import annotations

import ast
import inspect
import textwrap
import typing
from importlib import import_module
from itertools import pairwise

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ncs_cluster.backends import BACKENDS
from ncs_cluster.config.catalogue import Entry, File
from ncs_cluster.config.flags import choices, flag_of
from ncs_cluster.config.graph_folder import GraphToml, Input, Labels
from ncs_cluster.config.model import BACKEND_TABLES, GROUPS, Keys
from ncs_cluster.config.peripheral_tables import Ambient, Fan, FrigateTable, Mqtt, Nats, Notify, OverflowTable
from ncs_cluster.config.table import options_table
from ncs_cluster.config.tables import Camera, Discovery, FallbackTable, Graph, PolicyTable, Pool, Runtime
from ncs_cluster.decoders import DECODERS
from ncs_cluster.plugins import load
from ncs_cluster.policies import POLICIES
from ncs_cluster.sinks import SINKS
from ncs_cluster.sources import SOURCES

HEAD = """# Configuration

This page is made from the code (`python -m ncs_cluster.config.document`); a test fails when it is stale.

A flag beats the environment, which beats the file given with `--config` (or `NCS_CLUSTER_CONFIG`), which beats the default.

- **File**: TOML. Keys may be written with `_` or `-`. Relative paths are relative to the file.
- **Environment**: `NCS_CLUSTER_` and the key in capitals; `__` between a table and its key: `NCS_CLUSTER_SIMULATED__LATENCY_MS=40`.
  A value is TOML, else plain text. An empty variable says nothing. A variable with this prefix that is no key is an error.
- **Flag**: the key with dashes. `--set KEY=VALUE` reaches every key of every table and comes last: `--set cameras.door.weight=2`.

An error is one line that names the file, variable or flag, the key and the remedy; the daemon ends with exit code
78 before anything has been started. `ncsctl config check` tells all errors at once, `ncsctl config show` what each key is set
to and by what, `ncsctl reload` has a running daemon read them again: [operate.md](operate.md#new-settings).

```toml
# /etc/ncs-cluster/ncs-cluster.toml
backend = 'simulated'
cluster-size = 2
results = "found.jsonl"

[cameras.door]
source = "rtsp://user:password@camera/stream"
weight = 2

[simulated]
latency_ms = 40
```
"""

CAMERAS = """\
`--source` and the tables: a list given by flag or environment says which cameras there are, and a table of the same name lends
its other keys. A `source` list in the file adds to the file's tables. A source without a name is cam0, cam1, ... by its place.
"""
GRAPHS = """\
`--graph` likewise. The general `--threshold` is for graphs without one of their own; by flag or environment it beats the file.
"""
POOLS = """\
Sticks of several kinds in one daemon, each kind a pool with a backend, a cluster size and a policy of its own. Sticks that are
counted are called NAME-1, NAME-2, ... Without a table, or with `--backend` given by flag or environment, the general keys make the
one pool, under its backend's name.

```toml
[pools.ncs]
backend = 'xlink'
cluster-size = 2

[pools.cpu]
backend = 'openvino'
sticks = 1
options.threads = 2
```
"""
GRAPH_TOML = """\
What a graph folder says of itself, in `graph.toml` beside the model. Files it names must lie inside the folder. A folder without
one is understood where its model leaves no doubt: see [graphs](graphs.md#without-graphtoml).
"""

POLICY = """\
`policy = "ring"` and `--policy ring` are short for this table with `name = "ring"`. Where a flag names another policy than the
file, the options in the file are left out.
"""
SINK = """\
`--results` may be given several times; each sink has a process of its own. `NAME:...` is written by the sink of that name, any
other place by `jsonl`. Options beside those that `--results` sets stand in `[sinks.NAME]`.
"""
MQTT = """\
The broker to which states are published, for Home Assistant: [integrations.md](integrations.md#home-assistant-mqtt).
`mqtt = "HOST"` and `--mqtt HOST` are short for this table with `broker = "HOST"`.
"""
NATS = """\
The server at which the daemons of several machines are seen together: [fleet.md](fleet.md).
`nats = "nats://HOST"` and `--nats nats://HOST` are short for this table with a `url`.
"""
FALLBACK = """\
What works while no stick can: [operate.md](operate.md#the-cpu-takes-over). `fallback = "openvino"` and `--fallback openvino` are
short for this table with `backend = "openvino"`.
"""
OVERFLOW = """\
Frames that go to other hosts of the fleet, and those that come from them: [fleet.md](fleet.md#frames-for-neighbours).
`overflow = "send"` and `--overflow send` are short for this table with `role = "send"`.
"""
NOTIFY = """\
A command and a webhook, called when the daemon is degraded or down, and when it recovers: [operate.md](operate.md#notifications).
"""
LABELS = """\
`labels = "labels.txt"` above, or this table. A file of names is a list, a line each, or has an id before each name; JSON, pbtxt and
the YAML of ultralytics are understood too. Where the ids of a list begin is read from the model (`DetectionOutput` of an IR tells
its background and the number of classes), else from the first name, which may be the background's, else the decoder has a usual
first id: 1 for `ssd`. Names that do not fit the model are refused.
"""
CATALOGUE = """\
A file of models that `ncsctl graphs pull` fetches ([graphs.md](graphs.md#public-models)). Beside the keys below a model has those
of `graph.toml`, where `labels` may be a list of names, too.
"""
DECODER = """\
`decoder = "ssd"` above, or this table with `name = "ssd"` and the decoder's options.
"""

COMMON = {
    "width": "Picture width, pixels.",
    "height": "Picture height, pixels.",
    "max_width": "Larger pictures are scaled down to this width, pixels.",
    "max_height": "Larger pictures are scaled down to this height, pixels.",
    "fps": "Frames per second.",
    "loop": "From the beginning again at the end.",
    "paced": "At its own rate; false: as fast as frames are taken (--every-frame).",
    "seed": "The same seed gives the same.",
    "path": "The file or folder; SPEC sets it.",
    "url": "The address; SPEC sets it.",
    "device": "Number or path of the device; SPEC sets it.",
    "serial": "Serial number; without it the first camera found. SPEC sets it.",
    "recording": "A .bag or .db3 file; SPEC sets it.",
    "ambient_c": "Temperature of the air around it.",
    "open_timeout_s": "How long to wait for the first picture.",
    "read_timeout_s": "How long to wait for the next picture.",
    "fourcc": "Format asked of the camera; without it, or with none given here, it chooses its own.",
    "camera": "Number of the camera; SPEC sets it.",
    "rotation": "Degrees: 0 or 180.",
    "hflip": "Mirror left and right.",
    "vflip": "Mirror top and bottom.",
    "autofocus": "default, manual, auto (once) or continuous.",
    "lens_position": "Dioptres, with autofocus manual: 0 is infinity.",
    "program": "Path of rpicam-vid; without it, found in PATH.",
    "snapshot_interval_s": "http only: seconds between two requests to an address that gives single pictures.",
}
"""For keys whose Options say nothing of their own."""


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## Keys that are flags\n"]
    for group in GROUPS:
        fields = {name: field for name, field in Keys.model_fields.items() if _extra(field)["group"] == group}
        parts += [f"### {group.capitalize()}\n", _flags(fields)]
    parts += ["## Tables\n"]
    tables: list[tuple[str, type[BaseModel], str]] = [
        ("cameras.NAME", Camera, CAMERAS),
        ("graphs.NAME", Graph, GRAPHS),
        ("pools.NAME", Pool, POOLS),
        ("runtimes.NAME", Runtime, "Another interpreter for the children that name it, for libraries that need one.\n"),
        ("discovery", Discovery, "How real sticks are found.\n"),
        (
            "frigate",
            FrigateTable,
            "`--frigate ENDPOINT` is short for this table with an endpoint: [integrations.md](integrations.md).\n",
        ),
        ("fallback", FallbackTable, FALLBACK),
        ("fan", Fan, "A fan that follows the headroom of the sticks: [thermal.md](thermal.md#a-fan).\n"),
        ("ambient", Ambient, "A sensor of the air around the sticks: [thermal.md](thermal.md#the-air-and-the-board).\n"),
        ("mqtt", Mqtt, MQTT),
        ("notify", Notify, NOTIFY),
        ("nats", Nats, NATS),
        ("overflow", OverflowTable, OVERFLOW),
    ]
    for title, model, text in tables:
        parts += [f"### `[{title}]`\n", text, _keys(model)]
    parts += ["### `[policy]`\n", POLICY, _keys(PolicyTable)]
    for policy in POLICIES.builtin.values():
        parts += [f"#### {policy.name}\n", f"{policy.title[0].upper()}{policy.title[1:]}.\n"]
        if keys := _keys(options_table(policy.options), _descriptions(policy.options)):
            parts.append(keys)
    for name, table in BACKEND_TABLES.items():
        parts += [
            f"### `[{name}]`\n",
            f"Of the backend `{name}`: {BACKENDS.builtin[name].title}.\n",
            _keys(table, _descriptions(BACKENDS.builtin[name].options)),
        ]
    parts += ["## Sources\n", "Keys of `[cameras.NAME.options]`, by the kind of source.\n"]
    # those without a form are made by a program or a command, not by settings
    for source in filter(lambda plugin: plugin.form, SOURCES.builtin.values()):
        keys = _keys(options_table(source.options), _descriptions(source.options))
        parts += [f"### {source.name}\n", _about(source.driver), keys]
    parts += ["## Sinks\n", SINK]
    for sink in (each for each in SINKS.builtin.values() if each.form and not each.redraws):
        keys = _keys(options_table(sink.options), _descriptions(sink.options))
        parts += [f"### `[sinks.{sink.name}]`\n", _about(sink.driver), keys]
    parts += ["## graph.toml\n", GRAPH_TOML, _keys(GraphToml, skip=("input",)), "### `[input]`\n", _keys(Input)]
    parts += ["### `[labels]`\n", LABELS, _keys(Labels), "### `[decoder]`\n", DECODER]
    for decoder in DECODERS.builtin.values():
        parts += [
            f"#### {decoder.name}\n",
            f"{decoder.title}. Threshold of a graph without one of its own: {decoder.default_threshold:g}.\n",
            _keys(options_table(decoder.options), _descriptions(decoder.options)),
        ]
    own = tuple(name for name in Entry.model_fields if name in GraphToml.model_fields)
    parts += ["## Catalogue of models\n", CATALOGUE, "### `[models.NAME]`\n", _keys(Entry, skip=own), "### `files`\n", _keys(File)]
    return "\n".join(parts)


def _flags(fields: dict[str, FieldInfo]) -> str:
    rows = []
    for name, field in fields.items():
        rows.append(
            [
                f"`{name}`",
                f"`{flag_of(name)}`<br>`NCS_CLUSTER_{name.upper()}`",
                _type(field, _extra(field)["metavar"]) + _range(field),
                _default(field),
                str(field.description),
            ]
        )
    return _table(["key", "flag, variable", "type", "default", ""], rows)


def _keys(model: type[BaseModel], descriptions: dict[str, str] | None = None, skip: tuple[str, ...] = ()) -> str:
    rows = [
        [
            f"`{name}`",
            _type(field) + _range(field),
            _default(field),
            field.description or (descriptions or {}).get(name) or COMMON.get(name, ""),
        ]
        for name, field in model.model_fields.items()
        if name not in skip
    ]
    return _table(["key", "type", "default", ""], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(_cell(each) for each in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _type(field: FieldInfo, metavar: str = "") -> str:
    annotation = field.annotation
    if words := choices(field):
        return ", ".join(f"`{word}`" for word in words)
    if shown := (field.json_schema_extra and _extra(field).get("shown")):
        return shown
    text = str(annotation)
    many = text.startswith(("list", "typing.List"))
    for word, plain in (
        ("dict", "table"),
        ("bool", "true or false"),
        ("int", "whole number"),
        ("float", "number"),
        ("str", "text"),
    ):
        if word in text.removeprefix("list").removeprefix("typing.List").replace("typing.Dict", "dict"):
            return (f"list of {plain}s" if plain == "number" else f"list of {plain}") if many else f"{plain} {metavar}".strip()
    return "table"


def _range(field: FieldInfo) -> str:
    limits = [
        f"{sign} {getattr(limit, name):g}"
        for limit in field.metadata
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"))
        if hasattr(limit, name)
    ]
    return ", " + ", ".join(limits) if limits else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value is None or value in ([], {}):
        return "–"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _extra(field: FieldInfo) -> dict[str, str]:
    return typing.cast("dict[str, str]", field.json_schema_extra)


def _about(plugin: str) -> str:
    text = inspect.getdoc(import_module(plugin.split(":")[0])) or ""
    return text.split("\n\n")[0] + "\n"


def _descriptions(options: str) -> dict[str, str]:
    """The descriptions below the fields of the Options that "module:attribute" names."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(load(options))))
    body = typing.cast("ast.ClassDef", tree.body[0]).body
    found = {}
    for field, after in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[ast.unparse(field.target)] = str(after.value.value)
    return found


if __name__ == "__main__":
    print(page(), end="")
