"""A real MQTT broker, and what a subscriber of it gets."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.free_port import free_port
from tests.needs import need_module, need_program
from tests.server_process import WAIT_S, ServerProcess
from tests.tied import TIED

DAEMON = "/usr/sbin/mosquitto"


class Got(NamedTuple):
    """One message."""

    topic: str
    payload: bytes
    retained: bool
    """The broker had it before it was asked."""


class Broker(ServerProcess):
    """mosquitto, which keeps no file; `lines` are more of its configuration."""

    def __init__(self, folder: Path, *lines: str) -> None:
        need_module("paho.mqtt.client")
        # Debian has it where only root's PATH looks
        program = DAEMON if os.access(DAEMON, os.X_OK) else need_program("mosquitto", "mosquitto")
        need_program("mosquitto_sub", "mosquitto-clients")
        configuration = folder / "mosquitto.conf"
        super().__init__([program, "-c", str(configuration)], free_port(), folder / "mosquitto.log")
        user = "user root\n" if folder.owner() == "root" else ""
        access = "" if lines else "allow_anonymous true\n"
        configuration.write_text("\n".join([f"{user}{access}listener {self.port} 127.0.0.1", *lines, ""]))

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        command = ["mosquitto_pub", "-p", str(self.port), "-q", "1", "-t", topic, "-m", payload]
        subprocess.run([*command, *["-r"] * retain], check=True, timeout=WAIT_S)

    @contextmanager
    def listening(self, *more: str) -> Iterator[Listener]:
        """A subscriber of all topics. `more`: arguments of mosquitto_sub."""
        command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(self.port), "-t", "#", "-F", "%r %t %x", *more]
        process = subprocess.Popen([*TIED, *command], stdout=subprocess.PIPE)
        listener = Listener(process)
        try:
            yield listener
        finally:
            process.kill()
            process.wait()
            listener.end()


class Listener:
    """Messages in the order in which they came."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.got: list[Got] = []
        self._came = threading.Condition()
        assert process.stdout is not None
        self._lines = process.stdout
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._thread.join(WAIT_S)
        self._lines.close()

    def _read(self) -> None:
        for line in self._lines:
            retained, topic, payload = line.decode().rstrip("\n").split(" ", 2)
            with self._came:
                self.got.append(Got(topic, bytes.fromhex(payload), retained == "1"))
                self._came.notify_all()

    def now(self) -> dict[str, bytes]:
        """The newest payload of each topic; topics that the broker forgot are left out."""
        with self._came:
            newest = {each.topic: each.payload for each in self.got}
        return {topic: payload for topic, payload in newest.items() if payload}

    def until(self, holds: Callable[[dict[str, bytes]], object], what: str) -> dict[str, bytes]:
        """`now`, once it holds."""
        until_s = time.monotonic() + WAIT_S
        while not holds(found := self.now()):
            with self._came:
                assert self._came.wait(0.1) or time.monotonic() < until_s, f"not in {WAIT_S:g} s: {what}\n{found}"
        return found

    def payloads(self, topic: str) -> list[bytes]:
        with self._came:
            return [each.payload for each in self.got if each.topic == topic]


@contextmanager
def broker(folder: Path, *lines: str) -> Iterator[Broker]:
    """A broker that listens."""
    made = Broker(folder, *lines)
    made.start()
    try:
        yield made
    finally:
        made.kill()
