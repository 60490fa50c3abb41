"""What Home Assistant is told, on a virtual clock: complete lists of messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.sinks import _mqtt_home
from ncs_cluster.sinks._mqtt_discovery import MOST_KEPT, About
from ncs_cluster.sinks._mqtt_home import FORGET_S, HOME_AGAIN_S, REFRESH_S, Home
from ncs_cluster.sinks._mqtt_outgoing import Message
from ncs_cluster.status import SinkStatus, Status
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


def test_what_an_earlier_daemon_had_is_kept_for_a_minute_and_then_removed() -> None:
    before = home()
    retained = told(before, 0.0, status([stick("sim-1"), stick("sim-2")], []))
    door = home()
    for topic, payload in retained.items():
        door.earlier(topic if topic == ABOUT.config else BASE + topic, payload)
    first = told(door, 0.0, status([stick("sim-1")], []))
    assert components(first[ABOUT.config]) == components(retained[ABOUT.config])
    assert told(door, FORGET_S - 1.0, status([stick("sim-1")], [])) == {}
    late = told(door, FORGET_S, status([stick("sim-1")], []))
    assert {topic for topic, payload in late.items() if payload == b""} == {
        f"stick/sim-2/{part}" for part in ("temperature", "state", "fps", "throttle_level", "restarts")
    }
    assert components(late[ABOUT.config])["stick_sim-2_state"] == {"platform": "sensor"}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"{}",
        b"[]",
        b'{"components":[]}',
        b'{"components":{"a":1,"b":{"platform":3},"c":{"platform":"sensor"}}}',
        b" " * 2_000_000,
    ],
)
def test_what_is_no_message_of_an_earlier_daemon_is_left_out(payload: bytes) -> None:
    plain, door = home(), home()
    door.earlier(ABOUT.config, payload)
    assert told(door, 0.0, ONE) == told(plain, 0.0, ONE)


@pytest.mark.parametrize("topic", ["+", "stick/#", "stick/+/state", "a\0b", "\x1b[31m", "x" * 60_000, "\ufeff"])
def test_a_topic_that_no_message_can_be_sent_to_is_not_removed(topic: str) -> None:
    door = home()
    door.earlier(BASE + topic, b"1")
    door.earlier(BASE + "stick/sim-2/state", b"active")
    told(door, 0.0, ONE)
    assert [name for name, payload in told(door, FORGET_S, ONE).items() if payload == b""] == ["stick/sim-2/state"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_does_not_have_is_not_passed_on(number: str) -> None:
    door = home()
    door.earlier(ABOUT.config, f'{{"components": {{"old": {{"platform": "sensor", "min": {number}}}}}}}'.encode())
    assert "old" not in components(told(door, 0.0, ONE)[ABOUT.config])


def test_no_more_than_so_many_topics_of_an_earlier_daemon_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mqtt_home, "MOST_TOPICS", 3)
    door = home()
    for number in range(5):
        door.earlier(f"{BASE}stick/{number}/state", b"active")
    told(door, 0.0, ONE)
    assert told(door, FORGET_S, ONE) == {f"stick/{number}/state": b"" for number in range(3)}


def test_an_earlier_message_of_any_size_costs_a_bounded_number_of_components() -> None:
    door = home()
    many = {f"c{number}": {"platform": "sensor", "name": "x"} for number in range(MOST_KEPT + 500)}
    door.earlier(ABOUT.config, json.dumps({"components": many}).encode())
    kept = components(told(door, 0.0, ONE)[ABOUT.config])
    assert len([key for key in kept if key in many]) == MOST_KEPT


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


steps = st.one_of(
    st.tuples(st.just("status"), st.sets(st.sampled_from(["s1", "s2", "s3"])), st.sets(st.sampled_from(["door", "yard"]))),
    st.tuples(st.just("record"), st.sampled_from(["door", "yard"]), st.lists(st.sampled_from(["person", "dog"]), max_size=3)),
    st.tuples(st.sampled_from(["lost", "connected", "home"])),
    st.tuples(st.just("partly"), st.integers(0, 5)),
)


@given(st.lists(st.tuples(st.floats(0.0, 30.0), steps), max_size=40), st.integers(0, 99))
def test_after_any_history_a_broker_that_gets_everything_holds_what_a_new_daemon_would_tell(
    history: list[tuple[float, tuple[Any, ...]]], fps: int
) -> None:
    labels = {"door": ["person", "dog"], "yard": ["person"]}
    door = home(labels=labels)
    broker: dict[str, bytes] = {}
    number_s: dict[str, float] = {}
    now_s, online = 0.0, True

    def take(most: int = 10**6) -> None:
        for message in door.due(now_s)[:most]:
            assert online
            if message.payload:
                broker[message.topic] = message.payload
            else:
                broker.pop(message.topic, None)
            number_s[message.topic] = now_s
            door.sent(message, now_s)

    last = status([stick("s1", fps=fps)], [camera("door")])
    for pause_s, (what, *given_) in history:
        now_s += pause_s
        door.tick(now_s)
        if what == "status":
            last = status([stick(name, fps=fps) for name in sorted(given_[0])], [camera(name) for name in sorted(given_[1])])
            door.status(last, now_s)
        elif what == "record":
            door.record(seen(*given_[1], camera=given_[0]), now_s)
        elif what == "lost":
            door.disconnected()
            online = False
        elif what == "connected":
            broker.clear()
            door.connected()
            online = True
        elif what == "home":
            door.home_online(now_s)
        else:
            take(given_[0])
    if not online:
        broker.clear()
        door.connected()
        online = True
    for _ in range(2):
        now_s += HOLD_S + 1.0
        door.tick(now_s)
        door.status(last, now_s)
        take()
    fresh = home(labels=labels)
    fresh.status(last, now_s)
    wanted = {message.topic: message.payload for message in fresh.due(now_s)}
    config, wanted_config = components(broker.pop(ABOUT.config)), components(wanted.pop(ABOUT.config))
    assert broker == wanted
    assert {key: part for key, part in config.items() if len(part) > 1} == wanted_config
    now_s += 1.0
    door.status(last, now_s)
    assert door.due(now_s) == [], "nothing changes any more"


def test_a_message_is_due_again_until_it_was_sent() -> None:
    door = home()
    door.status(ONE, 0.0)
    first = door.due(0.0)
    door.sent(first[0], 0.0)
    assert door.due(0.0) == first[1:]
    assert all(isinstance(message, Message) for message in first)
    assert REFRESH_S < 180 / 2


def test_the_picture_that_an_earlier_daemon_left_stays_until_there_is_another() -> None:
    door = home(ABOUT._replace(image=True))
    door.earlier(BASE + "camera/door/image", b"\xff\xd8")
    door.earlier(BASE + "camera/yard/image", b"\xff\xd8")
    told(door, 0.0, ONE)
    assert {topic: payload for topic, payload in told(door, FORGET_S, ONE).items() if not payload} == {"camera/yard/image": b""}


def test_what_the_broker_tells_late_of_an_earlier_daemon_counts_too() -> None:
    before, door = home(), home()
    retained = told(before, 0.0, status([stick("sim-1"), stick("sim-2")], []))
    told(door, 0.0, status([stick("sim-1")], []))
    door.earlier(ABOUT.config, retained[ABOUT.config])
    assert "stick_sim-2_state" in components(sent(door, 1.0)[ABOUT.config])


def test_a_stick_that_gets_a_name_is_called_by_it_under_its_old_id() -> None:
    door = home()
    first = components(told(door, 0.0, ONE)[ABOUT.config])
    named = components(told(door, 1.0, status([stick("sim-1", name="front-left")], [camera("door")]))[ABOUT.config])
    assert named["stick_sim-1_temperature"] == {**first["stick_sim-1_temperature"], "name": "front-left temperature"}
