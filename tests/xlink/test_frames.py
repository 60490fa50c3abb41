"""Headers and commands are those of the protocol's page, byte by byte, and hostile ones are errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.xlink import commands, frames
from ncs_cluster.xlink.frames import FrameError, FrameType, Header
from ncs_cluster.xlink.session import GOODBYE


def test_a_create_is_84_bytes_little_endian():
    data = Header(10, FrameType.CREATE_STREAM_REQ, "deviceMonitor", 0, 2048).encode()
    assert data == bytes.fromhex("0a000000 04000000") + b"deviceMonitor".ljust(64, b"\0") + bytes.fromhex(
        "00000000 00080000 01000000"
    )


def test_what_makes_a_firmware_leave_is_one_reset_request():
    assert bytes.fromhex("0a000000 07000000") + bytes(64 + 8) + bytes.fromhex("01000000") == GOODBYE


@given(
    st.integers(0, 0x7FFFFFFF),
    st.sampled_from(FrameType),
    st.text("abcFIFO0123", min_size=1, max_size=63),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 255),
)
def test_a_header_is_read_as_it_was_written(number: int, kind: FrameType, name: str, stream: int, size: int, flags: int):
    header = Header(number, kind, name, stream, size, flags)
    assert frames.decode(header.encode()) == header


def test_what_stands_behind_a_name_is_not_read():
    data = bytearray(Header(1, FrameType.CREATE_STREAM_REQ, "FIFO0").encode())
    data[20:40] = b"\xff" * 20
    assert frames.decode(bytes(data)).name == "FIFO0"


@pytest.mark.parametrize("kind", [-1, 8, 17, 0x7FFFFFFF])
def test_a_type_that_is_none_is_an_error(kind: int):
    data = bytearray(Header(1, FrameType.PING_REQ).encode())
    data[4:8] = kind.to_bytes(4, "little", signed=True)
    with pytest.raises(FrameError, match=f"unknown type {kind}"):
        frames.decode(bytes(data))


@pytest.mark.parametrize("name", [b"", b"x" * 64, b"\xff\0", b"a\nb\0"], ids=["empty", "without an end", "no text", "two lines"])
def test_a_stream_needs_a_name_to_be_created_and_for_nothing_else(name: bytes):
    for kind, bad in ((FrameType.CREATE_STREAM_REQ, True), (FrameType.WRITE_REQ, False), (FrameType.PING_RESP, False)):
        data = bytearray(Header(1, kind).encode())
        data[8:72] = name.ljust(64, b"\0")
        if bad:
            with pytest.raises(FrameError, match="name"):
                frames.decode(bytes(data))
        else:
            assert frames.decode(bytes(data)).type == kind


@given(st.binary(max_size=100) | st.binary(min_size=84, max_size=84))
def test_any_bytes_are_a_header_or_an_error(data: bytes):
    try:
        header = frames.decode(data)
    except FrameError:
        return
    assert len(header.encode()) == 84


def test_commands_have_the_bytes_of_the_protocols_page():
    assert commands.device_command(commands.Device.ASYNC_DMA, 1) == bytes.fromhex("08000000 01000000")
    verify = commands.graph_command(commands.Graph.VERIFY, 0, "graphBuffer0", third=2)
    assert verify == bytes.fromhex("03000000 00000000") + b"graphBuffer0".ljust(64, b"\0") + bytes.fromhex(
        "00000000 00000000 02000000"
    )
    trigger = commands.graph_command(commands.Graph.TRIGGER, 1, "", 2, 3)
    assert trigger == bytes.fromhex("02000000 01000000") + bytes(64) + bytes.fromhex("02000000 03000000 00000000")
    tensor = bytes(range(20))
    fifo = commands.fifo_command(1, "FIFO1", 4, tensor, host_reads=True)
    assert fifo == bytes.fromhex("05000000 01000000") + b"FIFO1".ljust(64, b"\0") + bytes.fromhex("04000000") + tensor + b"\1\0\0\0"
    assert commands.fifo_command(0, "FIFO0", 4, tensor, host_reads=False)[-4:] == b"\0\1\0\0"
    assert commands.fifo_release(1) == bytes.fromhex("06000000 01000000")


def test_a_status_has_words():
    assert commands.status_words(10) == "out of memory"
    assert commands.status_words(-7) == "status -7"
