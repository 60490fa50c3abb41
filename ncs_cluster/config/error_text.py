"""Errors of pydantic as one line for the operator: what is wrong, and what to do."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping
from typing import Any, Optional

from pydantic import BaseModel

from ncs_cluster.sources._secret import redacted

WANTED = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "finite_number": "must be a finite number",
}

MANY = 20


def error_text(error: Mapping[str, Any], root: type[BaseModel]) -> str:
    """What is wrong and what to do, without the key's name."""
    kind, given, limits = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        name, known = str(error["loc"][-1]), _keys(root, error["loc"][:-1])
        own = root.model_fields.get(name)
        if len(error["loc"]) > 1 and own is not None and _table(own.annotation) is None:
            return "unknown key here; it belongs to no table: in a file it stands above the first one"
        if not known:
            return "unknown key; there are no keys here"
        near = difflib.get_close_matches(name, known, 1, 0.6)
        here = (
            f"known here: {', '.join(known)}"
            if len(known) < MANY
            else "ncs-clusterd --help and docs/configuration.md list all keys"
        )
        return "unknown key; " + (f"did you mean {near[0]}?" if near else here)
    if kind == "missing":
        return "is missing; it must be given"
    if kind == "value_error":
        return str(limits.get("error", error["msg"]))
    if kind == "literal_error":
        return f"must be one of {str(limits['expected']).replace(' or ', ', ')}, not {shown(given)}"
    if kind == "string_pattern_mismatch":
        return f"must look like 640x480, not {shown(given)}"
    if kind in ("too_short", "too_long"):
        return f"must be {limits.get('min_length', limits.get('max_length'))} values"
    for limit, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if limit in limits:
            return f"must be {words} {limits[limit]:g}, not {shown(given)}"
    return f"{WANTED.get(kind, error['msg'])}, not {shown(given)}"


def shown(value: object) -> str:
    """A value for an error text: short, one line, without passwords."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)[:40]
    text = redacted(value)
    return '"' + "".join(c if c.isprintable() else "?" for c in text[:40]) + ('..."' if len(text) > 40 else '"')


def _keys(root: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """The keys of the table at a path."""
    here: Optional[type[BaseModel]] = root
    for name in path:
        if here is None:
            return []
        field = here.model_fields.get(str(name))
        # NAME in cameras.NAME is no field: the type is the inner table's already
        if field is not None:
            here = _table(field.annotation)
    return list(here.model_fields) if here is not None else []


def _table(annotation: Any) -> Optional[type[BaseModel]]:
    for each in (annotation, *typing.get_args(annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None
