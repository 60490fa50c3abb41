"""What Home Assistant is told: status, records and time in, messages out. Pure: time is an argument. Runs on CPython 3.9.

States are due at once, numbers at most once in an interval, and nothing is due while nothing changes, but for temperatures, which
expire at the reader. Everything is retained, and sent again where the broker or Home Assistant has started anew.
"""

from __future__ import annotations

import json
from typing import Dict, List, Optional, Tuple, Union

from ncs_cluster.sinks import _mqtt_discovery as discovery
from ncs_cluster.sinks import _mqtt_names as names
from ncs_cluster.sinks._mqtt_discovery import EXPIRE_S, About, Component
from ncs_cluster.sinks._mqtt_names import words
from ncs_cluster.sinks._mqtt_outgoing import Message, Outgoing
from ncs_cluster.sinks._mqtt_seen import Seen, Sight
from ncs_cluster.status import CameraStatus, Status, StickStatus
from ncs_cluster.types import Record

ONLINE, OFFLINE = b"online", b"offline"
ON, OFF = b"ON", b"OFF"
UNKNOWN = b"None"
"""Home Assistant's payload for an unknown value."""
REFRESH_S = EXPIRE_S / 3
FORGET_S = 60.0
"""So long after the first status, what an earlier daemon has published and this one does not know is removed: sticks that are found
on a bus are not all there from the start."""
HOME_AGAIN_S = 5.0
"""Home Assistant's starts within so long count as one."""
MOST_TOPICS = 10_000
"""Of an earlier daemon that are removed; whoever may publish at the broker may invent them."""
LONGEST_STATE = 255
"""Characters; Home Assistant refuses more."""
TROUBLED = ("no-signal", "backoff")


class Home:
    """The device and its values. Nothing is due before the first status and the first connection."""

    def __init__(
        self, about: About, labels: Dict[str, List[str]], *, hold_s: float, image_s: float, number_s: float = 1.0, shown: str = ""
    ) -> None:
        """`labels`: of each camera. `image_s`: least time between two pictures of a camera. `number_s`: between two
        values of a number. `shown`: the broker as the status names this sink; what ails the way to it is no problem for those who
        read the messages that pass it."""
        self.about = about
        self._shown, self._image_s, self._number_s = shown, image_s, number_s
        self._seen = Seen(labels, hold_s)
        self._labels = {camera: words(each) for camera, each in labels.items()}
        self._cameras: Dict[str, str] = {}
        self._sticks: Dict[str, str] = {}
        self._outgoing = Outgoing()
        self._components: Dict[str, Component] = {}
        self._shape: Optional[Tuple[object, ...]] = None
        """What the components were made of."""
        self._removed: Dict[str, Component] = {}
        self._earlier: Dict[str, Component] = {}
        """Components of an earlier daemon that this one does not have yet."""
        self._earlier_topics: Dict[str, None] = {}
        self._first_status_s: Optional[float] = None
        self._connected = False
        self._home_s = float("-inf")
        self._pictured_s: Dict[str, float] = {}

    # -- what happens

    def earlier(self, topic: str, payload: bytes) -> None:
        """A retained message that the broker had before this process published anything."""
        if topic == self.about.config:
            self._earlier = {key: part for key, part in discovery.kept(payload).items() if key not in self._components}
            if self._components:
                self._tell()
        elif payload and names.publishable(topic, self.about.base) and len(self._earlier_topics) < MOST_TOPICS:
            self._earlier_topics[topic] = None

    def connected(self) -> None:
        """The broker listens; it may have lost everything."""
        self._connected = True
        self._outgoing.resend()

    def disconnected(self) -> None:
        self._connected = False

    def home_online(self, now_s: float) -> None:
        """Home Assistant has started: it gets everything again."""
        if now_s - self._home_s >= HOME_AGAIN_S:
            self._home_s = now_s
            self._outgoing.resend()

    def status(self, status: Status, now_s: float) -> None:
        if self._first_status_s is None:
            self._first_status_s = now_s
        self._daemon(status)
        names = (*((each.id, each.name) for each in status.sticks), *(each.name for each in status.cameras))
        shape = (*names, status.fallback is not None)
        if shape != self._shape:
            self._shape = shape
            self._reshape(status)
        for stick in status.sticks:
            self._stick(stick, f"{self.about.base}/stick/{self._sticks[stick.id]}", now_s)
        for camera in status.cameras:
            self._camera(camera)
        self._outgoing.put(self.about.availability, ONLINE)
        self.tick(now_s)

    def record(self, record: Record, now_s: float) -> None:
        for sight in self._seen.record(record, now_s):
            self._sight(sight)

    def picture(self, camera: str, jpeg: bytes) -> None:
        """The answer to `pictures_due`."""
        if camera in self._cameras:
            self._outgoing.put(f"{self._at(camera)}/image", jpeg)

    def tick(self, now_s: float) -> None:
        """What changes by time alone."""
        for sight in self._seen.expire(now_s):
            self._sight(sight)
        old = self._earlier or self._earlier_topics
        if old and self._first_status_s is not None and now_s - self._first_status_s >= FORGET_S:
            self._forget_earlier()

    # -- what follows

    def due(self, now_s: float) -> List[Message]:
        """The messages to be sent now. `sent` is to be called with each."""
        return self._outgoing.due(now_s) if self._connected and self._first_status_s is not None else []

    def sent(self, message: Message, now_s: float) -> None:
        self._outgoing.sent(message, now_s)

    def next_s(self) -> float:
        """When `tick` or `due` have something to do, if nothing happens before."""
        due_s = self._outgoing.next_s() if self._connected and self._first_status_s is not None else float("inf")
        return min(due_s, self._seen.next_s())

    def farewell(self) -> Message:
        """The last message of a daemon that stops; the broker's, where it dies."""
        return Message(self.about.availability, OFFLINE)

    def pictures_due(self, now_s: float) -> List[str]:
        """Cameras that see something and whose picture is old; they count as pictured now."""
        if not (self.about.image and self._connected):
            return []
        due = [
            camera
            for camera in sorted(self._seen.busy() & set(self._cameras))
            if now_s - self._pictured_s.get(camera, float("-inf")) >= self._image_s
        ]
        self._pictured_s.update(dict.fromkeys(due, now_s))
        return due

    # -- values

    def _daemon(self, status: Status) -> None:
        at = f"{self.about.base}/daemon"
        own = next((sink.detail for sink in status.sinks if sink.path == self._shown and sink.detail), None)
        reasons = [reason for reason in status.daemon.reasons if own is None or not reason.endswith(own)]
        problem = bool(reasons) or (status.daemon.state != "ok" and not status.daemon.reasons)
        self._outgoing.put(f"{at}/problem", ON if problem else OFF)
        self._outgoing.put(f"{at}/reasons", _json({"reasons": reasons}))
        self._number(f"{at}/detections_per_s", round(sum(each.detection_fps for each in status.cameras), 1))
        if status.fallback is not None:
            self._outgoing.put(f"{at}/fallback", ON if status.fallback.serving else OFF)
        # under predictive the turns may be short
        active = ", ".join(status.clusters.active)
        shown = active if len(active) <= LONGEST_STATE else active[: LONGEST_STATE - 1] + "…"
        self._outgoing.put(f"{at}/active", shown.encode() or UNKNOWN, every_s=self._number_s)

    def _stick(self, stick: StickStatus, at: str, now_s: float) -> None:
        self._number(f"{at}/temperature", stick.temperature_c)
        # only here: where the daemon hangs, its last temperatures shall expire
        self._outgoing.refresh(f"{at}/temperature", now_s - REFRESH_S)
        self._outgoing.put(f"{at}/state", stick.state.encode())
        self._number(f"{at}/fps", stick.fps)
        self._number(f"{at}/throttle_level", stick.throttle_level)
        self._number(f"{at}/restarts", stick.restarts)

    def _camera(self, camera: CameraStatus) -> None:
        at = self._at(camera.name)
        self._outgoing.put(f"{at}/problem", ON if camera.state in TROUBLED else OFF)
        self._outgoing.put(f"{at}/about", _json({"state": camera.state, "detail": camera.detail}))

    def _sight(self, sight: Sight) -> None:
        if sight.camera in self._cameras:
            at = f"{self._at(sight.camera)}/label/{self._labels[sight.camera][sight.label]}"
            self._outgoing.put(f"{at}/occupancy", ON if sight.there else OFF)
            self._number(f"{at}/count", sight.objects)

    def _number(self, topic: str, value: Union[float, int, None]) -> None:
        self._outgoing.put(topic, UNKNOWN if value is None else f"{value}".encode(), every_s=self._number_s)

    def _at(self, camera: str) -> str:
        return f"{self.about.base}/camera/{self._cameras[camera]}"

    # -- what comes and goes

    def _reshape(self, status: Status) -> None:
        """Sticks or cameras have come or gone."""
        components = discovery.daemon(self.about, fallback=status.fallback is not None)
        self._sticks = words(each.id for each in status.sticks)
        for stick in status.sticks:
            components.update(discovery.stick(self.about, self._sticks[stick.id], stick.name or stick.id))
        self._cameras = words(each.name for each in status.cameras)
        for camera in status.cameras:
            labels = self._labels.get(camera.name, {})
            components.update(discovery.camera(self.about, self._cameras[camera.name], camera.name, labels))
        self._replace(components)
        for sight in self._seen.all():
            self._sight(sight)
        self._tell()

    def _tell(self) -> None:
        self._outgoing.put(self.about.config, discovery.payload(self.about, {**self._earlier, **self._removed, **self._components}))

    def _replace(self, components: Dict[str, Component]) -> None:
        gone = {key: part for key, part in self._components.items() if key not in components}
        for part in gone.values():
            for topic in discovery.topics_of(part):
                self._outgoing.forget(topic)
        self._removed.update({key: discovery.removed(part) for key, part in gone.items()})
        for key in components:
            self._removed.pop(key, None)
            self._earlier.pop(key, None)
        self._components = components

    def _forget_earlier(self) -> None:
        self._removed.update({key: discovery.removed(part) for key, part in self._earlier.items()})
        self._earlier = {}
        # among them is the picture of a camera that has seen nothing since
        ours = {topic for part in self._components.values() for topic in discovery.topics_of(part)}
        for topic in self._earlier_topics:
            if topic not in self._outgoing and topic not in ours:
                self._outgoing.forget(topic)
        self._earlier_topics = {}
        self._tell()


def _json(value: Dict[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
