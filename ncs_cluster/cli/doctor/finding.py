"""What a check has found: one line, and for a fault one remedy."""

from __future__ import annotations

from msgspec import Struct

PASS, WARN, FAIL, SKIP = "PASS", "WARN", "FAIL", "SKIP"


class Finding(Struct, frozen=True):
    level: str
    """PASS; WARN: works, but not as it should; FAIL: cannot work; SKIP: not looked at, the text says why."""
    text: str
    """One line: what is so, or what is wrong."""
    remedy: str | None = None
    """A command that can be pasted; words where only a hand helps."""
    check: str = ""
    """The name of the check."""


def passed(text: str) -> Finding:
    return Finding(PASS, text)


def warn(text: str, remedy: str) -> Finding:
    return Finding(WARN, text, remedy)


def fail(text: str, remedy: str) -> Finding:
    return Finding(FAIL, text, remedy)


def skip(text: str, remedy: str | None = None) -> Finding:
    return Finding(SKIP, text, remedy)
