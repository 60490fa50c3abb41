"""The supervisor's ends of its wires, without a supervisor."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Iterator

import pytest

from ncs_cluster.ipc import channel, memory
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages import FromWorker, MapPool, Phase, Stop, ToWorker
from ncs_cluster.processes.links import MOST_PER_TURN, MOST_QUEUED, Link
from ncs_cluster.types import PoolLayout
from tests.descriptors import open_descriptors


class Wire:
    """A link that is never read, and its other end."""

    def __init__(self) -> None:
        ours, theirs = channel.pair()
        ours.setblocking(False)
        self.peer: Channel[object] = Channel(theirs, ToWorker)
        self.selector = selectors.DefaultSelector()
        self.ended: list[str] = []
        self.received: list[object] = []
        self.link = Link(Channel(ours, FromWorker), self.selector, self.received.append, self.ended.append)

    def fill(self) -> None:
        """Until the kernel takes no more."""
        while not self.selector.get_map()[self.link.wire.sock].events & selectors.EVENT_WRITE:
            assert self.link.send(Stop())

    def flush(self) -> None:
        for key, mask in self.selector.select(0):
            key.data(mask)


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.link.close()
    made.peer.close()
    made.selector.close()


def test_a_descriptor_that_waits_is_the_one_that_was_sent(wire: Wire) -> None:
    """Though its sender has closed it, and its number is another file's by then."""
    wire.fill()
    fd = memory.create("ours", 4096)
    inode = os.fstat(fd).st_ino
    assert wire.link.send(MapPool(PoolLayout(1, 1, 8, 8)), fd)
    os.close(fd)
    with socket.socket():
        wire.peer.sock.setblocking(False)
        while (received := wire.peer.receive()) is None or not received.fds:
            if received is None:
                wire.flush()
        assert os.fstat(received.fds[0]).st_ino == inode
        os.close(received.fds[0])


def test_descriptors_that_wait_are_closed_with_the_link(wire: Wire) -> None:
    wire.fill()
    fd = memory.create("ours", 4096)
    before = open_descriptors()
    for _ in range(10):
        wire.link.send(MapPool(PoolLayout(1, 1, 8, 8)), fd)
    assert open_descriptors() == before + 10
    wire.link.close()
    assert open_descriptors() == before - 1
    os.close(fd)


def test_a_burst_is_read_in_one_turn_and_nothing_is_received_in_vain(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = [Phase(str(number)) for number in range(10)]
    for message in sent:
        wire.peer.send(message)
    receive, received = wire.link.wire.receive, []
    monkeypatch.setattr(wire.link.wire, "receive", lambda: received.append(receive()) or received[-1])
    wire.flush()
    assert wire.received == sent
    assert len(received) == len(sent)


def test_no_more_than_its_share_is_read_in_one_turn(wire: Wire) -> None:
    """Others have something to say too."""
    wire.peer.sock.setblocking(False)
    while len(wire.received) < MOST_PER_TURN:
        for _ in range(2 * MOST_PER_TURN):
            wire.peer.send(Phase("compiling"))
        before = len(wire.received)
        wire.flush()
        assert len(wire.received) - before <= MOST_PER_TURN


def test_the_end_of_a_peer_is_told_behind_its_last_words(wire: Wire) -> None:
    wire.peer.send(Phase("opening"))
    wire.peer.close()
    wire.flush()
    assert wire.received == [Phase("opening")]
    assert wire.ended == [""]


def test_a_peer_that_never_reads_is_called_hung_and_nobody_waits_for_it(wire: Wire) -> None:
    wire.fill()
    taken = next(number for number in range(MOST_QUEUED + 1) if not wire.link.send(Stop()))
    assert taken == MOST_QUEUED - 1
    assert wire.link.send(Stop(), droppable=True), "what may be left out is left out"
