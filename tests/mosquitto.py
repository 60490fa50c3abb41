"""A real MQTT broker, and what a subscriber of it gets."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection
from typing import NamedTuple

from tests.free_port import free_port
from tests.needs import need_module, need_program
from tests.tied import TIED

DAEMON = "/usr/sbin/mosquitto"
WAIT_S = 60.0
"""Generous: other tests run on the same processors."""


class Got(NamedTuple):
    """One message."""

    topic: str
    payload: bytes
    retained: bool
    """The broker had it before it was asked."""


class Broker:
    """mosquitto on a port of this machine; `lines` are more of its configuration."""

    def __init__(self, folder: Path, *lines: str) -> None:
        need_module("paho.mqtt.client")
        # Debian has it where only root's PATH looks
        self._program = DAEMON if os.access(DAEMON, os.X_OK) else need_program("mosquitto", "mosquitto")
        need_program("mosquitto_sub", "mosquitto-clients")
        self.port = free_port()
        self._configuration = folder / "mosquitto.conf"
        user = "user root\n" if folder.owner() == "root" else ""
        access = "" if lines else "allow_anonymous true\n"
        self._configuration.write_text("\n".join([f"{user}{access}listener {self.port} 127.0.0.1", *lines, ""]))
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*TIED, self._program, "-c", str(self._configuration)], stdout=log, stderr=log)
        until_s = time.monotonic() + WAIT_S
        while True:
            try:
                create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < until_s, "mosquitto does not listen"
                time.sleep(0.02)

    def kill(self) -> None:
        """What it retained is gone: it keeps no file."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

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
