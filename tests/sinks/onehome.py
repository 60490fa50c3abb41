"""What Home Assistant is told of one camera and one stick, on a virtual clock."""

from __future__ import annotations

import json
from typing import Any

from ncs_cluster.sinks._mqtt_discovery import About
from ncs_cluster.sinks._mqtt_home import Home
from ncs_cluster.status import Status
from ncs_cluster.types import Detection, Outcome, Record
from tests.sinks.onestatus import camera, status, stick

ABOUT = About("pi", "ncs_cluster", "homeassistant", "http://pi:8080/", "1.2", commands=False, image=False)

BASE = "ncs_cluster/pi/"

HOLD_S = 10.0

ONE = status([stick("sim-1")], [camera("door")])


def home(about: About = ABOUT, labels: dict[str, list[str]] | None = None, shown: str = "") -> Home:
    made = Home(about, {"door": ["person", "dog"]} if labels is None else labels, hold_s=HOLD_S, image_s=10.0, shown=shown)
    made.connected()
    return made


def sent(of: Home, now_s: float) -> dict[str, bytes]:
    """Everything that is due, sent; no topic comes twice. The node's prefix is left out."""
    found: dict[str, bytes] = {}
    of.tick(now_s)
    for message in of.due(now_s):
        assert message.topic not in found
        found[message.topic.removeprefix(BASE)] = message.payload
        of.sent(message, now_s)
    return found


def seen(*labels: str, camera: str = "door", graph: str = "demo", error: str | None = None) -> Record:
    found = [Detection(label, 1, 0.9, (0.1, 0.1, 0.2, 0.2)) for label in labels]
    return Record(camera, 0, 1.7e9, None, "sim-1", graph, 0.05, Outcome(found, error=error))


def told(of: Home, now_s: float, document: Status) -> dict[str, bytes]:
    of.status(document, now_s)
    return sent(of, now_s)


def components(payload: bytes) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(payload)["components"]
    return found
