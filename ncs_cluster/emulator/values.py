"""Checks the values of a command at once, not at their first use."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

MOST = 1e9
"""The largest number; as seconds it means never."""


def check(given: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Check values against annotations as text, such as "float | None"; only names in _c may be below 0. Raises ValueError."""
    for name, value in given.items():
        kind = str(kinds.get(name, "Any"))
        plain = kind.removesuffix(" | None")
        if value is None and plain != kind:
            continue
        if plain in ("int", "float"):
            least = -MOST if name.endswith("_c") else 0
            number = isinstance(value, int if plain == "int" else int | float) and not isinstance(value, bool)
            well = number and least <= value <= MOST
        else:
            well = isinstance(value, {"bool": bool, "str": str}.get(plain, object))
        if not well:
            raise ValueError(f"{name} is {kind} and not {str(value)[:80]!r}; a number is at most {MOST:.0e}, and below 0 only in C")


def kinds_of(made: type[Any]) -> dict[str, Any]:
    """A dataclass's fields and their annotations."""
    return {item.name: item.type for item in dataclasses.fields(made)}
