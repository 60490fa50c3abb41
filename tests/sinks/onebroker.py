"""A sink in front of a broker, with a daemon that says what the test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ncs_cluster.errors import NotRunning
from ncs_cluster.sinks.mqtt import Mqtt, Options
from ncs_cluster.status import Event, Status
from ncs_cluster.types import Detection, Outcome, Record
from tests.sinks.onestatus import camera, status, stick

CONFIG = "homeassistant/device/ncs_cluster_pi/config"

BASE = "ncs_cluster/pi/"

ONE = status([stick("sim-1")], [camera("door")])


class Told:
    """An Observer that tells what the test sets."""

    def __init__(self, document: Status | None = ONE) -> None:
        self.document = document
        self.switches = 0
        self.happened: list[Event] = []
        self._happened = threading.Event()

    def status(self) -> Status:
        if self.document is None:
            raise NotRunning("there is no daemon")
        return self.document

    def set(self, document: Status) -> None:
        self.document = document
        self._happened.set()

    def wait(self, timeout_s: float) -> None:
        self._happened.wait(timeout_s)
        self._happened.clear()

    def wake(self) -> None:
        self._happened.set()

    def switch(self) -> str:
        self.switches += 1
        return "switched"

    def events(self) -> list[Event]:
        found, self.happened = self.happened, []
        return found

    def picture(self, camera: str) -> bytes:
        return b"\xff\xd8" + camera.encode() * 200_000


@contextmanager
def sink(port: int, daemon: Told | None = None, **options: Any) -> Iterator[Mqtt]:
    """An open sink, closed when the block is left."""
    options = {"labels": {"door": ["person", "dog"]}, "node": "pi", **options}
    opened = Mqtt(Options("127.0.0.1", port, **options), daemon or Told())
    assert opened.open(7, None) == (7, b"")
    try:
        yield opened
    finally:
        opened.close()


def seen(*labels: str) -> Record:
    return Record(
        "door", 0, 1.7e9, None, "sim-1", "demo", 0.05, Outcome([Detection(each, 1, 0.9, (0, 0, 1, 1)) for each in labels])
    )


def online(found: dict[str, bytes]) -> bool:
    """The device is there with a value for each of its components."""
    if CONFIG not in found or found.get(BASE + "availability") != b"online":
        return False
    return all(part.get("state_topic", CONFIG) in found for part in json.loads(found[CONFIG])["components"].values())
