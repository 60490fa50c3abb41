"""What each camera sees: whether a label is there, held for a while, and how often. Pure. Runs on CPython 3.9."""

from __future__ import annotations

from collections import Counter
from typing import Dict, List, NamedTuple, Set, Tuple

from ncs_cluster.types import Record


class Sight(NamedTuple):
    """What is known of one label of one camera."""

    camera: str
    label: str
    there: bool
    objects: int
    """Objects in the newest frame of each graph, added up."""


class Seen:
    """The labels that count, by camera. Records of other cameras and labels are left out."""

    def __init__(self, labels: Dict[str, List[str]], hold_s: float) -> None:
        """`hold_s`: a label stays there for so long after the last frame with it."""
        self.labels, self._hold_s = labels, hold_s
        self._wanted = {camera: frozenset(each) for camera, each in labels.items()}
        self._counts: Dict[str, Dict[str, Counter[str]]] = {}
        """By camera and graph."""
        self._until: Dict[Tuple[str, str], float] = {}
        """The end of each label that is there."""

    def record(self, record: Record, now_s: float) -> List[Sight]:
        """What the record may have changed."""
        wanted = self._wanted.get(record.stream)
        if not wanted or record.outcome.error is not None:
            return []
        graphs = self._counts.setdefault(record.stream, {})
        before = set(graphs.get(record.graph, ()))
        found = graphs[record.graph] = Counter(each.label for each in record.outcome.detections if each.label in wanted)
        for label in found:
            self._until[record.stream, label] = now_s + self._hold_s
        return [self._sight(record.stream, label) for label in sorted(before | set(found))]

    def expire(self, now_s: float) -> List[Sight]:
        """Labels whose time is over."""
        over = [key for key, until_s in self._until.items() if until_s <= now_s]
        for camera, label in over:
            del self._until[camera, label]
            for found in self._counts[camera].values():
                # no newer frame has come: the camera may have lost its signal
                del found[label]
        return [self._sight(camera, label) for camera, label in over]

    def next_s(self) -> float:
        return min(self._until.values(), default=float("inf"))

    def all(self) -> List[Sight]:
        """Every label of every camera."""
        return [self._sight(camera, label) for camera, labels in self.labels.items() for label in labels]

    def busy(self) -> Set[str]:
        """Cameras that see something."""
        return {camera for camera, _ in self._until}

    def _sight(self, camera: str, label: str) -> Sight:
        count = sum(found[label] for found in self._counts.get(camera, {}).values())
        return Sight(camera, label, (camera, label) in self._until, count)
