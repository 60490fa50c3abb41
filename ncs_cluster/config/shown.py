"""Every key with its value and its origin, for people: `ncsctl config show`. Passwords are replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from ncs_cluster.config.layers import KeyPath, Layers
from ncs_cluster.config.toml_lines import line_of
from ncs_cluster.control_messages import Setting
from ncs_cluster.sources._secret import HIDDEN, redacted
from ncs_cluster.specs import Settings

DEFAULT = "default"
_SECRET = re.compile(r"(?:^|[_-])(?:password|passwd|pass|secret|token|key|pin|credentials?)$", re.IGNORECASE)
"""Ends of names whose values are passwords; `password_file` is the name of a file."""
_NAMED = re.compile(r"([a-z0-9._-]+=)([a-z][a-z0-9+.-]*://.*)", re.IGNORECASE | re.DOTALL)
"""NAME=SPEC, of an address."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def shown(root: BaseModel, layers: Layers, settings: Settings | None = None) -> list[Setting]:
    """In the order of the documentation. `settings`: for the folders that a default means."""
    effective: dict[KeyPath, Any] = {}
    if settings is not None:
        effective = {("runtime_dir",): settings.runtime_dir, ("state_dir",): settings.state_dir}
    return [
        Setting(_dotted(path), _public(path, effective.get(path, value)), origin(path, layers)) for path, value in _leaves((), root)
    ]


def origin(path: KeyPath, layers: Layers) -> str:
    """What has set the value."""
    # the keys of a table such as [runtimes.NAME.env] are set together
    at = path if path in layers.origins or path[:-1] not in layers.whole else path[:-1]
    found = layers.origins.get(at)
    if found is None:
        return DEFAULT
    if found.kind != "file":
        return found.name
    line = line_of(path, layers.lines)
    return found.name if line is None else f"{found.name}:{line}"


def _leaves(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Any]]:
    """The values below a key, each with its path. A table is no value, so an empty one has none."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _leaves((*path, name), getattr(value, name))
        for name, each in (value.model_extra or {}).items():
            yield from _leaves((*path, name), each)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _leaves((*path, str(name)), each)
    else:
        yield path, value


def _public(path: KeyPath, value: Any) -> Any:
    """As JSON has it, without passwords."""
    if isinstance(value, (list, tuple)):
        return [_public(path, each) for each in value]
    if isinstance(value, (bool, int, float, type(None))):
        return HIDDEN if _is_secret(path) and value is not None else value
    if _is_secret(path):
        return HIDDEN
    text = str(value)
    if text.startswith("ipc://"):
        return text
    named = _NAMED.fullmatch(text)
    return named[1] + redacted(named[2]) if named else redacted(text)


def _is_secret(path: KeyPath) -> bool:
    return (len(path) == 4 and path[0] == "runtimes" and path[2] == "env") or _SECRET.search(path[-1]) is not None


def _dotted(path: KeyPath) -> str:
    """As in TOML."""
    return ".".join(name if _BARE.fullmatch(name) else json.dumps(name) for name in path)
