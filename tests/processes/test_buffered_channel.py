"""The supervisor's end of a channel, without a supervisor."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from ncs_cluster.ipc import channel, memory
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages import FromWorker, MapPool, Phase, Stop, ToWorker
from ncs_cluster.processes.buffered_channel import MAX_QUEUED, BufferedChannel
from ncs_cluster.processes.loop import Loop
from ncs_cluster.types import PoolLayout
from tests.descriptors import open_descriptors


class Ends:
    """A buffered channel and its peer, which does not read."""

    def __init__(self) -> None:
        ours, theirs = channel.pair()
        ours.setblocking(False)
        self.peer: Channel[object] = Channel(theirs, ToWorker)
        self.loop = Loop()
        self.closed: list[str] = []
        self.received: list[object] = []
        self.buffered = BufferedChannel(Channel(ours, FromWorker), self.loop, self.received.append, self.closed.append)

    def fill(self) -> None:
        """Until the kernel takes no more."""
        while not self.buffered.waiting:
            assert self.buffered.send(Stop())

    def flush(self) -> None:
        self.loop.turn(0.0)


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.buffered.close()
    made.peer.close()
    made.loop.close()


def test_a_descriptor_that_waits_is_the_one_that_was_sent(ends: Ends) -> None:
    """Though its sender has closed it, and its number is another file's by then."""
    ends.fill()
    fd = memory.create("ours", 4096)
    inode = os.fstat(fd).st_ino
    assert ends.buffered.send(MapPool(PoolLayout(1, 1, 8, 8)), fd)
    os.close(fd)
    with socket.socket():
        ends.peer.sock.setblocking(False)
        while (received := ends.peer.receive()) is None or not received.fds:
            if received is None:
                ends.flush()
        assert os.fstat(received.fds[0]).st_ino == inode
        os.close(received.fds[0])


def test_descriptors_that_wait_are_closed_with_the_channel(ends: Ends) -> None:
    ends.fill()
    fd = memory.create("ours", 4096)
    before = open_descriptors()
    for _ in range(10):
        ends.buffered.send(MapPool(PoolLayout(1, 1, 8, 8)), fd)
    assert open_descriptors() == before + 10
    ends.buffered.close()
    assert open_descriptors() == before - 1
    os.close(fd)


def test_one_message_is_read_in_one_turn_so_that_other_peers_wait_for_no_burst(ends: Ends) -> None:
    sent = [Phase(str(number)) for number in range(10)]
    for message in sent:
        ends.peer.send(message)
    for number in range(1, 11):
        ends.flush()
        assert ends.received == sent[:number]
    ends.flush()
    assert ends.received == sent


def test_a_descriptor_that_nobody_asked_for_is_closed(ends: Ends) -> None:
    fd = memory.create("theirs", 4096)
    before = open_descriptors()
    ends.peer.send(Phase("opening"), fd)
    ends.flush()
    assert ends.received == [Phase("opening")]
    assert open_descriptors() == before
    os.close(fd)


def test_the_end_of_a_peer_is_told_behind_its_last_words(ends: Ends) -> None:
    ends.peer.send(Phase("opening"))
    ends.peer.close()
    ends.flush()
    ends.flush()
    assert ends.received == [Phase("opening")]
    assert ends.closed == [""]


def test_a_peer_that_never_reads_is_called_hung_and_nobody_waits_for_it(ends: Ends) -> None:
    ends.fill()
    taken = next(number for number in range(MAX_QUEUED + 1) if not ends.buffered.send(Stop()))
    assert taken == MAX_QUEUED - 1
    assert ends.buffered.send(Stop(), droppable=True), "what may be left out is left out"
