"""A form that carries files, multipart/form-data: RFC 7578, RFC 2046 section 5.1.

The body lies whole in memory, where its size is bounded, so a part is a slice of it and nothing is written to a disk. Names may be
unquoted and the boundary quoted, as .NET's clients write them.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

MOST_PARTS = 64
MOST_HEADER = 8192
"""Bytes of the headers of one part."""
_PARAMETER = re.compile(r';\s*([\w*.-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"\s]*))')


class BadForm(Exception):
    """The reason why a body is no form."""


class Part(NamedTuple):
    """One field. `filename` is None where the part does not say that it is a file."""

    name: str
    filename: Optional[str]
    data: bytes


def parse(body: bytes, content_type: str) -> list[Part]:
    """The parts of a form, in order. `content_type`: the request's header. Raises BadForm."""
    kind, given = _with_parameters(content_type)
    if kind != "multipart/form-data":
        raise BadForm("send the picture as a form: Content-Type: multipart/form-data, with a file `image`")
    boundary = given.get("boundary", "").encode("latin-1", "replace")
    if not 1 <= len(boundary) <= 200:
        raise BadForm("the Content-Type of the form has no boundary")
    delimiter = b"\r\n--" + boundary
    parts: list[Part] = []
    # the first delimiter may be the body's first line
    at = len(delimiter) - 2 if body.startswith(delimiter[2:]) else _after(body, delimiter, 0)
    while not body.startswith(b"--", at):
        if len(parts) == MOST_PARTS:
            raise BadForm(f"the form has more than {MOST_PARTS} fields")
        line_end = body.find(b"\r\n", at, at + MOST_HEADER)
        if line_end < 0 or body[at:line_end].strip(b" \t"):
            raise BadForm("the form is malformed: no line ends after its boundary")
        part, at = _part(body, line_end, delimiter)
        if part is not None:
            parts.append(part)
    return parts


def _part(body: bytes, line_end: int, delimiter: bytes) -> tuple[Optional[Part], int]:
    """The part whose first header follows the line that ends at `line_end`, None for one without a name; and where it ends."""
    header_end = body.find(b"\r\n\r\n", line_end, line_end + MOST_HEADER)
    if header_end < 0:
        raise BadForm("the form is malformed: a field's headers do not end")
    end = _after(body, delimiter, header_end + 2)
    data = body[header_end + 4 : end - len(delimiter)]
    for line in body[line_end:header_end].decode("utf-8", "replace").split("\r\n"):
        header, _, value = line.partition(":")
        if header.strip().lower() == "content-disposition":
            given = _with_parameters(value)[1]
            return (Part(given["name"], given.get("filename"), data) if "name" in given else None), end
    return None, end


def _after(body: bytes, delimiter: bytes, start: int) -> int:
    """Where the next delimiter line's own text ends."""
    while (found := body.find(delimiter, start)) >= 0:
        end = found + len(delimiter)
        if body[end : end + 2] in (b"\r\n", b"--") or body[end : end + 1] in (b" ", b"\t"):
            return end
        start = found + 2
    raise BadForm("the form is cut off: its last boundary is missing")


def _with_parameters(header: str) -> tuple[str, dict[str, str]]:
    """A header's value in lower case, and its parameters; the first of each name counts."""
    value, _, _ = header.partition(";")
    given: dict[str, str] = {}
    for found in _PARAMETER.finditer(header):
        text = found.group(3) if found.group(2) is None else re.sub(r"\\(.)", r"\1", found.group(2))
        given.setdefault(found.group(1).lower(), text)
    return value.strip().lower(), given
