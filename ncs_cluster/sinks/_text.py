"""Texts and figures as the forms write them. Runs on CPython 3.9."""

from __future__ import annotations

import math

from ncs_cluster.types import Record


def plain(text: str) -> str:
    """The text as UTF-8 can hold it: what stands for a byte that is not UTF-8 becomes an escape, as \\udcff."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def item_name(record: Record) -> str:
    """The item's name, or one made of the frame's number where the source has no names."""
    return plain(record.item) if record.item else nameless(record.frame)


def nameless(frame: int) -> str:
    """The name of a frame whose item is not known."""
    return f"frame_{frame:06d}"


def figure(value: float, digits: int) -> float:
    """Rounded; 0 for what is no number, which a JSON file must not hold."""
    return round(value, digits) if math.isfinite(value) else 0.0
