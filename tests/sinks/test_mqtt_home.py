"""What Home Assistant is told, on a virtual clock: complete lists of messages."""

from __future__ import annotations

import json

from msgspec.structs import replace

from ncs_cluster.sinks._mqtt_home import HOME_AGAIN_S, REFRESH_S, Home
from ncs_cluster.sinks._mqtt_outgoing import Message
from ncs_cluster.status import FallbackStatus, SinkStatus
from tests.sinks.onehome import ABOUT, BASE, HOLD_S, ONE, components, home, seen, sent, told
from tests.sinks.onestatus import camera, status, stick


def test_a_fallback_is_an_entity_where_there_is_one() -> None:
    stands_by = FallbackStatus("fallback", True, False, None, 0.0, 0, 0.0)
    of = home()
    assert "fallback" not in components(told(of, 0.0, ONE)[ABOUT.config])
    first = told(of, 1.0, replace(ONE, fallback=stands_by))
    part = components(first[ABOUT.config])["fallback"]
    assert (part["platform"], part["device_class"], part["state_topic"]) == ("binary_sensor", "running", f"{BASE}daemon/fallback")
    assert first["daemon/fallback"] == b"OFF"
    assert told(of, 2.0, replace(ONE, fallback=replace(stands_by, serving=True)))["daemon/fallback"] == b"ON"
    assert told(of, 3.0, replace(ONE, fallback=stands_by))["daemon/fallback"] == b"OFF"


def test_the_first_status_is_told_whole() -> None:
    first = told(home(), 0.0, ONE)
    config = json.loads(first.pop(ABOUT.config))
    assert first == {
        "availability": b"online",
        "daemon/problem": b"OFF",
        "daemon/reasons": b'{"reasons":[]}',
        "daemon/detections_per_s": b"15.0",
        "daemon/active": b"sim-1",
        "stick/sim-1/temperature": b"40.0",
        "stick/sim-1/state": b"active",
        "stick/sim-1/fps": b"20.0",
        "stick/sim-1/throttle_level": b"0",
        "stick/sim-1/restarts": b"0",
        "camera/door/problem": b"OFF",
        "camera/door/about": b'{"state":"running","detail":null}',
        "camera/door/label/person/occupancy": b"OFF",
        "camera/door/label/person/count": b"0",
        "camera/door/label/dog/occupancy": b"OFF",
        "camera/door/label/dog/count": b"0",
    }
    assert config["device"] == {
        "identifiers": ["ncs_cluster_pi"],
        "name": "Neural compute sticks pi",
        "manufacturer": "ncs_cluster",
        "model": "ncs-clusterd",
        "sw_version": "1.2",
        "configuration_url": "http://pi:8080/",
    }
    assert config["origin"] == {"name": "ncs_cluster", "sw_version": "1.2"}
    assert config["availability_topic"] == "ncs_cluster/pi/availability"
    assert config["components"]["stick_sim-1_temperature"] == {
        "platform": "sensor",
        "unique_id": "ncs_cluster_pi_stick_sim-1_temperature",
        "default_entity_id": "sensor.ncs_cluster_pi_stick_sim_1_temperature",
        "name": "sim-1 temperature",
        "state_topic": "ncs_cluster/pi/stick/sim-1/temperature",
        "device_class": "temperature",
        "state_class": "measurement",
        "unit_of_measurement": "°C",
        "suggested_display_precision": 1,
        "expire_after": 180,
    }
    assert {name: part["platform"] for name, part in config["components"].items()} == {
        "problem": "binary_sensor",
        "detections": "sensor",
        "active": "sensor",
        "stick_sim-1_temperature": "sensor",
        "stick_sim-1_state": "sensor",
        "stick_sim-1_fps": "sensor",
        "stick_sim-1_throttle_level": "sensor",
        "stick_sim-1_restarts": "sensor",
        "camera_door_problem": "binary_sensor",
        "camera_door_label_person_occupancy": "binary_sensor",
        "camera_door_label_person_count": "sensor",
        "camera_door_label_dog_occupancy": "binary_sensor",
        "camera_door_label_dog_count": "sensor",
    }


def test_every_value_of_a_component_has_been_told_and_every_told_value_has_a_component() -> None:
    first = told(home(), 0.0, ONE)
    parts = components(first.pop(ABOUT.config)).values()
    topics = [part[key] for part in parts for key in ("state_topic", "json_attributes_topic") if key in part]
    assert sorted(topics) == sorted(BASE + topic for topic in first if topic != "availability")
    assert len({part["unique_id"] for part in parts}) == len(parts)
    assert len({part["default_entity_id"] for part in parts}) == len(parts)


def test_nothing_is_told_before_the_broker_listens_and_a_status_is_known() -> None:
    away = Home(ABOUT, {}, hold_s=HOLD_S, image_s=10.0)
    away.status(ONE, 0.0)
    assert away.due(0.0) == []
    assert home().due(0.0) == []


def test_nothing_is_told_while_nothing_changes_but_temperatures_before_they_expire() -> None:
    door = home()
    told(door, 0.0, ONE)
    later = {now_s: told(door, float(now_s), ONE) for now_s in range(1, 200)}
    assert {now_s: messages for now_s, messages in later.items() if messages} == {
        now_s: {"stick/sim-1/temperature": b"40.0"} for now_s in (61, 122, 183)
    }


def test_the_last_temperatures_of_a_daemon_that_hangs_are_not_told_again() -> None:
    door = home()
    told(door, 0.0, ONE)
    assert [now_s for now_s in range(1, 400) if sent(door, float(now_s))] == []
    assert told(door, 400.0, ONE) == {"stick/sim-1/temperature": b"40.0"}


def test_a_state_is_told_at_once_and_numbers_once_a_second() -> None:
    door = home()
    told(door, 0.0, ONE)
    found = {
        step: told(door, step / 10, status([stick("sim-1", fps=20.0 + step, state="resting" if step == 3 else "active")], []))
        for step in range(1, 25)
    }
    rates = {step: messages["stick/sim-1/fps"] for step, messages in found.items() if "stick/sim-1/fps" in messages}
    assert rates == {10: b"30.0", 20: b"40.0"}
    states = {step: messages["stick/sim-1/state"] for step, messages in found.items() if "stick/sim-1/state" in messages}
    assert states == {3: b"resting", 4: b"active"}


def test_a_pulled_stick_is_a_state_a_problem_and_no_temperature() -> None:
    door = home()
    told(door, 0.0, ONE)
    pulled = stick("sim-1", state="absent", temperature_c=None, throttle_level=None, fps=0.0)
    assert told(door, 5.0, status([pulled], [camera("door")], reasons=["sim-1 is absent: unplugged"])) == {
        "daemon/problem": b"ON",
        "daemon/reasons": b'{"reasons":["sim-1 is absent: unplugged"]}',
        "daemon/active": b"None",
        "stick/sim-1/temperature": b"None",
        "stick/sim-1/state": b"absent",
        "stick/sim-1/fps": b"0.0",
        "stick/sim-1/throttle_level": b"None",
    }


def test_a_forgotten_stick_leaves_no_topic_and_its_components_are_removed() -> None:
    door = home()
    told(door, 0.0, status([stick("sim-1"), stick("sim-2")], []))
    after = told(door, 5.0, status([stick("sim-1")], []))
    parts = components(after.pop(ABOUT.config))
    assert after == {
        "daemon/active": b"sim-1",
        **{f"stick/sim-2/{part}": b"" for part in ("temperature", "state", "fps", "throttle_level", "restarts")},
    }
    gone = {name: part for name, part in parts.items() if name.startswith("stick_sim-2")}
    assert gone == {
        f"stick_sim-2_{part}": {"platform": "sensor"} for part in ("temperature", "state", "fps", "throttle_level", "restarts")
    }
    door.connected()
    assert not [topic for topic in sent(door, 6.0) if "sim-2" in topic]


def test_a_stick_that_comes_back_is_a_component_again() -> None:
    door = home()
    first = told(door, 0.0, status([stick("sim-1"), stick("sim-2")], []))
    told(door, 5.0, status([stick("sim-1")], []))
    again = told(door, 10.0, status([stick("sim-1"), stick("sim-2")], []))
    assert again[ABOUT.config] == first[ABOUT.config]
    assert again["stick/sim-2/temperature"] == b"40.0"


def test_everything_is_told_again_when_the_broker_was_away_and_when_home_assistant_starts() -> None:
    door = home()
    first = told(door, 0.0, ONE)
    door.disconnected()
    assert told(door, 1.0, status([stick("sim-1", state="resting")], [camera("door")])) == {}
    door.connected()
    again = sent(door, 2.0)
    assert again == {**first, "stick/sim-1/state": b"resting", "daemon/active": b"None"}
    door.home_online(3.0)
    assert sent(door, 3.0) == again
    door.home_online(3.0 + HOME_AGAIN_S / 2)
    assert sent(door, 5.6) == {}
    door.home_online(3.0 + HOME_AGAIN_S)
    assert sent(door, 8.0) == again


def test_a_label_is_there_at_once_and_for_as_long_as_it_is_held() -> None:
    door = home()
    told(door, 0.0, ONE)
    door.record(seen("person", "person"), 1.0)
    assert sent(door, 1.0) == {"camera/door/label/person/occupancy": b"ON", "camera/door/label/person/count": b"2"}
    door.record(seen(), 1.5)
    assert sent(door, 1.5) == {}
    assert sent(door, 2.0) == {"camera/door/label/person/count": b"0"}
    assert door.next_s() == 1.0 + HOLD_S
    assert sent(door, 1.0 + HOLD_S) == {"camera/door/label/person/occupancy": b"OFF"}


def test_a_camera_that_falls_silent_sees_nothing_after_the_hold() -> None:
    door = home()
    told(door, 0.0, ONE)
    door.record(seen("dog"), 1.0)
    sent(door, 1.0)
    assert sent(door, 1.0 + HOLD_S) == {"camera/door/label/dog/occupancy": b"OFF", "camera/door/label/dog/count": b"0"}


def test_counts_of_several_graphs_are_added_and_other_labels_cameras_and_failed_frames_left_out() -> None:
    door = home()
    told(door, 0.0, ONE)
    door.record(seen("person", "cat"), 1.0)
    door.record(seen("person", "person", graph="other"), 1.0)
    door.record(seen("person", camera="yard"), 1.0)
    door.record(seen(error="its stick died"), 1.0)
    assert sent(door, 1.0) == {"camera/door/label/person/occupancy": b"ON", "camera/door/label/person/count": b"3"}


def test_a_camera_without_a_signal_has_a_problem_and_says_which() -> None:
    door = home()
    told(door, 0.0, ONE)
    lost = camera("door", state="no-signal", detail="no route to host")
    assert told(door, 1.0, status([stick("sim-1")], [lost])) == {
        "camera/door/problem": b"ON",
        "camera/door/about": b'{"state":"no-signal","detail":"no route to host"}',
    }


def test_what_ails_the_way_to_the_broker_is_no_problem_of_the_daemon() -> None:
    why = "the MQTT broker b:1883 cannot be used: Connection refused"
    sinks = [SinkStatus("mqtt://b:1883", "blocked", 0, 0, 0, why, "mqtt")]
    door = home(shown="mqtt://b:1883")
    found = told(door, 0.0, status([stick("sim-1")], [], reasons=[f"results cannot be written: {why}"], sinks=sinks))
    assert (found["daemon/problem"], found["daemon/reasons"]) == (b"OFF", b'{"reasons":[]}')
    both = told(door, 1.0, status([stick("sim-1")], [], reasons=[f"results cannot be written: {why}", "x is hot"], sinks=sinks))
    assert (both["daemon/problem"], both["daemon/reasons"]) == (b"ON", b'{"reasons":["x is hot"]}')


def test_names_of_any_letters_make_topics_and_ids_of_their_own() -> None:
    names = ["a/b", "a+b", "#", "人", "猫", "a b"]
    door = home(labels={name: ["traffic light", "人"] for name in names})
    first = told(door, 0.0, status([stick("ncs-1-1.2"), stick("ncs-1-1_2")], [camera(name) for name in names]))
    assert not [topic for topic in first if set(topic) & set("+#\0 ") or not topic.isascii() or "//" in topic]
    parts = components(first[ABOUT.config])
    assert len(parts) == 3 + 2 * 5 + len(names) * 5
    assert len({part["unique_id"] for part in parts.values()}) == len(parts)


def test_buttons_are_there_only_where_commands_are_allowed() -> None:
    with_commands = components(told(home(ABOUT._replace(commands=True)), 0.0, ONE)[ABOUT.config])
    assert with_commands["switch"]["command_topic"] == "ncs_cluster/pi/command/switch"
    assert "button" not in {part["platform"] for part in components(told(home(), 0.0, ONE)[ABOUT.config]).values()}


def test_a_picture_is_asked_for_when_something_is_seen_and_then_once_in_an_interval() -> None:
    door = home(ABOUT._replace(image=True))
    told(door, 0.0, ONE)
    assert door.pictures_due(0.0) == []
    door.record(seen("dog"), 1.0)
    assert [now_s for now_s in range(1, 30) if door.pictures_due(float(now_s))] == [1, 11, 21]
    sent(door, 21.0)
    assert door.pictures_due(40.0) == []
    door.picture("door", b"\xff\xd8jpeg")
    door.picture("gone", b"\xff\xd8other")
    assert sent(door, 40.0) == {"camera/door/image": b"\xff\xd8jpeg"}


def test_a_message_is_due_again_until_it_was_sent() -> None:
    door = home()
    door.status(ONE, 0.0)
    first = door.due(0.0)
    door.sent(first[0], 0.0)
    assert door.due(0.0) == first[1:]
    assert all(isinstance(message, Message) for message in first)
    assert REFRESH_S < 180 / 2


def test_a_stick_that_gets_a_name_is_called_by_it_under_its_old_id() -> None:
    door = home()
    first = components(told(door, 0.0, ONE)[ABOUT.config])
    named = components(told(door, 1.0, status([stick("sim-1", name="front-left")], [camera("door")]))[ABOUT.config])
    assert named["stick_sim-1_temperature"] == {**first["stick_sim-1_temperature"], "name": "front-left temperature"}
