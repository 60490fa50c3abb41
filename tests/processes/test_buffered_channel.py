"""The supervisor's end of a channel, without a supervisor."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Iterator

import pytest

from ncs_cluster.ipc import channel, memory
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages import FromWorker, MapPool, Phase, Stop, ToWorker
from ncs_cluster.processes.buffered_channel import MAX_QUEUED, MAX_READS_PER_TURN, BufferedChannel
from ncs_cluster.types import PoolLayout
from tests.descriptors import open_descriptors


class Ends:
    """A buffered channel and its peer, which does not read."""

    def __init__(self) -> None:
        ours, theirs = channel.pair()
        ours.setblocking(False)
        self.peer: Channel[object] = Channel(theirs, ToWorker)
        self.selector = selectors.DefaultSelector()
        self.closed: list[str] = []
        self.received: list[object] = []
        self.buffered = BufferedChannel(Channel(ours, FromWorker), self.selector, self.received.append, self.closed.append)

    def fill(self) -> None:
        """Until the kernel takes no more."""
        while not self.selector.get_map()[self.buffered.channel.sock].events & selectors.EVENT_WRITE:
            assert self.buffered.send(Stop())

    def flush(self) -> None:
        for key, mask in self.selector.select(0):
            key.data(mask)


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.buffered.close()
    made.peer.close()
    made.selector.close()


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


def test_a_burst_is_read_in_one_turn_and_nothing_is_received_in_vain(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = [Phase(str(number)) for number in range(10)]
    for message in sent:
        ends.peer.send(message)
    receive, received = ends.buffered.channel.receive, []
    monkeypatch.setattr(ends.buffered.channel, "receive", lambda: received.append(receive()) or received[-1])
    ends.flush()
    assert ends.received == sent
    assert len(received) == len(sent)


def test_no_more_than_its_share_is_read_in_one_turn(ends: Ends) -> None:
    """Others have something to say too."""
    ends.peer.sock.setblocking(False)
    while len(ends.received) < MAX_READS_PER_TURN:
        for _ in range(2 * MAX_READS_PER_TURN):
            ends.peer.send(Phase("compiling"))
        before = len(ends.received)
        ends.flush()
        assert len(ends.received) - before <= MAX_READS_PER_TURN


def test_the_end_of_a_peer_is_told_behind_its_last_words(ends: Ends) -> None:
    ends.peer.send(Phase("opening"))
    ends.peer.close()
    ends.flush()
    assert ends.received == [Phase("opening")]
    assert ends.closed == [""]


def test_a_peer_that_never_reads_is_called_hung_and_nobody_waits_for_it(ends: Ends) -> None:
    ends.fill()
    taken = next(number for number in range(MAX_QUEUED + 1) if not ends.buffered.send(Stop()))
    assert taken == MAX_QUEUED - 1
    assert ends.buffered.send(Stop(), droppable=True), "what may be left out is left out"
