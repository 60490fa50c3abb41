"""What two hosts say is compared by what it means: what may vary is set aside by name, everything else is a difference."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ncs_cluster.xlink import compare, words
from ncs_cluster.xlink.commands import Device, Graph, device_command, fifo_command, fifo_release, graph_command
from ncs_cluster.xlink.frames import FrameType, Header
from ncs_cluster.xlink.transcript import Frame, Transcript
from tests.xlink.capture_logs import ABOUT, BOOTED, ROM, Log

TENSOR = bytes(range(200)) * 500


class Host:
    """A small session, with what a host is free to do as arguments."""

    def __init__(self, first_id: int = 10, id_step: int = 1, chunk: int = 1 << 20, device: str = BOOTED) -> None:
        self.log = Log()
        self.id = first_id - id_step
        self.step = id_step
        self.chunk = chunk
        self.theirs = 100
        for _ in range(3):
            self.log.add("polled", asked=7)
        self.log.open(1, device)
        self.log.add("claim_interface", handle=1)
        self.ask(FrameType.PING_REQ)
        self.create(0, "deviceMonitor", 2048)
        self.create(1, "graphMonitor", 4096)
        self.create(2, "FIFO0", 400_000)

    def ask(self, kind: FrameType, stream: int = 0, size: int = 0, name: str = "", payload: bytes = b"") -> None:
        self.id += self.step
        self.log.ask(1, True, Header(self.id, kind, name, stream, size or len(payload)), payload, self.chunk)

    def create(self, stream: int, name: str, size: int) -> None:
        self.ask(FrameType.CREATE_STREAM_REQ, stream, size, name)

    def write(self, stream: int, payload: bytes) -> None:
        self.ask(FrameType.WRITE_REQ, stream, payload=payload)

    def stick(self, stream: int, payload: bytes) -> None:
        self.theirs += 1
        self.log.ask(1, False, Header(self.theirs, FrameType.WRITE_REQ, stream=stream, size=len(payload)), payload)

    def credit(self, stream: int, size: int) -> None:
        self.ask(FrameType.READ_REL_REQ, stream, size)

    def ping(self) -> None:
        self.write(0, device_command(Device.PING))

    def thermal(self, argument: int = 0, temperature_c: float = 40.0) -> None:
        self.write(0, struct.pack("<II", 0, argument))
        self.stick(0, struct.pack("<26f", 0, temperature_c, *[0] * 24))
        self.credit(0, 104)

    def infer(self, tensor: bytes = TENSOR, unread: int = 0) -> None:
        self.write(2, tensor)
        order = struct.pack("<II64sIII", Graph.TRIGGER, 0, b"\0" + bytes([unread]) * 63, 0, 1, unread)
        self.write(1, order)
        self.stick(1, bytes(4))
        self.credit(1, 4)

    def end(self) -> Transcript:
        self.ask(FrameType.RESET_REQ)
        self.log.add("release_interface", handle=1)
        self.log.close(1)
        return self.log.transcript()


def session(*steps: Callable[[Host], object], **free: int) -> Transcript:
    host = Host(**free)  # type: ignore[arg-type]
    for step in steps:
        step(host)
    return host.end()


def lanes(first: Transcript, second: Transcript) -> list[str]:
    return [difference.lane for difference in compare.compare(first, second).differences]


PLAIN = [Host.ping, Host.infer, Host.thermal]


def test_a_transcript_equals_itself_and_says_what_was_set_aside() -> None:
    once = session(*PLAIN)
    report = compare.compare(once, once)
    assert report.differences == []
    assert {"times", "event ids", "cadence", "temperatures", "polling", "ports"} <= set(report.set_aside)
    assert set(report.set_aside) <= set(compare.RULES)


@pytest.mark.parametrize(
    ("steps", "free", "rule"),
    [
        (PLAIN, {"first_id": 40, "id_step": 3}, "event ids"),
        (PLAIN, {"chunk": 16_384}, "chunk sizes"),
        ([Host.ping, lambda host: host.infer(unread=0xAB), Host.thermal], {}, "uninitialised fields"),
        ([Host.ping, Host.infer, lambda host: host.thermal(7)], {}, "uninitialised fields"),
        ([Host.ping, Host.infer, lambda host: host.thermal(temperature_c=71.5)], {}, "temperatures"),
        ([Host.thermal, Host.ping, Host.thermal, Host.ping, Host.infer, Host.ping], {}, "cadence"),
        ([*PLAIN, lambda host: host.log.add("get_config_descriptor", handle=1)], {}, "descriptors"),
        ([*PLAIN, lambda host: host.log.add("polled", asked=9000)], {}, "polling"),
        ([*PLAIN, lambda host: host.log.into(1, b"")], {}, "empty transfers"),
    ],
)
def test_what_a_host_is_free_to_do_is_set_aside_by_its_rule(
    steps: Iterable[Callable[[Host], object]], free: dict[str, int], rule: str
) -> None:
    report = compare.compare(session(*PLAIN), session(*steps, **free))
    assert report.differences == []
    assert report.set_aside[rule] > 0


def test_another_port_and_another_speed_are_no_difference() -> None:
    elsewhere = Host(device="f63b bus 1 ports 4.3 speed 3 usb 2.10").end()
    assert lanes(Host().end(), elsewhere) == []


def test_threads_that_overtake_each_other_are_no_difference_but_order_inside_a_lane_is() -> None:
    early = session(lambda host: host.stick(1, b"\1\0\0\0"), Host.ping, lambda host: host.credit(1, 4), Host.infer)
    late = session(lambda host: host.stick(1, b"\1\0\0\0"), Host.infer, lambda host: host.credit(1, 4), Host.ping)
    assert lanes(early, late) == []
    one = session(lambda host: host.infer(b"1" * 100), lambda host: host.infer(b"2" * 100))
    other = session(lambda host: host.infer(b"2" * 100), lambda host: host.infer(b"1" * 100))
    assert lanes(one, other) == ["link 1, host"]


@pytest.mark.parametrize(
    ("steps", "lane"),
    [
        ([Host.ping, lambda host: host.infer(TENSOR[:-1] + b"\0"), Host.thermal], "link 1, host"),
        ([Host.ping, Host.infer, Host.infer, Host.thermal], "link 1, host"),
        ([Host.infer, Host.thermal], "link 1, PING"),
        ([Host.ping, Host.infer], "link 1, THERMAL"),
        ([*PLAIN, lambda host: host.stick(1, b"\1\0\0\0")], "link 1, stick on graphMonitor"),
        ([*PLAIN, lambda host: host.credit(1, 4)], "link 1, host returns credit on graphMonitor"),
        ([*PLAIN, lambda host: host.write(0, b"\6\0\0\0\1\0\0\0")], "link 1, host"),
        ([*PLAIN, lambda host: host.create(3, "FIFO1", 64)], "link 1, host"),
        ([*PLAIN, lambda host: host.log.into(1, b"\xff" * 84)], "link 1, bytes that are no frame"),
        ([*PLAIN, lambda host: host.log.add("clear_halt", handle=1, endpoint=0x81)], "link 1, calls"),
        ([*PLAIN, lambda host: host.log.out(1, b"", rc=-7)], "link 1, calls"),
    ],
)
def test_what_means_something_else_is_a_difference(steps: Iterable[Callable[[Host], object]], lane: str) -> None:
    assert lane in lanes(session(*PLAIN), session(*steps))


FREE = {
    "t": "times",
    "took": "times",
    "handle": "it is the same number in all of them",
    "id": "event ids",
    "name": "names",
    "body": "chunk sizes",
}
FREE_OF_REPLIES = {"stream", "size"}
"""See RULES; of a name and an event id other tests tell where they count."""


def test_whatever_is_changed_in_a_frame_is_a_difference_unless_a_rule_sets_it_aside() -> None:
    """Field after field of frame after frame; the watchdog's and the temperature's frames, of which one counts, come but once."""
    base = session(*PLAIN)
    unseen = set()
    for place, frame in enumerate(base.items):
        if not isinstance(frame, Frame):
            continue
        for field in frame.__struct_fields__:
            reply = frame.type.endswith("_RESP")
            if field in FREE or (reply and field in FREE_OF_REPLIES):
                continue
            old = getattr(frame, field)
            new = {
                "sent": not frame.sent,
                "type": "CLOSE_STREAM_REQ",
                "head": [40, 44],
                "merged": not frame.merged,
                "data": None,
                "sha256": "0" * 64,
            }.get(field, old ^ 2 if isinstance(old, int) else None)
            if new == old or (field == "sha256" and old is None):
                continue
            items = [*base.items]
            items[place] = structs.replace(frame, **{field: new})
            if not lanes(base, base._replace(items=items)):
                unseen.add((frame.type, "host" if frame.sent else "stick", field, frame.stream, frame.size))
    assert unseen == {("WRITE_REQ", "stick", "data", 0, 104)}, "a reading of the sensor is its own"


def test_a_header_that_shares_its_transfer_is_a_difference() -> None:
    def merged(host: Host) -> None:
        host.log.out(1, Header(900, FrameType.WRITE_REQ, stream=2, size=4).encode() + b"abcd")
        host.log.frame(1, False, Header(900, FrameType.WRITE_RESP))

    def apart(host: Host) -> None:
        host.log.ask(1, True, Header(900, FrameType.WRITE_REQ, stream=2, size=4), b"abcd")

    assert lanes(session(apart), session(merged)) == ["link 1, host"]


def test_a_refused_request_and_one_without_reply_are_differences() -> None:
    def ending(reply: Header | None) -> Transcript:
        host = Host()
        host.log.frame(1, True, Header(900, FrameType.CREATE_STREAM_REQ, "FIFO1", 3, 64))
        if reply:
            host.log.frame(1, False, reply)
        return host.end()

    good, bad, none = (
        ending(each)
        for each in (Header(900, FrameType.CREATE_STREAM_RESP), Header(900, FrameType.CREATE_STREAM_RESP, flags=2), None)
    )
    assert lanes(good, bad) == lanes(good, none) == ["link 1, host"]
    assert compare.compare(good, bad).differences[0].lines[-3:] == [
        "-CREATE_STREAM FIFO1 as 3, 64 bytes -> ack",
        "+CREATE_STREAM FIFO1 as 3, 64 bytes -> flags 0x2",
        " RESET -> ack",
    ]


def test_a_stick_that_leaves_need_not_answer_its_reset() -> None:
    host = Host()
    host.log.frame(1, True, Header(900, FrameType.RESET_REQ))
    host.log.into(1, b"", rc=-4)
    host.log.add("release_interface", handle=1, rc=-4)
    host.log.close(1)
    assert lanes(session(), host.log.transcript()) == []


def test_a_reply_may_be_seen_before_the_call_that_wrote_its_request_returns() -> None:
    host = Host()
    host.log.frame(1, False, Header(900, FrameType.PING_RESP))
    host.log.frame(1, True, Header(900, FrameType.PING_REQ))
    assert lanes(session(lambda host: host.log.ask(1, True, Header(900, FrameType.PING_REQ))), host.end()) == []


def test_other_firmware_is_a_difference_another_cut_of_it_is_none() -> None:
    def boot(firmware: bytes, chunk: int) -> Transcript:
        log = Log()
        log.open(1, ROM)
        log.add("set_configuration", handle=1, endpoint=1)
        for at in range(0, len(firmware), chunk):
            log.out(1, firmware[at : at + chunk])
        log.close(1)
        return log.transcript()

    report = compare.compare(boot(TENSOR, 1 << 20), boot(TENSOR, 4096))
    assert report.differences == []
    assert report.cuts == ["boot 1, firmware: 100000 against 24 x 4096, 1696"]
    assert lanes(boot(TENSOR, 4096), boot(TENSOR + b"1", 4096)) == ["boot 1, firmware"]


def test_payloads_of_which_only_the_length_is_known_are_set_aside_by_name() -> None:
    def unkept(host: Host) -> None:
        host.log.frame(1, True, Header(900, FrameType.WRITE_REQ, stream=2, size=9000))
        host.log.add("bulk_transfer", handle=1, endpoint=1, asked=9000, actual=9000, payload=bytes(512))
        host.log.frame(1, False, Header(900, FrameType.WRITE_RESP))

    report = compare.compare(session(unkept), session(unkept))
    assert (report.differences, report.set_aside["payloads not kept"]) == ([], 2)
    assert "payloads not kept" not in compare.compare(session(*PLAIN), session(*PLAIN)).set_aside


def test_names_that_are_no_text_are_not_taken_for_each_other() -> None:
    one, other = (struct.pack("<II64sIII", Graph.ALLOCATE, 0, name, 0, 0, 2) for name in (b"\xfe", b"\xff"))
    first, second = session(lambda host: host.write(1, one)), session(lambda host: host.write(1, other))
    assert lanes(first, second) == ["link 1, host"]


@pytest.mark.parametrize(
    ("stream", "data", "unread"),
    [
        (0, device_command(Device.CAPABILITIES), range(4, 8)),
        (0, device_command(Device.POWER), ()),
        (0, device_command(Device.ASYNC_DMA, 1), ()),
        (1, graph_command(Graph.VERIFY, 0, "graphBuffer0", third=2), range(21, 80)),
        (1, graph_command(Graph.ALLOCATE, 0, "graphBuffer0", third=2), range(21, 80)),
        (1, graph_command(Graph.ALLOCATION_VERIFY, 0), range(8, 84)),
        (1, graph_command(Graph.DEALLOCATE, 0), range(8, 84)),
        (1, graph_command(Graph.TRIGGER, 0, "", 0, 1), [*range(8, 72), *range(80, 84)]),
        (1, fifo_command(0, "FIFO0", 4, bytes(20), host_reads=False), [*range(14, 72), 98, 99]),
        (1, fifo_release(1), ()),
        (2, bytes(range(256)), ()),
    ],
)
def test_every_byte_of_a_command_counts_but_those_that_no_stick_reads(stream: int, data: bytes, unread: Iterable[int]) -> None:
    def said(payload: bytes) -> Transcript:
        return session(lambda host: host.write(stream, payload))

    flipped = (data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :] for at in range(len(data)))
    before = said(data)
    assert [at for at, changed in enumerate(flipped) if not lanes(before, said(changed))] == list(unread)


def test_graph_commands_are_compared_in_words() -> None:
    data = graph_command(Graph.ALLOCATE, 0, "graphBuffer0", third=2)
    frame = Frame(0.0, 0.0, 1, sent=True, type="WRITE_REQ", id=1, name="", stream=1, size=84, flags=1, head=[84], data=data.hex())
    assert words.written("graphMonitor", frame) == ("ALLOCATE graph 0 graphBuffer0, executors 2", True)


@given(st.lists(st.sampled_from(PLAIN), max_size=6), st.lists(st.sampled_from(PLAIN), max_size=6))
def test_two_sessions_are_equal_exactly_when_they_infer_equally_and_do_the_same_things_at_all(
    one: list[Callable[[Host], object]], other: list[Callable[[Host], object]]
) -> None:
    same = one.count(Host.infer) == other.count(Host.infer) and set(one) == set(other)
    assert (lanes(session(*one), session(*other)) == []) is same


def test_every_rule_is_told_to_owners_of_a_stick() -> None:
    page = (Path(__file__).parents[2] / "docs" / "ncs2.md").read_text()
    for rule, reason in compare.RULES.items():
        assert f"| {rule} | {reason} |" in page


def test_of_a_long_difference_the_beginning_is_told() -> None:
    one, other = Host(), Host()
    for number in range(3000):
        one.log.ask(1, True, Header(900 + number, FrameType.PING_REQ))
        other.log.ask(1, True, Header(900 + number, FrameType.CLOSE_STREAM_REQ, stream=number))
    (difference,) = compare.compare(one.end(), other.end()).differences
    assert difference.lines[:2] == [" CREATE_STREAM FIFO0 as 2, 400000 bytes -> ack", "-PING -> ack"]
    assert difference.lines[-1] == "…"
    assert len(difference.lines) == compare.SHOWN + 1


def test_nothing_equals_nothing() -> None:
    assert compare.compare(Transcript(ABOUT, []), Transcript(ABOUT, [])) == compare.Report([], {}, [])
