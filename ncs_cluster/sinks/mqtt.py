"""MQTT: what the daemon and its cameras see, for Home Assistant, which finds the device by itself. Records are acknowledged at
once, whatever the broker does: they become values, of which the newest counts. Runs on CPython 3.9.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional

from ncs_cluster import __version__
from ncs_cluster.errors import NcsClusterError, one_line
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._mqtt_discovery import About
from ncs_cluster.sinks._mqtt_home import Home
from ncs_cluster.sinks._mqtt_link import Broker, Link, library
from ncs_cluster.sinks.base import Observer, Opened, Parsed, Place
from ncs_cluster.types import Record

POLL_S = 1.0
"""Between two looks at the status while nothing happens."""
LEAST_S = 0.1
"""Between two looks at the status, whatever happens."""
COMMANDS_S = 1.0
"""Between two commands."""
PICTURES_S = 0.5
"""Between two looks for cameras that want a picture."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Where the broker is, and what it gets."""

    __pydantic_config__ = {"extra": "forbid"}

    host: str
    port: int = 1883
    node: str = "ncs"
    user: Optional[str] = None
    password: Optional[str] = None
    tls: bool = False
    ca_file: Optional[str] = None
    prefix: str = "ncs_cluster"
    discovery_prefix: str = "homeassistant"
    page: Optional[str] = None
    commands: bool = False
    image: bool = False
    image_interval_s: float = 10.0
    hold_s: float = 10.0
    interval_s: float = 1.0
    """Least time between two values of a number."""
    labels: Dict[str, List[str]] = field(default_factory=dict)
    """Of each camera."""
    runtime_dir: str = ""
    """Of the daemon whose status is published."""

    def __post_init__(self) -> None:
        if not self.host or any(letter.isspace() or letter == "\0" for letter in self.host):
            raise ValueError("host is missing; name the broker's host")
        if not 1 <= self.port <= 65535:
            raise ValueError(f"port {self.port} is none; give one from 1 to 65535")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.node):
            raise ValueError(f"node {self.node!r} may hold letters, digits, _ and - only, 64 at most")
        for name in ("prefix", "discovery_prefix"):
            text = getattr(self, name)
            if not re.fullmatch(r"[^+#/\0$\s][^+#\0\s]{0,99}(?<!/)", text):
                raise ValueError(f"{name} {text!r} cannot begin a topic; leave out +, # and spaces, and / at its ends")


def parse(spec: str, place: Place) -> Parsed:
    """No SPEC means a broker: its password is no option of a command line."""
    raise ValueError("a broker is given by --mqtt HOST[:PORT], not by --results")


class Mqtt:
    """See base.Sink and base.Remote. The resume token is empty: no record is kept."""

    def __init__(self, options: Options, observer: Observer) -> None:
        self._observer = observer
        self._shown = shown(options.host, options.port)
        about = About(
            options.node,
            options.prefix,
            options.discovery_prefix,
            options.page,
            __version__,
            options.commands,
            options.image,
        )
        self._home = Home(
            about,
            options.labels,
            hold_s=options.hold_s,
            image_s=options.image_interval_s,
            number_s=options.interval_s,
            shown=self._shown,
        )
        self._lock = threading.Lock()
        broker = Broker(options.host, options.port, options.user, options.password, options.tls, options.ca_file)
        self._link = Link(broker, self._home, self._lock, self._press)
        self._pressed, self._pressed_s = threading.Event(), float("-inf")
        self._closing = threading.Event()
        self._opened = False
        self._defect: Optional[str] = None

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        """Does not wait for the broker. Raises ConfigError without paho-mqtt."""
        library()
        if not self._opened:
            self._opened = True
            self._link.start()
            self._start(self._watch, "status")
            if self._home.about.image:
                self._start(self._picture, "pictures")
        return Opened(first, b"")

    def follow(self) -> Optional[bytes]:
        return None

    def write(self, record: Record) -> bytes:
        now_s = time.monotonic()
        with self._lock:
            self._home.record(record, now_s)
            due = self._home.next_s() <= now_s
        if due:
            self._link.wake()
        return b""

    def trouble(self) -> Optional[str]:
        return self._defect or self._link.trouble

    def close(self) -> None:
        if self._opened:
            self._opened = False
            self._closing.set()
            self._link.close()

    def _start(self, work: Callable[[], None], name: str) -> None:
        threading.Thread(target=work, name=name, daemon=True).start()

    def _watch(self) -> None:
        """The thread that follows the status, and does what buttons ask for."""
        while not self._closing.is_set():
            began_s = time.monotonic()
            try:
                if self._pressed.is_set():
                    self._pressed.clear()
                    log.info("a button of MQTT was pressed: %s", one_line(self._observer.switch()))
                status = self._observer.status()
                with self._lock:
                    self._home.status(status, time.monotonic())
            except NcsClusterError as error:
                log.debug("%s", error)
            except Exception as error:
                self._defect = f"the status cannot be told: unexpected {reason(error)}"
            else:
                self._defect = None
                self._link.wake()
            self._closing.wait(max(0.0, began_s + LEAST_S - time.monotonic()))
            self._observer.wait(max(0.0, began_s + POLL_S - time.monotonic()))

    def _picture(self) -> None:
        while not self._closing.wait(PICTURES_S):
            with self._lock:
                cameras = self._home.pictures_due(time.monotonic())
            for camera in cameras:
                try:
                    jpeg = self._observer.picture(camera)
                except NcsClusterError as error:
                    log.debug("no picture of %s: %s", camera, error)
                    continue
                with self._lock:
                    self._home.picture(camera, jpeg)
                self._link.wake()

    def _press(self, command: str) -> None:
        now_s = time.monotonic()
        if command == "switch" and now_s - self._pressed_s >= COMMANDS_S:
            self._pressed_s = now_s
            self._pressed.set()
            self._observer.wake()


def shown(host: str, port: int) -> str:
    """The broker for people."""
    return f"mqtt://{f'[{host}]' if ':' in host else host}:{port}"
