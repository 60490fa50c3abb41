"""File names of outputs, made of the names of items: below one folder, no two items the same. Runs on CPython 3.9."""

from __future__ import annotations

import hashlib
import os
import re

LONGEST = 180
"""Bytes of a part of a name: an ending, and the mark of a draft, fit into the 255 of a file system."""
_ENDED = re.compile(r"\.[A-Za-z0-9]{1,5}$")


def safe(name: str, ending: str) -> str:
    """The path below the outputs' folder for an item: its subfolders are kept, `a.jpg` stays `a.jpg`, other endings get `ending`
    behind them. A part that could lead out of the folder, hide or harm is changed, and marked with a checksum of the whole name."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    made = [_safe_part(part) for part in parts] or ["_"]
    if not parts or made != parts:
        made[-1] += f"-{hashlib.sha256(os.fsencode(name)).hexdigest()[:10]}"
    root, own = os.path.splitext(made[-1])
    # "a.png.jpg" gets a second ending, since "a.png" becomes that
    if own.lower() != ending or _ENDED.search(root):
        made[-1] += ending
    return "/".join(made)


def _safe_part(part: str) -> str:
    part = "".join(char if char.isprintable() and char not in '\\:*?"<>|' else "_" for char in part)
    if part.startswith("."):
        part = f"_{part}"
    while len(os.fsencode(part)) > LONGEST:
        part = part[:-1]
    return part
