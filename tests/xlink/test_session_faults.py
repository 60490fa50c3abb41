"""What a stick may do wrong is the end of its session, in one line, and never more than that."""

from __future__ import annotations

import struct

import pytest

from ncs_cluster.xlink import commands
from ncs_cluster.xlink.events import Lost, Ready, Result
from ncs_cluster.xlink.frames import Flags, FrameType, Header
from ncs_cluster.xlink.session import Session
from tests.xlink.model import Model, carry
from tests.xlink.opened import ALONE, frame, name_id, opened, the_end


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (frame(FrameType.PING_REQ)[:4] + struct.pack("<i", 99) + bytes(76), "unknown type 99"),
        (b"\xff" * 84, "unknown type -1"),
        (frame(FrameType.READ_REQ), "received a READ"),
        (frame(FrameType.WRITE_REQ, 31, 4), "unknown stream 31"),
        (frame(FrameType.WRITE_REQ, 0xDEADDEAD, 4), "unknown stream 3735936685"),
        (frame(FrameType.WRITE_REQ, 0, 104), "expected none"),
        (frame(FrameType.WRITE_REQ, 0, 0xFFFFFFFF), "expected none"),
        (frame(FrameType.WRITE_RESP), "a WRITE_RESP without a request"),
        (frame(FrameType.READ_REL_REQ, 0, 8), "held 0 packets"),
        (frame(FrameType.READ_REL_REQ, 99, 8), "unknown stream 99"),
        (frame(FrameType.CREATE_STREAM_REQ), "name"),
        (frame(FrameType.PING_REQ)[:83], "received 83 bytes, expected 84"),
        (b"", "received 0 bytes, expected 84"),
        (frame(FrameType.PING_REQ) + b"\0", "received 85 bytes, expected 84"),
    ],
)
def test_what_no_stick_may_send_ends_the_session_in_one_line(data: bytes, said: str):
    session, _ = opened()
    session.events()
    session.submit(1, 0, bytes(48), 0.1)
    session.received(data, 0.1)
    end = the_end(session)
    assert isinstance(end, Lost)
    assert end.reason == "protocol"
    assert said in end.detail


def test_nothing_is_taken_sent_or_raised_after_the_end():
    session, _ = opened()
    session.received(b"nonsense", 0.0)
    the_end(session)
    session.received(frame(FrameType.PING_REQ), 1.0)
    session.submit(1, 0, bytes(48), 1.0)
    session.tick(100.0)
    session.look(100.0)
    session.close(100.0)
    session.fail("gone", "unplugged")
    assert session.events() == []
    assert session.out() == []
    assert session.in_flight == 0


def test_a_reply_that_says_no_is_the_end():
    session = Session([], ALONE)
    session.start(0.0)
    (ping,) = session.out()
    number = int.from_bytes(bytes(ping[:4]), "little")
    session.received(Header(number, FrameType.PING_RESP, flags=int(Flags.NACK)).encode(), 0.0)
    end = the_end(session)
    assert end == Lost("protocol", "PING was refused (flags 0x2)")


def test_a_reply_of_another_type_is_no_reply():
    session = Session([], ALONE)
    session.start(0.0)
    session.received(frame(FrameType.RESET_RESP, number=10), 0.0)
    assert the_end(session) == Lost("protocol", "received a RESET_RESP without a request")


def test_a_result_of_another_size_is_not_taken():
    session, model = opened()
    session.events()
    session.submit(1, 0, bytes(48), 0.0)
    carry(session, model, 0.0, computes=False)
    session.received(frame(FrameType.WRITE_REQ, name_id(model, "FIFO1"), 27), 0.0)
    assert the_end(session) == Lost("protocol", "received 27 bytes on FIFO1, expected 28")


def test_a_result_nobody_asked_for_is_not_taken():
    session, model = opened()
    session.submit(1, 0, bytes(48), 0.0)
    carry(session, model, 0.0)
    assert [type(event) for event in session.events()] == [Ready, Result]
    session.received(frame(FrameType.WRITE_REQ, name_id(model, "FIFO1"), 28), 0.0)
    told = "received 28 bytes on FIFO1, expected none; 1 earlier result may belong to other frames"
    assert the_end(session) == Lost("protocol", told)


def test_a_stick_can_only_open_as_many_streams_as_there_may_be():
    session, _ = opened()
    for number in range(40):
        if not session.ended:
            session.received(frame(FrameType.CREATE_STREAM_REQ, name=f"s{number}", number=6000 + number), 0.0)
            session.out() if not session.ended else None
    end = the_end(session)
    assert isinstance(end, Lost)
    assert "32" in end.detail


# -- what it may do -----------------------------------------------------------------------------------------------------


def test_a_stick_may_ping_close_and_open_streams_and_is_answered_with_our_ids():
    session, model = opened()
    session.events()
    session.received(frame(FrameType.PING_REQ, number=70), 0.0)
    session.received(frame(FrameType.CREATE_STREAM_REQ, 0xDEADDEAD, 512, "graphMonitor", number=71), 0.0)
    session.received(frame(FrameType.CLOSE_STREAM_REQ, name_id(model, "FIFO0"), number=72), 0.0)
    ping, create, close = (bytes(data) for data in session.out())
    assert ping == frame(FrameType.PING_RESP, number=70)
    assert create == frame(FrameType.CREATE_STREAM_RESP, name_id(model, "graphMonitor"), 512, "graphMonitor", number=71)
    assert close == frame(FrameType.CLOSE_STREAM_RESP, name_id(model, "FIFO0"), number=72)
    assert not session.ended


def test_a_stick_that_opens_a_stream_first_gives_us_its_id():
    session = Session([], ALONE)
    session.start(0.0)
    session.out()
    session.received(frame(FrameType.CREATE_STREAM_REQ, 7, 512, "deviceMonitor", number=70), 0.0)
    (reply,) = session.out()
    session.received(frame(FrameType.PING_RESP, number=10), 0.0)
    (create,) = session.out()
    assert bytes(reply)[72:76] == bytes(create)[72:76] == bytes(4)


def test_a_stick_that_resets_itself_is_gone():
    session, _ = opened()
    session.received(frame(FrameType.RESET_REQ, number=70), 0.0)
    assert the_end(session) == Lost("gone", "the stick has reset itself")


# -- refusals -----------------------------------------------------------------------------------------------------------


class Refusing(Model):
    """Answers one command of graphMonitor with a status that is not 0."""

    def __init__(self, command: int, status: int) -> None:
        super().__init__()
        self.refused, self.with_status = command, status

    def _monitor(self, data: bytes) -> None:
        self.status = self.with_status if data[0] == self.refused else 0
        super()._monitor(data)


@pytest.mark.parametrize(
    ("command", "status", "reason", "said"),
    [
        (commands.Graph.VERIFY, 7, "graph", "graph 0 was refused: shaves and slices do not fit"),
        (commands.Graph.ALLOCATE, 3, "graph", "graph 0 was not allocated: unsupported"),
        (commands.Graph.ALLOCATION_VERIFY, 10, "graph", "graph 0 does not fit on the stick: out of memory"),
        (commands.Graph.FIFO_ALLOCATE, 5, "graph", "FIFO0 was refused: no resources"),
        (commands.Graph.TRIGGER, 4, "infer", "an inference of graph 0 was refused: bad handle"),
        (commands.Graph.TRIGGER, -99, "infer", "an inference of graph 0 was refused: status -99"),
    ],
)
def test_a_refusal_is_told_with_its_reason(command: int, status: int, reason: str, said: str):
    session, model = opened(model=Refusing(command, status))
    if not session.ended:
        session.submit(1, 0, bytes(48), 0.0)
        carry(session, model, 0.0)
    assert the_end(session) == Lost(reason, said)


def test_what_is_no_myriad_x_is_left_alone():
    session, _ = opened(model=Model(firmware=(0x1, 0x2450, 0, 0)))
    end = the_end(session)
    assert isinstance(end, Lost)
    assert (end.reason, "no Myriad X" in end.detail) == ("open", True)


def test_a_stick_that_sees_other_tensors_than_the_blob_says_is_not_fed():
    class Other(Model):
        def _write(self, name: str, data: bytes) -> None:
            super()._write(name, commands.TENSOR.pack(1, 1, 1, 1, 49) if len(data) == 20 else data)

    session, _ = opened(model=Other())
    assert the_end(session) == Lost("protocol", "the stick reports 49 bytes of inputs in graph 0, the blob has 48")
