"""Tables as TOML, for the graph.toml of pulled models."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(table: Mapping[str, Any], *at: str) -> str:
    """Keys of `table`, then its tables under their headers. Values are text, numbers, true or false, lists of these, and tables;
    None is left out. Raises TypeError for others."""
    tables = {name: value for name, value in table.items() if isinstance(value, Mapping)}
    lines = [f"{_key(name)} = {_value(value)}\n" for name, value in table.items() if name not in tables and value is not None]
    for name, inner in tables.items():
        lines.append(f"\n[{'.'.join(map(_key, (*at, name)))}]\n{toml_text(inner, *at, name)}")
    return "".join(lines)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    raise TypeError(f"{type(value).__name__} has no form in graph.toml")


def _text(value: str) -> str:
    # JSON's escapes are TOML's, except that TOML wants DEL escaped too
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
