"""A whole daemon and a real broker: what a subscriber gets of a start, a pulled stick, deaths, and a stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from ncs_cluster.config import load
from ncs_cluster.specs import Settings
from ncs_cluster.testing.daemon import Daemon, running
from tests.cli.asking import ncsctl
from tests.mosquitto import Broker, Got, broker

PASSWORD, TOKEN = "canary-4711", "canary-0123456789"
CONFIG = "homeassistant/device/ncs_cluster_pi/config"
BASE = "ncs_cluster/pi/"
LABEL = BASE + "camera/door/label/quarter_1/"


def settings(folder: Path, graph: Path, place: Broker, *more: str) -> Settings:
    argv = ["--backend", "simulated", "--sticks", "2", "--source", "door=synthetic", "--size", "64x48", "--graph", str(graph)]
    argv += ["--threshold", "0.3", "--runtime-dir", str(folder / "run"), "--state-dir", str(folder / "state")]
    return load([*argv, "--mqtt", f"127.0.0.1:{place.port}", "--set", "mqtt.node=pi", *more], {})


def all_is_well(found: dict[str, bytes]) -> bool:
    """Both sticks work, and every value that a test looks at is there: each is a message of its own."""
    expected = {"daemon/problem": b"OFF", "daemon/active": b"sim-1, sim-2", "availability": b"online"}
    if any(found.get(BASE + topic) != payload for topic, payload in expected.items()):
        return False
    return CONFIG in found and found.get(BASE + "stick/sim-1/temperature", b"None") != b"None"


def told_as_absent(came: list[Got]) -> bool:
    """Whether these messages tell of the pulled stick, also where it is plugged in again by now."""
    wanted = {("stick/sim-1/state", b"absent"), ("stick/sim-1/temperature", b"None"), ("daemon/problem", b"ON")}
    reasons = [reason for each in came if each.topic == BASE + "daemon/reasons" for reason in json.loads(each.payload)["reasons"]]
    told = {(each.topic.removeprefix(BASE), each.payload) for each in came}
    return wanted <= told and any(reason.startswith("sim-1 is absent") for reason in reasons)


def refused(daemon: Daemon, place: Broker) -> str:
    """Why nothing reaches the broker, as status tells it once a new connection was tried."""
    why = f"the MQTT broker 127.0.0.1:{place.port} cannot be used: Connection refused"
    daemon.until(
        lambda status: status["sinks"][0]["state"] == "blocked" and status["sinks"][0]["detail"] == why,
        "tells that the broker refuses connections",
    )
    return why


@pytest.mark.slow
def test_a_subscriber_follows_a_daemon_through_a_pulled_stick_a_lost_broker_deaths_and_a_stop(
    tmp_path: Path, small_graph_folder: Path
) -> None:
    with broker(tmp_path) as place, place.listening() as listener:
        given = settings(tmp_path, small_graph_folder, place, "--no-web")
        with running(given) as daemon:
            daemon.well()
            first = listener.until(all_is_well, "all is well")
            listener.until(lambda found: found.get(LABEL + "count") == b"1", "what the camera sees")
            listener.until(lambda found: found.get(LABEL + "occupancy") == b"ON", "that something is there")
            assert 20 < float(first[BASE + "stick/sim-1/temperature"]) < 90
            parts = json.loads(first[CONFIG])["components"]
            assert [key for key in parts if key.endswith("_temperature")] == ["stick_sim-1_temperature", "stick_sim-2_temperature"]

            before = len(listener.got)
            with daemon.client() as client:
                client.trouble("unplug", "sim-1")
            listener.until(lambda _: told_as_absent(listener.got[before:]), "the pulled stick")
            listener.until(lambda found: found[BASE + "stick/sim-1/state"] == b"active", "it is plugged in again")

            os.kill(daemon.child("sink mqtt"), signal.SIGKILL)
            listener.until(lambda found: b"offline" in listener.payloads(BASE + "availability"), "the last will")
            listener.until(lambda found: found[BASE + "availability"] == b"online", "its successor")

            place.kill()
            why = refused(daemon, place)
            shown = ncsctl("status", place=daemon.runtime_dir)
            assert why in shown.stdout
            assert daemon.status()["sinks"][0]["waiting"] <= 64
            place.start()
            with place.listening() as again:
                daemon.well()
                again.until(lambda found: found.get(BASE + "daemon/problem") == b"OFF", "all is well again")
                # what earlier histories of the broker held is told again, though nothing has changed
                wanted = {topic for topic in first if topic.startswith(BASE)}
                again.until(lambda found: wanted <= set(found), "everything again")
                assert daemon.stop() == 0
                again.until(lambda found: found.get(BASE + "availability") == b"offline", "the stop")


def test_a_daemon_that_is_killed_is_offline_and_its_secrets_are_nowhere(tmp_path: Path, small_graph_folder: Path) -> None:
    secret, token, passwords = tmp_path / "secret", tmp_path / "token", tmp_path / "passwords"
    secret.write_text(PASSWORD)
    token.write_text(TOKEN)
    passwords.touch()
    for path in (secret, token, passwords):
        path.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "pi", PASSWORD], check=True, capture_output=True)
    with broker(tmp_path, "allow_anonymous false", f"password_file {passwords}") as place:
        more = [
            "--set",
            "mqtt.user=pi",
            "--set",
            f"mqtt.password_file={secret}",
            "--set",
            "mqtt.image=true",
            "--log-level",
            "debug",
        ]
        more += ["--listen", "127.0.0.1:0", "--token-file", str(token)]
        given = settings(tmp_path, small_graph_folder, place, *more)
        with running(given) as daemon, place.listening("-u", "pi", "-P", PASSWORD) as listener:
            found = listener.until(lambda found: BASE + "camera/door/image" in found, "a picture")
            picture = cv2.imdecode(np.frombuffer(found[BASE + "camera/door/image"], np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None
            assert picture.shape == (48, 64, 3)
            said = [json.dumps(daemon.status()), json.dumps(daemon.events()), repr(given)]
            said += [" ".join([*process.cmdline(), str(process.environ())]) for process in daemon.tree()]
            daemon.process.kill()
            listener.until(lambda found: found.get(BASE + "availability") == b"offline", "the last will")
            said += [daemon.log.read_text(errors="replace"), *(str(each.payload) for each in listener.got)]
    assert not [text for text in said if "canary" in text]
