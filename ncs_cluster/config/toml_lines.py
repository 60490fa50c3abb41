"""The line of each key in a TOML document that tomllib has read: tomllib does not give it."""

from __future__ import annotations

import re
import tomllib
from typing import Any

KeyPath = tuple[str, ...]
_STRING = re.compile(r'"""(?:\\.|[^\\])*?"{3,5}|' + r"'''.*?'{3,5}" + r"""|"(?:\\.|[^"\\\n])*"|'[^'\n]*'""", re.DOTALL)


def lines(text: str) -> dict[KeyPath, int]:
    """By key, the number of its line, from 1; keys of inline tables and elements of lists have that of the table or list. Tables
    have the line of their first header. Empty for a document that is not TOML."""
    found: dict[KeyPath, int] = {}
    text = text.replace("\r\n", "\n")
    table: KeyPath = ()
    at = 0
    try:
        while (at := _blank(text, at)) < len(text):
            line = text.count("\n", 0, at) + 1
            if text[at] == "[":
                end = _end_of_line(text, at)
                table = _path(tomllib.loads(text[at:end]))
                found.setdefault(table, line)
            else:
                equals = _equals(text, at)
                found[*table, *_path(tomllib.loads(f"{text[at:equals]} = 0"))] = line
                end = _end_of_line(text, equals + 1)
            at = end
    except ValueError:
        return {}
    return found


def line_of(path: KeyPath, known: dict[KeyPath, int]) -> int | None:
    """The line of a key, or of the nearest table around it."""
    return next((known[path[:length]] for length in range(len(path), 0, -1) if path[:length] in known), None)


def _path(tree: Any) -> KeyPath:
    """The only key of a document, or its only table."""
    path: list[str] = []
    while True:
        if isinstance(tree, list):
            # of [[tables]]
            tree = tree[0]
        elif isinstance(tree, dict) and tree:
            ((name, tree),) = tree.items()
            path.append(name)
        else:
            return tuple(path)


def _blank(text: str, at: int) -> int:
    """The next character that is neither white space nor in a comment."""
    while at < len(text) and (text[at].isspace() or text[at] == "#"):
        at = _end_of_comment(text, at) if text[at] == "#" else at + 1
    return at


def _end_of_comment(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _equals(text: str, at: int) -> int:
    """The = behind a key, whose parts may be quoted."""
    while text[at : at + 1] != "=":
        string = _STRING.match(text, at)
        at = string.end() if string else at + 1
        if at > len(text):
            raise ValueError("no =")
    return at


def _end_of_line(text: str, at: int) -> int:
    """Where a header or a value ends: at the end of a line, outside of strings and brackets."""
    depth = 0
    while at < len(text):
        character = text[at]
        if character == "\n" and depth <= 0:
            return at
        if character == "#":
            at = _end_of_comment(text, at)
            continue
        string = _STRING.match(text, at) if character in "\"'" else None
        if string is not None:
            at = string.end()
            continue
        depth += (character in "[{") - (character in "]}")
        at += 1
    return at
