"""The sink against a real broker, with a daemon that says what the test wants."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.errors import ConfigError
from ncs_cluster.plugins import made
from ncs_cluster.sinks import SINKS, _mqtt_home, mqtt
from ncs_cluster.sinks.mqtt import Mqtt, Options
from tests.mosquitto import broker
from tests.sinks.onebroker import BASE, CONFIG, Told, online, seen, sink
from tests.sinks.onestatus import camera, status, stick
from tests.waiting import until


def test_a_start_a_state_and_a_stop_reach_the_broker_and_stay_there(tmp_path: Path) -> None:
    daemon = Told()
    with broker(tmp_path) as place:
        with place.listening() as listener, sink(place.port, daemon):
            first = listener.until(online, "the start")
            daemon.set(status([stick("sim-1", state="resting")], [camera("door")]))
            listener.until(lambda found: found.get(BASE + "stick/sim-1/state") == b"resting", "the state")
            listener.until(lambda found: found.get(BASE + "daemon/active") == b"None", "the active cluster")
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
            found = listener.until(lambda found: b"stick_sim-2_state" in found.get(CONFIG, b""), "its components stay as removed")
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
            listener.until(lambda found: found.get(BASE + "stick/sim-1/state") == b"resting", "the state")
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
