"""Names in topics and in Home Assistant's ids: letters of ASCII, digits, "_" and "-". Pure. Runs on CPython 3.9."""

from __future__ import annotations

import re
import zlib
from typing import Dict, Iterable

_OTHER = re.compile(r"[^A-Za-z0-9_-]+")
LONGEST = 64
LONGEST_TOPIC = 1000
"""Characters of a topic that is ours to remove."""


def word(text: str) -> str:
    """One level of a topic: "traffic light" is traffic_light. Different texts may give one word: see `words`."""
    return _OTHER.sub("_", text).strip("_")[:LONGEST]


def words(texts: Iterable[str]) -> Dict[str, str]:
    """A word of its own for each text. Where the letters alone do not tell two apart, or nothing is left of one, a checksum of the
    text follows, so the word does not depend on the order of the texts."""
    found = {text: word(text) for text in texts}
    taken = list(map(str.lower, found.values()))
    return {text: made if made and taken.count(made.lower()) == 1 else _told(made, text) for text, made in found.items()}


def publishable(topic: str, base: str) -> bool:
    """Whether a topic that a broker names is one below `base` to which a message can be sent. A broker that breaks the protocol may
    name others, whose messages the library refuses."""
    return topic.startswith(base + "/") and len(topic) <= LONGEST_TOPIC and topic.isprintable() and not set(topic) & set("+#")


def entity(text: str) -> str:
    """The part of an entity's id behind the dot."""
    return re.sub(r"_+", "_", word(text).lower().replace("-", "_")).strip("_")


def _told(made: str, text: str) -> str:
    return f"{made}_{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}".lstrip("_")
