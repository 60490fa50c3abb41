"""Wires: whole messages in order, descriptors beside them, and no way to fill or break the reader."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.errors import ProtocolError
from ncs_cluster.ipc.channel import MAX_MESSAGE, Channel, pair
from ncs_cluster.messages import Failed, FromWorker, Grant, Heartbeat, Inferred, MapPool, ToCamera, ToWorker
from ncs_cluster.types import Outcome, PoolLayout
from tests.descriptors import open_descriptors
from tests.hypothesis_profiles import examples


@pytest.fixture
def wire():
    """(our end hears workers, their end hears what a worker hears)"""
    ours, theirs = pair()
    channels = Channel(ours, FromWorker), Channel(theirs, ToWorker)
    yield channels
    for channel in channels:
        channel.close()


def test_messages_keep_their_boundaries_and_order(wire) -> None:
    ours, theirs = wire
    sent = [Inferred(ticket, Outcome(error="x" * ticket), 0.5) for ticket in range(50)]
    for message in sent:
        assert theirs.send(message)
    assert [ours.receive().message for _ in sent] == sent


def test_a_descriptor_arrives_with_its_message_and_belongs_to_the_reader(wire) -> None:
    ours, theirs = wire
    read_end, write_end = os.pipe()
    ours.send(MapPool(PoolLayout(1, 2, 3, 4)), write_end)
    os.close(write_end)
    received = theirs.receive()
    (fd,) = received.fds
    os.write(fd, b"hello")
    assert os.read(read_end, 10) == b"hello"
    assert not os.get_inheritable(fd)
    os.close(fd)
    os.close(read_end)


def test_the_end_of_the_peer_is_told_to_reader_and_writer(wire) -> None:
    ours, theirs = wire
    theirs.close()
    with pytest.raises(EOFError):
        ours.receive()
    with pytest.raises(BrokenPipeError):
        ours.send(Heartbeat())


@pytest.mark.parametrize("blocking", [False, True])
def test_the_last_messages_of_a_peer_that_ended_before_it_had_read_everything_are_heard(wire, blocking: bool) -> None:
    ours, theirs = wire
    ours.sock.setblocking(blocking)
    ours.send(Grant(1, 2))
    theirs.send(Heartbeat())
    theirs.send(Failed("open", "no such device"))
    theirs.close()
    assert [ours.receive().message for _ in range(2)] == [Heartbeat(), Failed("open", "no such device")]
    for _ in range(2):
        with pytest.raises(EOFError):
            ours.receive()


def test_a_full_queue_is_false_and_an_empty_one_none(wire) -> None:
    ours, theirs = wire
    ours.sock.setblocking(False)
    theirs.sock.setblocking(False)
    assert ours.receive() is None
    sent = 0
    while theirs.send(Heartbeat()):
        sent += 1
    assert sent > 5
    for _ in range(sent):
        assert ours.receive().message == Heartbeat()
    assert ours.receive() is None
    assert theirs.send(Heartbeat())


def test_a_message_that_is_too_long_is_refused_by_the_sender(wire) -> None:
    _, theirs = wire
    with pytest.raises(ProtocolError, match="longer than"):
        theirs.send(Inferred(1, Outcome(error="x" * MAX_MESSAGE), 0.1))


def test_the_longest_message_fits_into_the_kernels_default_buffer(wire) -> None:
    ours, theirs = wire
    theirs.sock.setblocking(False)
    room = MAX_MESSAGE - len(theirs.encode(Inferred(1, Outcome(error="x" * 70_000), 0.1))) + 70_000
    message = Inferred(1, Outcome(error="x" * room), 0.1)
    assert len(theirs.encode(message)) == MAX_MESSAGE
    assert theirs.send(message)
    assert ours.receive().message == message


@settings(deadline=None, max_examples=examples(200))
@given(st.binary(min_size=1, max_size=300))
def test_rubbish_is_a_protocol_error_or_a_message_and_nothing_else(data: bytes) -> None:
    ours, theirs = pair()
    reader: Channel[object] = Channel(ours, FromWorker)
    try:
        theirs.send(data)
        try:
            received = reader.receive()
        except ProtocolError:
            return
        assert received is not None
    finally:
        ours.close()
        theirs.close()


def test_a_message_of_another_channel_is_refused_and_its_descriptors_are_closed() -> None:
    ours, theirs = pair()
    reader: Channel[object] = Channel(ours, ToCamera)
    writer: Channel[object] = Channel(theirs, FromWorker)
    before = open_descriptors()
    with open("/dev/null") as null:
        writer.send(Heartbeat(), null.fileno(), null.fileno())
    with pytest.raises(ProtocolError, match="not a message"):
        reader.receive()
    assert open_descriptors() == before
    writer.send(Grant(1, 2))
    assert reader.receive() is not None
    ours.close()
    theirs.close()


@pytest.mark.parametrize("count", [1, 4, 5, 40])
def test_unwanted_descriptors_do_not_pile_up(count: int) -> None:
    ours, theirs = pair()
    reader: Channel[object] = Channel(ours, FromWorker)
    before = open_descriptors()
    with open("/dev/null") as null:
        socket.send_fds(theirs, [b"\xff\xff rubbish"], [null.fileno()] * count)
    with pytest.raises(ProtocolError):
        reader.receive()
    assert open_descriptors() == before
    ours.close()
    theirs.close()


def test_an_oversized_packet_is_refused_whole() -> None:
    ours, theirs = pair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1_000_000)
    reader: Channel[object] = Channel(ours, FromWorker)
    theirs.send(b"\xc0" * (MAX_MESSAGE + 1))
    with pytest.raises(ProtocolError, match="longer"):
        reader.receive()
    theirs.send(Channel(theirs, ToWorker).encode(Heartbeat()))
    received = reader.receive()
    assert received is not None
    assert received.message == Heartbeat()
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    "data",
    [b"\x91\xa1\xc1", b"\x91\xa4\xff\xfe\xfd\xfc", b"\x91" * 100_000, b"\x92\xa6Failed\xa1\x80", b"\xc1", b"\xdd\xff\xff\xff\xff"],
    ids=["no text as a name", "no text at all", "nesting without end", "no text in a field", "no type", "a list of four billion"],
)
@pytest.mark.parametrize("incoming", [FromWorker, ToCamera, ToWorker])
def test_bytes_that_decoders_stumble_over_are_a_protocol_error_too(data: bytes, incoming: object) -> None:
    ours, theirs = pair()
    with ours, theirs:
        theirs.send(data)
        with pytest.raises(ProtocolError):
            Channel(ours, incoming).receive()
