"""How many chunks a host works on at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncs_cluster.fleet.chunk import Chunk
from ncs_cluster.fleet.jobs import Taken
from ncs_cluster.sinks import _host_of_chunks
from ncs_cluster.sinks._held_chunk import OVER
from ncs_cluster.sinks._host_of_chunks import Host
from tests.sinks.onehost import Daemon, Job, graph
from tests.sinks.onestatus import status, stick


class OneHost:
    """A host, and chunks of one picture each."""

    def __init__(self, folder: Path) -> None:
        self.job = Job(folder, graph(folder))
        self.daemon = Daemon(self.job.spec.graph)
        self.host = Host(str(folder / "chunks"), {"photos": str(folder / "photos")}, 0.1, self.daemon)
        self.host.load()
        self._next = 0
        self.host.advance()

    def take(self, count: int) -> None:
        for _ in range(count):
            number = self._next
            self._next += 1
            chunk = Chunk(1, "job1", str(number), self.job.roots, [(0, f"{number}.jpg".encode())])
            self.host.add(self.job.offer, chunk, Taken(b"", "reply", 1))


@pytest.fixture
def one(tmp_path: Path) -> OneHost:
    return OneHost(tmp_path)


def test_a_host_works_on_two_chunks_and_on_four_that_are_short(one: OneHost, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one.host.room == 2
    one.take(1)
    assert one.host.room == 1
    one.host.advance()
    one.host.advance()
    assert [held.state for held in one.host.held.values()] == ["whole"]
    one.host.advance()
    assert one.host.room == 4
    monkeypatch.setattr(_host_of_chunks, "SHORT_S", 0.0)
    one.take(1)
    for _ in range(3):
        one.host.advance()
    assert one.host.room == 2


def test_whole_chunks_that_the_server_does_not_know_of_leave_room_for_others_up_to_a_bound(one: OneHost) -> None:
    one.take(6)
    for _ in range(3):
        one.host.advance()
    assert {held.state for held in one.host.held.values()} == {"whole"}
    assert one.host.room == 2
    one.take(2)
    assert one.host.room == 0
    for held in one.host.held.values():
        held.state = OVER
    one.host.advance()
    assert one.host.room == 4


def test_a_host_whose_sticks_are_hot_works_on_no_more_chunks(one: OneHost) -> None:
    one.daemon.document = status([stick("sim-1", state="hot")], [])
    one.host.advance()
    assert one.host.room == 0
