"""What a daemon tells the fleet of itself, and what is made of bytes from the network."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ncs_cluster.fleet.entry import LARGEST, PROTOCOL, Entry, Other, decoded, encoded, entry_of, states
from ncs_cluster.status import FleetJobStatus, FleetStatus, JobStatus, LoadStatus, PoolStatus, Status
from tests.sinks.onestatus import camera, status, stick

STICKS = [
    stick("ncs-1-1.2", name="left", temperature_c=61.5, fps=20.04),
    stick("ncs-1-1.3", state="standby", temperature_c=44.0, fps=0.0),
    stick("ncs-1-1.4", state="quarantined", temperature_c=None, fps=0.0),
    stick("ncs-1-1.5", state="absent", temperature_c=99.0, fps=0.0),
]
JOBS = [
    JobStatus(f"j{number}", state, ["/mnt/pictures"], "ssd", "/mnt/out", ["csv"], 7, 90, 0, 3.25, 1.0, 1.7e9, None)
    for number, state in enumerate(("done", "running", "paused"))
]


def document() -> Status:
    load = LoadStatus(30.0, 42.25, False, "heat", None)
    return replace(status(STICKS, [camera("door")], reasons=["ncs-1-1.5 is absent"]), load=load, jobs=JOBS)


def told(**more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encoded(entry_of(document(), "pi", "http://pi:8080/")))
    return {**found, **more}


def test_an_entry_has_the_figures_of_the_status_and_no_path_or_address_of_a_source() -> None:
    document_ = document()
    assert told() == {
        "protocol": 1,
        "version": document_.daemon.version,
        "node": "pi",
        "state": "degraded",
        "ready": document_.daemon.ready,
        "reasons": ["ncs-1-1.5 is absent"],
        "sticks": [
            {"id": "ncs-1-1.2", "name": "left", "state": "active", "temperature_c": 61.5, "fps": 20.0},
            {"id": "ncs-1-1.3", "name": None, "state": "standby", "temperature_c": 44.0, "fps": 0.0},
            {"id": "ncs-1-1.4", "name": None, "state": "quarantined", "temperature_c": None, "fps": 0.0},
            {"id": "ncs-1-1.5", "name": None, "state": "absent", "temperature_c": 99.0, "fps": 0.0},
        ],
        "sticks_present": 3,
        "sticks_usable": 2,
        "hottest_c": 61.5,
        "fps": 20.0,
        "asked_fps": 30.0,
        "capacity_fps": 42.2,
        "headroom_fps": 12.2,
        "cameras": [{"name": "door", "state": "running", "fps": 15.0}],
        "jobs": [
            {"id": "j1", "state": "running", "done": 7, "expected": 90, "fps": 3.2},
            {"id": "j2", "state": "paused", "done": 7, "expected": 90, "fps": 3.2},
        ],
        "page": "http://pi:8080/",
        "drained": None,
        "draining": None,
        "chunks": 0,
        "frames": 0,
    }


def test_chunks_are_told_as_the_job_over_hosts_that_they_belong_to_and_a_drain_with_what_is_left() -> None:
    chunk = replace(JOBS[1], id="9", done=30, expected=50, chunk_of="1f2e")
    over = FleetJobStatus("1f2e", "photos/2024", "running", 3, 1, 0, 180, 0, 12.5, 1.7e9, None)
    ended = replace(over, id="0aa0", name="photos/2023", running=0, state="ended")
    fleet = FleetStatus("pi", "nats://server", "draining", 1, 2, [ended, over])
    made = entry_of(replace(document(), jobs=[*JOBS, chunk], fleet=fleet), "pi", None)
    assert [(job.id, job.done, job.expected) for job in made.jobs] == [("j1", 7, 90), ("j2", 7, 90), ("photos/2024", 180, 200)]
    assert (made.drained, made.draining, made.chunks, made.frames) == (False, True, 1, 2)


def test_neighbours_are_no_stick_of_the_host_that_sends_them_frames() -> None:
    own, net = stick("sim-1", fps=5.0), stick("net-1", fps=15.0, pool="overflow", temperature_c=None)
    pool = PoolStatus("default", "all", 0, 65.0, 0.0, [], None, 0, shedding=False)
    pools = [pool, replace(pool, name="overflow", overflow=True)]
    made = entry_of(replace(status([own, net], []), pools=pools), "pi", None)
    assert (made.sticks_present, made.sticks_usable, made.fps, [each.id for each in made.sticks]) == (1, 1, 5.0, ["sim-1"])


def test_an_entry_is_read_as_it_was_written() -> None:
    made = entry_of(document(), "pi", None)
    assert decoded(encoded(made), "pi") == made


def test_an_entry_of_another_node_protocol_or_shape_is_not_taken_for_one() -> None:
    def read(**more: Any) -> Entry | Other:
        return decoded(json.dumps(told(**more)).encode(), "pi")

    assert isinstance(read(added_later={"x": [1]}), Entry)
    assert read(protocol=PROTOCOL + 1, version="9.0\x1b[2J", sticks="otherwise") == Other(PROTOCOL + 1, "9.0 [2J", "pi")
    nonsense: list[dict[str, Any]] = [
        {"node": "cellar"},
        {"fps": 1e300},
        {"fps": "20"},
        {"version": "v" * 65},
        {"sticks_present": -1},
        {"sticks": [told()["sticks"][0]] * 129},
        {"reasons": ["r" * 201]},
    ]
    assert [read(**more) for more in nonsense] == [Other()] * len(nonsense)
    assert decoded(b" " * LARGEST + encoded(entry_of(document(), "pi", None)), "pi") == Other()


@pytest.mark.parametrize("payload", [b"[" * 60_000, b'{"node":' * 8_000, b'{"protocol":1,"node":"pi"}', b"\xff", b"", b"null"])
def test_bytes_that_are_no_entry_are_told_as_such(payload: bytes) -> None:
    assert isinstance(decoded(payload, "pi"), Other)


def test_control_characters_of_either_side_become_spaces() -> None:
    dirty = json.dumps(told(reasons=["a\x1b[31m\nb\u202e"], state="ok\r"))
    read = decoded(dirty.encode(), "pi")
    assert isinstance(read, Entry)
    assert (read.reasons, read.state) == (["a [31m b "], "ok ")
    written = json.loads(encoded(entry_of(replace(document(), cameras=[camera("door\x1b[2J\n")]), "pi", None)))
    assert written["cameras"][0]["name"] == "door [2J "


def test_an_entry_of_very_many_sticks_fits_and_counts_all_of_them() -> None:
    many = [
        stick(f"{number:04d}" + "\U0001f525" * 80, name="\U0001f525" * 80, temperature_c=50.0 + number / 100)
        for number in range(500)
    ]
    payload = encoded(entry_of(replace(document(), sticks=many), "pi", None))
    read = decoded(payload, "pi")
    assert len(payload) <= LARGEST
    assert isinstance(read, Entry)
    assert (read.sticks_present, read.sticks_usable, read.hottest_c) == (500, 500, 54.99)
    assert [each.id[:4] for each in read.sticks] == [f"{number:04d}" for number in range(len(read.sticks))]
    assert len(read.sticks) >= 32


def test_only_what_happens_is_told_of_at_once() -> None:
    first = document()
    warmer = replace(first, sticks=[replace(STICKS[0], temperature_c=63.0, fps=3.0), *STICKS[1:]])
    rests = replace(first, sticks=[replace(STICKS[0], state="resting"), *STICKS[1:]])
    seen = [states(entry_of(each, "pi", None)) for each in (first, warmer, rests)]
    assert seen[0] == seen[1] != seen[2]


VALUES = st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(), lambda inner: st.lists(inner) | inner)


@given(st.dictionaries(st.sampled_from(sorted(Entry.__struct_fields__)), VALUES))
def test_no_document_is_more_than_its_bounds_allow(fields: dict[str, Any]) -> None:
    read = decoded(json.dumps(told(**fields)).encode("utf-8", "surrogatepass"), "pi")
    if isinstance(read, Entry):
        assert (read.node, read.protocol) == ("pi", PROTOCOL)
        texts = [read.version, read.state, *read.reasons, read.page or "", *(each.name for each in read.cameras)]
        assert all(text.isprintable() and len(text) <= 200 for text in texts)
        assert len(read.sticks) <= 128
        assert -1e9 <= read.fps <= 1e9
