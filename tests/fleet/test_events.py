"""Events of the fleet: what is told of, what is made of bytes from the network, and what other readers find at a real server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.fleet.address import parse
from ncs_cluster.fleet.connection import Server, connected
from ncs_cluster.fleet.events import LARGEST, Events, FleetEvent, decoded, encoded, is_told, read
from ncs_cluster.status import Event
from tests.cli.asking import ncsctl
from tests.nats_server import NatsServer, nats_server
from tests.sinks.onebroker import Told
from tests.sinks.onefleet import announced
from tests.waiting import until

LOST = Event(7, 1000.0, "warning", "ncs-1-1.2", "lost", "left")


def told(**more: Any) -> bytes:
    return json.dumps({**json.loads(encoded(LOST, "pi", "0.1.0", 1002.5)[1]), **more}).encode()


def test_an_event_is_told_by_its_age_and_read_by_the_servers_clock() -> None:
    id, payload = encoded(LOST, "pi", "0.1.0", 1002.5)
    assert id == "pi.7.1000.000"
    assert decoded(payload, "pi", 5000.0) == FleetEvent("pi", 4997.5, "warning", "ncs-1-1.2", "lost", "left")
    # a clock that was put back since
    later = decoded(encoded(LOST, "pi", "0.1.0", 900.0)[1], "pi", 5000.0)
    assert later is not None
    assert later.at == 5000.0


def test_turns_of_clusters_are_not_told_of_but_their_troubles_are() -> None:
    levels = [(level, who, is_told(Event(1, 0.0, level, who, ""))) for level in ("info", "error") for who in ("clusters", "sim-1")]
    assert [each[2] for each in levels] == [False, True, True, True]


@pytest.mark.parametrize(
    "payload",
    [
        told(node="cellar"),
        told(protocol=2),
        told(age_s=-1),
        told(age_s="x"),
        told(text="t" * 201),
        told(level=None),
        b"[" * 4000,
        b"",
        b"\xff",
        told() + b" " * LARGEST,
    ],
)
def test_what_is_no_event_is_left_out(payload: bytes) -> None:
    assert decoded(payload, "pi", 5000.0) is None


def test_control_characters_become_spaces() -> None:
    read = decoded(told(text="a\x1b[2J\n", who="b\r"), "pi", 5000.0)
    assert read is not None
    assert (read.text, read.who) == ("a [2J ", "b ")


def events(place: NatsServer, *words: str) -> list[dict[str, Any]]:
    done = ncsctl("fleet", "events", "--nats", place.url, "--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def kept(place: NatsServer) -> list[str]:
    """The texts of all events."""

    async def look() -> Events:
        async with connected(Server(parse(place.url)), "test") as connection:
            return await read(connection, None, 100)

    return [each.text for each in asyncio.run(look()).events]


@pytest.mark.slow
def test_events_of_all_hosts_are_listed_once_in_their_order_and_followed(tmp_path: Path) -> None:
    now = time.time()
    attic, cellar = Told(), Told()
    attic.happened = [
        Event(1, now - 3600, "info", "daemon", "long ago"),
        Event(2, now - 3, "error", "sim-1", "lost"),
        Event(3, now - 1, "info", "sim-1", "back"),
    ]
    cellar.happened = [Event(1, now - 2, "warning", "sim-2", "hot")]
    with nats_server(tmp_path) as place:
        assert kept(place) == []
        with announced(place, attic, node="attic"), announced(place, cellar, node="cellar"):
            until(lambda: len(kept(place)) == 3, "all events")
            found = events(place)
            assert [(each["node"], each["text"]) for each in found] == [("attic", "lost"), ("cellar", "hot"), ("attic", "back")]
            assert [round(each["at"] - now) for each in found] == [-3, -2, -1]
            assert [each["text"] for each in events(place, "--level", "warning", "--host", "attic")] == ["lost"]
            follow = [sys.executable, "-m", "ncs_cluster.cli.ncsctl", "fleet", "events", "--nats", place.url, "--follow"]
            with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as following:
                try:
                    assert following.stdout is not None
                    shown = [following.stdout.readline().split()[2:] for _ in range(3)]
                    assert shown[0] == ["attic", "error", "sim-1", "lost"]
                    cellar.happened = [Event(2, time.time(), "info", "sim-2", "cool")]
                    cellar.wake()
                    assert following.stdout.readline().split()[2:] == ["cellar", "info", "sim-2", "cool"]
                finally:
                    following.kill()
        # a sink process that starts again is told all events again
        attic.happened = [Event(2, now - 3, "error", "sim-1", "lost"), Event(3, now - 1, "info", "sim-1", "back")]
        with announced(place, attic, node="attic"):
            place.until(lambda entries: "attic" in entries, "the entry")
            attic.happened = [Event(4, time.time(), "info", "sim-1", "fresh")]
            attic.wake()
            until(lambda: kept(place)[-1] == "fresh", "the newest event")
        assert kept(place) == ["lost", "hot", "back", "cool", "fresh"]
