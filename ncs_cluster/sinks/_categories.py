"""The labels that the results of a job name, with their numbers: kept in a small column of the parts. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Dict, Iterable, List, Tuple

import msgspec

from ncs_cluster.sinks._text import plain

_decode = msgspec.json.Decoder(Tuple[int, str]).decode


class Categories:
    """The categories seen so far."""

    def __init__(self) -> None:
        self.names: Dict[int, str] = {}

    def new(self, found: Iterable[Tuple[int, str]]) -> bytes:
        """The bytes that tell of categories not seen before."""
        lines: List[bytes] = []
        told = set()
        for label_id, label in found:
            if label_id not in self.names and label_id not in told:
                told.add(label_id)
                lines.append(msgspec.json.encode((label_id, plain(label))) + b"\n")
        return b"".join(lines)

    def recall(self, text: bytes) -> None:
        for line in text.splitlines():
            label_id, label = _decode(line)
            self.names.setdefault(label_id, label)

    def sorted(self) -> List[Tuple[int, str]]:
        return sorted(self.names.items())
