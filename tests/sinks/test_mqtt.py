"""The sink against a real broker, with a daemon that says what the test wants."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server, socket
from typing import Any

import pytest

from ncs_cluster.errors import ConfigError, NotRunning
from ncs_cluster.plugins import made
from ncs_cluster.sinks import SINKS, _mqtt_home, _mqtt_link, mqtt
from ncs_cluster.sinks._mqtt_link import Backoff
from ncs_cluster.sinks.mqtt import Mqtt, Options
from ncs_cluster.status import Status
from ncs_cluster.types import Detection, Outcome, Record
from tests.mosquitto import WAIT_S, Broker, broker
from tests.needs import need_module, need_program
from tests.sinks.onestatus import camera, status, stick

PASSWORD = "canary-4711"
CONFIG = "homeassistant/device/ncs_cluster_pi/config"
BASE = "ncs_cluster/pi/"
ONE = status([stick("sim-1")], [camera("door")])


class Told:
    """An Observer that tells what the test sets."""

    def __init__(self, document: Status | None = ONE) -> None:
        self.document = document
        self.switches = 0
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


def until(holds: Callable[[], object], what: str) -> None:
    until_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < until_s, f"not in {WAIT_S:g} s: {what}"
        time.sleep(0.02)


def seen(*labels: str) -> Record:
    return Record(
        "door", 0, 1.7e9, None, "sim-1", "demo", 0.05, Outcome([Detection(each, 1, 0.9, (0, 0, 1, 1)) for each in labels])
    )


def online(found: dict[str, bytes]) -> bool:
    """The device is there with a value for each of its components."""
    if CONFIG not in found or found.get(BASE + "availability") != b"online":
        return False
    return all(part.get("state_topic", CONFIG) in found for part in json.loads(found[CONFIG])["components"].values())


def test_a_start_a_state_and_a_stop_reach_the_broker_and_stay_there(tmp_path: Path) -> None:
    daemon = Told()
    with broker(tmp_path) as place:
        with place.listening() as listener, sink(place.port, daemon):
            first = listener.until(online, "the start")
            daemon.set(status([stick("sim-1", state="resting")], [camera("door")]))
            listener.until(lambda found: found[BASE + "stick/sim-1/state"] == b"resting", "the state")
            listener.until(lambda found: found[BASE + "daemon/active"] == b"None", "the active cluster")
        with place.listening() as late:
            after = late.until(lambda found: len(found) == len(first), "what is retained")
            assert all(each.retained for each in late.got)
    assert after == {
        **first,
        BASE + "stick/sim-1/state": b"resting",
        BASE + "daemon/active": b"None",
        BASE + "availability": b"offline",
    }
    assert json.loads(first[CONFIG])["components"]["stick_sim-1_state"]["state_topic"] == BASE + "stick/sim-1/state"


def test_records_are_taken_at_once_while_the_broker_is_away_and_the_newest_values_follow(tmp_path: Path) -> None:
    with broker(tmp_path) as place, sink(place.port) as opened:
        with place.listening() as listener:
            listener.until(online, "the start")
        place.kill()
        until(lambda: opened.trouble(), "the loss is noticed")
        for _ in range(1000):
            assert opened.write(seen("person")) == b""
        assert opened.write(seen("dog", "dog")) == b""
        until(lambda: "Connection refused" in str(opened.trouble()), "the reason is told")
        assert opened.trouble() == f"the MQTT broker 127.0.0.1:{place.port} cannot be used: Connection refused"
        place.start()
        with place.listening() as listener:
            found = listener.until(online, "everything again")
        assert (found[BASE + "camera/door/label/dog/occupancy"], found[BASE + "camera/door/label/dog/count"]) == (b"ON", b"2")
        assert found[BASE + "camera/door/label/person/count"] == b"0"
        assert CONFIG in found
        until(lambda: opened.trouble() is None, "the trouble is over")


def test_a_broker_that_hangs_is_told_of_and_is_no_reason_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mqtt_link, "KEEPALIVE_S", 1)
    with broker(tmp_path) as place, sink(place.port) as opened:
        with place.listening() as listener:
            listener.until(online, "the start")
        place.freeze()
        try:
            for _ in range(1000):
                opened.write(seen("person"))
            until(lambda: opened.trouble(), "the hang is noticed")
            assert str(opened.trouble()).endswith("cannot be used: it does not answer")
        finally:
            place.thaw()
        until(lambda: opened.trouble() is None, "it is used again")


def test_a_broker_that_takes_no_more_bytes_gets_no_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mqtt_link, "STALLED_S", 0.5)
    with broker(tmp_path) as place, sink(place.port, image=True) as opened:
        with place.listening() as listener:
            listener.until(online, "the start")
        place.freeze()
        try:
            opened.write(seen("person"))
            for size in range(20):
                # larger than the buffers of a socket
                opened._home.picture("door", b"%d" % size * 4_000_000)
                opened._link.wake()
            until(lambda: "takes no messages" in str(opened.trouble()), "the jam is noticed")
        finally:
            place.thaw()
        until(lambda: opened.trouble() is None, "it is used again")


def test_a_topic_that_is_no_text_is_passed_over() -> None:
    """No broker that keeps to the protocol sends one."""
    need_module("paho.mqtt.client")
    with create_server(("127.0.0.1", 0)) as listener, sink(listener.getsockname()[1]):
        listener.settimeout(WAIT_S)
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(WAIT_S)
            assert_comes(peer, b"MQTT")
            peer.sendall(b"\x20\x02\x00\x00" + b"\x31\x05\x00\x02\xff\xfe1")
            assert_comes(peer, b"homeassistant/status")
            peer.sendall(b"\x90\x04\x00\x01\x00\x00" + b"\x90\x03\x00\x02\x00")
            assert_comes(peer, BASE.encode() + b"availabilityonline")


def test_what_the_broker_has_of_an_earlier_daemon_keeps_nobody_from_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be more than comes in time; here the connection ends before it is there."""
    need_module("paho.mqtt.client")
    monkeypatch.setattr(_mqtt_link, "FIRST_WAIT_S", 0.01)
    with create_server(("127.0.0.1", 0)) as listener, sink(listener.getsockname()[1]):
        listener.settimeout(WAIT_S)
        for _ in range(_mqtt_link.MOST_ADOPTIONS):
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(WAIT_S)
                assert_comes(peer, b"MQTT")
                peer.sendall(b"\x20\x02\x00\x00")
                assert_comes(peer, BASE.encode() + b"#")
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(WAIT_S)
            assert_comes(peer, b"MQTT")
            peer.sendall(b"\x20\x02\x00\x00")
            assert_comes(peer, b"\x00\x01\x00\x14homeassistant/status")
            peer.sendall(b"\x90\x03\x00\x01\x00")
            assert_comes(peer, BASE.encode() + b"availabilityonline")


def assert_comes(peer: socket, wanted: bytes) -> None:
    """The bytes come before the connection ends."""
    got = b""
    while wanted not in got:
        more = peer.recv(65536)
        assert more, f"the connection has ended before {wanted!r}"
        got += more


def test_home_assistant_gets_everything_again_when_it_starts(tmp_path: Path) -> None:
    with broker(tmp_path) as place, place.listening() as listener, sink(place.port):
        first = listener.until(online, "the start")
        before = len(listener.got)
        place.publish("homeassistant/status", "online")
        until(lambda: len(listener.got) >= before + 1 + len(first), "everything again")
        again = {each.topic: each.payload for each in listener.got[before:]}
    assert again == {**first, "homeassistant/status": b"online"}


def test_sticks_of_an_earlier_daemon_are_removed_from_the_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mqtt_home, "FORGET_S", 2.0)
    with broker(tmp_path) as place:
        with place.listening() as listener, sink(place.port, Told(status([stick("sim-1"), stick("sim-2")], []))):
            listener.until(online, "the start")
        place.publish("ncs_cluster/other/stick/x/state", "active", retain=True)
        with place.listening() as listener, sink(place.port, Told(status([stick("sim-1")], []))):
            listener.until(lambda found: online(found) and not any("sim-2" in topic for topic in found), "its topics go")
            found = listener.until(lambda found: b"stick_sim-2_state" in found[CONFIG], "its components stay as removed")
    assert json.loads(found[CONFIG])["components"]["stick_sim-2_state"] == {"platform": "sensor"}
    assert found["ncs_cluster/other/stick/x/state"] == b"active", "another node's"


def test_a_button_works_where_commands_are_allowed_but_not_from_a_retained_message_nor_too_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "COMMANDS_S", 3600.0)
    daemon = Told()
    with broker(tmp_path) as place, place.listening() as listener:
        place.publish(BASE + "command/switch", "PRESS", retain=True)
        with sink(place.port, daemon, commands=True):
            listener.until(online, "the start")
            place.publish(BASE + "command/switch", "press")
            place.publish(BASE + "command/reboot", "PRESS")
            assert daemon.switches == 0
            place.publish(BASE + "command/switch", "PRESS")
            until(lambda: daemon.switches, "the switch")
            place.publish(BASE + "command/switch", "PRESS")
            # what follows the command has been handled
            daemon.set(status([stick("sim-1", state="resting")], []))
            listener.until(lambda found: found[BASE + "stick/sim-1/state"] == b"resting", "the state")
            assert daemon.switches == 1


def test_commands_are_off_by_default(tmp_path: Path) -> None:
    daemon = Told()
    with broker(tmp_path) as place, place.listening() as listener, sink(place.port, daemon):
        listener.until(online, "the start")
        place.publish(BASE + "command/switch", "PRESS")
        # what follows the command has been handled
        daemon.set(status([stick("sim-1", state="resting")], []))
        found = listener.until(lambda found: found.get(BASE + "stick/sim-1/state") == b"resting", "the state")
    assert daemon.switches == 0
    assert "button" not in {part["platform"] for part in json.loads(found[CONFIG])["components"].values()}


def test_a_picture_of_what_is_seen_is_published_whole(tmp_path: Path) -> None:
    with broker(tmp_path) as place, place.listening() as listener, sink(place.port, image=True) as opened:
        listener.until(online, "the start")
        assert BASE + "camera/door/image" not in listener.now()
        opened.write(seen("person"))
        found = listener.until(lambda found: BASE + "camera/door/image" in found, "the picture")
    assert found[BASE + "camera/door/image"] == b"\xff\xd8" + b"door" * 200_000


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 and its key."""
    openssl = need_program("openssl", "openssl")
    made_, key = folder / "cert.pem", folder / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    command += ["-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made_)]
    subprocess.run(command, check=True, capture_output=True)
    return made_, key


# paho leaves a socket to the garbage collector whose TLS handshake has failed
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_a_broker_with_tls_and_a_password_is_used_and_a_refusal_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    cert, key = certificate(folder)
    passwords = tmp_path / "passwords"
    passwords.touch()
    passwords.chmod(0o700)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "pi", PASSWORD], check=True, capture_output=True)
    tls = {"tls": True, "ca_file": str(cert), "user": "pi", "password": PASSWORD}
    lines = ("allow_anonymous false", f"password_file {passwords}", f"certfile {cert}", f"keyfile {key}")
    with broker(tmp_path, *lines) as place:
        said = {
            "another password": trouble(place, **{**tls, "password": "canary-4712"}),
            "no password": trouble(place, **{**tls, "user": None, "password": None}),
            "the system's authorities": trouble(place, **{**tls, "ca_file": None}),
            "no TLS": trouble(place, **{**tls, "tls": False}),
        }
        with place.listening("--cafile", str(cert), "-u", "pi", "-P", PASSWORD) as listener, sink(place.port, **tls):
            assert CONFIG in listener.until(online, "the start")
    start = f"the MQTT broker 127.0.0.1:{place.port} cannot be used: "
    assert said["another password"] == said["no password"] == start + "Not authorized"
    assert said["the system's authorities"].startswith(start + "its certificate is not accepted: self")
    assert said["no TLS"].startswith(start)
    assert not [text for text in said.values() if "canary" in text or "\n" in text]


def trouble(place: Broker, **options: Any) -> str:
    with sink(place.port, **options) as opened:
        until(lambda: opened.trouble(), "the refusal")
        return str(opened.trouble())


def test_without_paho_the_error_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(ConfigError, match=r"--mqtt needs paho-mqtt 2 .*: pip install 'ncs-cluster\[mqtt\]'$"):
        Mqtt(Options("127.0.0.1"), Told()).open(0, None)


def test_a_sink_may_be_closed_twice_and_before_it_was_open() -> None:
    never = Mqtt(Options("127.0.0.1"), Told())
    never.close()
    never.close()


@pytest.mark.parametrize(
    "options",
    [
        {"host": ""},
        {"host": "a b"},
        {"port": 0},
        {"port": 65536},
        {"node": "a/b"},
        {"node": ""},
        {"prefix": "a/#"},
        {"prefix": "/a"},
        {"prefix": "a/"},
        {"prefix": ""},
        {"discovery_prefix": "+"},
        {"prefix": "$SYS"},
    ],
)
def test_options_that_make_no_topics_or_addresses_are_refused_in_one_line(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        made(SINKS.get("mqtt").options, {"host": "broker", **options})


def test_waits_between_connections_double_up_to_half_a_minute_and_are_never_the_same_for_all() -> None:
    late = Backoff(lambda: 0.0)
    assert [late.next_s() for _ in range(8)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    early = Backoff(lambda: 1.0)
    assert [early.next_s() for _ in range(3)] == [0.5, 1.0, 2.0]
    late.held(5.0)
    assert late.next_s() == 30.0, "a broker that ends each connection at once is no good one"
    late.held(3600.0)
    assert late.next_s() == 1.0


def test_two_daemons_that_use_one_node_are_told_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mqtt_link, "FIRST_WAIT_S", 0.05)
    with broker(tmp_path) as place, sink(place.port) as one, sink(place.port) as other:
        until(
            lambda: any("does another daemon use the node pi?" in str(each.trouble()) for each in (one, other)),
            "each takes the connection from the other",
        )
