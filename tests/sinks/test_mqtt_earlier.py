"""What an earlier daemon has left at the broker: kept for a minute, then removed, whatever it is."""

from __future__ import annotations

import json

import pytest

from ncs_cluster.sinks import _mqtt_home
from ncs_cluster.sinks._mqtt_discovery import MOST_KEPT
from ncs_cluster.sinks._mqtt_home import FORGET_S
from tests.sinks.onehome import ABOUT, BASE, ONE, components, home, sent, told
from tests.sinks.onestatus import status, stick


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
