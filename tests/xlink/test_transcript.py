"""What raw logs of USB tell: firmware and frames out of transfers, and what is kept of them."""

from __future__ import annotations

import hashlib
import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.xlink import capture_log, transcript
from ncs_cluster.xlink.firmware import CALL, START, patch
from ncs_cluster.xlink.frames import FrameType, Header
from ncs_cluster.xlink.transcript import Boot, Call, Frame, Item, Loose, TranscriptError
from tests.xlink.capture_logs import ABOUT, BOOTED, MAGIC, ROM, Log


def only(items: list[transcript.AnyItem], kind: type[Item]) -> list[Item]:
    return [item for item in items if isinstance(item, kind)]


def linked() -> Log:
    log = Log()
    log.open(1, BOOTED)
    return log


def the_frames(log: Log) -> list[Frame]:
    return [item for item in log.items() if isinstance(item, Frame)]


def test_firmware_is_one_boot_however_it_was_cut_and_the_published_file_is_recognised_under_the_two_insertions() -> None:
    published = b"MA2x" + bytes(5000) + CALL + bytes(700) + START
    written = patch(published)
    log = Log()
    log.open(1, ROM)
    for start in range(0, len(written), 1000):
        log.out(1, written[start : start + 1000])
    log.close(1)
    boot = only(log.items(), Boot)[0]
    assert isinstance(boot, Boot)
    assert (boot.size, boot.transfers) == (len(written), [1000] * 5 + [len(written) - 5000])
    assert boot.sha256 == hashlib.sha256(written).hexdigest()
    assert boot.published_sha256 == hashlib.sha256(published).hexdigest()
    assert (boot.watchdog, boot.memory) == (1, 0)


def test_firmware_without_the_insertions_is_only_hashed() -> None:
    log = Log()
    log.open(1, ROM)
    log.out(1, b"MA2x and no more")
    boot = only(log.items(), Boot)[0]
    assert isinstance(boot, Boot)
    assert (boot.published_sha256, boot.watchdog) == (None, None)


def test_a_payload_joins_its_transfers_and_their_lengths_are_told() -> None:
    log = linked()
    log.frame(1, True, Header(12, FrameType.WRITE_REQ, stream=0, size=8), b"\4\0\0\0\0\0\0\0")
    log.frame(1, False, Header(12, FrameType.WRITE_RESP))
    ping, reply = the_frames(log)
    assert (ping.sent, ping.type, ping.head, ping.body, ping.data) == (True, "WRITE_REQ", [84], [8], "0400000000000000")
    assert (reply.sent, reply.type, reply.head, reply.body, reply.data) == (False, "WRITE_RESP", [84], [], None)
    assert 0 < ping.t < reply.t


def test_long_payloads_are_told_by_length_and_hash() -> None:
    payload = bytes(range(250)) * 100
    log = linked()
    log.frame(1, True, Header(12, FrameType.WRITE_REQ, stream=3, size=len(payload)), payload, chunk=10_000)
    frame = the_frames(log)[0]
    assert (frame.size, frame.body, frame.data) == (25_000, [10_000, 10_000, 5_000], None)
    assert frame.sha256 == hashlib.sha256(payload).hexdigest()


def test_of_a_graph_no_more_is_kept_than_the_beginning_a_stick_is_shown_first() -> None:
    log = linked()
    log.frame(1, True, Header(11, FrameType.CREATE_STREAM_REQ, "graphBuffer0", stream=2, size=192))
    log.frame(1, True, Header(12, FrameType.WRITE_REQ, "left over", stream=2, size=132), bytes(132))
    log.frame(1, True, Header(13, FrameType.WRITE_REQ, "", stream=2, size=133), bytes(133))
    _, beginning, whole = the_frames(log)
    assert beginning.data == bytes(132).hex()
    assert whole.data is None
    assert whole.sha256 == hashlib.sha256(bytes(133)).hexdigest()


@given(cuts=st.lists(st.integers(1, 400), max_size=30))
def test_frames_are_found_however_transfers_cut_and_join_them(cuts: list[int]) -> None:
    sent = b""
    for number in range(6):
        payload = bytes([number]) * (number * 37)
        sent += Header(number, FrameType.WRITE_REQ, stream=1, size=len(payload)).encode() + payload
    log = linked()
    at = 0
    for cut in [*cuts, len(sent)]:
        if piece := sent[at : at + cut]:
            log.out(1, piece)
        at += cut
    told = the_frames(log)
    assert [frame.id for frame in told] == list(range(6))
    assert [bytes.fromhex(frame.data or "") for frame in told] == [bytes([number]) * (number * 37) for number in range(6)]
    for frame in told:
        assert sum(frame.head) == 84
        assert sum(frame.body) == frame.size


def test_a_transfer_that_holds_header_and_payload_is_told_as_merged() -> None:
    log = linked()
    log.out(1, Header(12, FrameType.WRITE_REQ, size=4).encode() + b"abcd")
    frame = the_frames(log)[0]
    assert (frame.head, frame.body, frame.merged) == ([84], [4], True)


def test_asynchronous_bytes_count_in_the_order_in_which_they_were_submitted() -> None:
    log = linked()
    head = log.submit(1, Header(12, FrameType.WRITE_REQ, size=4).encode())
    data = log.submit(1, b"abcd")
    log.completed(1, data, 4)
    log.completed(1, head, 84)
    reading = log.submit(1, endpoint=0x81)
    log.completed(1, reading, 84, Header(12, FrameType.WRITE_RESP).encode(), endpoint=0x81)
    written, answered = the_frames(log)
    assert (written.type, written.data) == ("WRITE_REQ", b"abcd".hex())
    assert (answered.type, answered.sent) == ("WRITE_RESP", False)


def test_bytes_sent_behind_a_transfer_whose_end_is_missing_are_told() -> None:
    log = linked()
    log.submit(1, Header(12, FrameType.WRITE_REQ, size=4).encode())
    log.completed(1, log.submit(1, b"abcd"), 4)
    (loose,) = [item for item in log.items() if isinstance(item, Loose)]
    assert (loose.sent, loose.size) == (True, 4)


def test_of_a_transfer_that_failed_only_what_was_moved_counts() -> None:
    log = linked()
    tag = log.submit(1, Header(12, FrameType.PING_REQ).encode() + b"more")
    log.completed(1, tag, 84, rc=5)
    log.into(1, b"", rc=-4)
    told = log.items()
    assert [item.type for item in told if isinstance(item, Frame)] == ["PING_REQ"]
    failed = [(item.name, item.rc) for item in told if isinstance(item, Call) and item.rc]
    assert failed == [("completed", 5), ("bulk_transfer", -4)]


def test_payloads_the_log_did_not_keep_are_told_by_their_length_alone() -> None:
    log = linked()
    log.out(1, Header(12, FrameType.WRITE_REQ, size=9000).encode())
    log.add("bulk_transfer", handle=1, endpoint=1, asked=9000, actual=9000, payload=bytes(512))
    log.frame(1, True, Header(13, FrameType.PING_REQ))
    cut, after = the_frames(log)
    assert (cut.size, cut.data, cut.sha256) == (9000, None, None)
    assert after.type == "PING_REQ"


def test_bytes_that_are_no_frame_end_their_direction_and_are_told() -> None:
    log = linked()
    log.into(1, b"\xff" * 84)
    log.into(1, b"\xff" * 84)
    log.frame(1, True, Header(12, FrameType.PING_REQ))
    told = log.items()
    loose = [item for item in told if isinstance(item, Loose)]
    assert [(item.sent, item.size) for item in loose] == [(False, 84)]
    assert [item.type for item in told if isinstance(item, Frame)] == ["PING_REQ"]


def test_a_frame_in_the_middle_of_which_the_stick_left_is_told() -> None:
    log = linked()
    log.out(1, Header(12, FrameType.WRITE_REQ, size=100).encode())
    log.out(1, bytes(60))
    log.close(1)
    loose = [item for item in log.items() if isinstance(item, Loose)]
    assert [(item.sent, item.size, item.why) for item in loose] == [(True, 144, "the frame ends in the middle")]


def test_sticks_are_counted_as_they_were_opened_over_all_processes_and_other_devices_have_no_handle() -> None:
    first, second = Log(), Log(at_ns=10**9 + 500_000)
    for log in (first, second):
        log.open(1, ROM)
        log.close(1)
    told = capture_log.items([io.BytesIO(second.data), io.BytesIO(first.data)])
    assert [(item.name, item.handle) for item in told if isinstance(item, Call) and item.handle] == [
        ("open", 1),
        ("open", 2),
        ("close", 1),
        ("close", 2),
    ]


@given(cut=st.integers(0, 2000))
def test_a_log_that_ends_anywhere_is_read_as_far_as_it_goes(cut: int) -> None:
    log = linked()
    for number in range(6):
        log.ask(1, True, Header(number, FrameType.PING_REQ))
    whole = bytes(log.data)
    shorter = whole[: max(len(MAGIC), len(whole) - cut)]
    told = [item for item in capture_log.items([io.BytesIO(shorter)]) if isinstance(item, Frame)]
    everything = the_frames(log)
    assert told == everything[: len(told)]


@given(st.binary(max_size=400))
def test_rubbish_is_an_error_in_one_line_or_no_items(rubbish: bytes) -> None:
    for data in (rubbish, MAGIC + rubbish):
        try:
            capture_log.items([io.BytesIO(data)])
        except TranscriptError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_a_transcript_is_read_as_it_was_written() -> None:
    log = linked()
    log.ask(1, True, Header(12, FrameType.WRITE_REQ, size=4), b"abcd")
    log.into(1, b"", rc=-4)
    whole = log.transcript()
    assert whole.items
    assert transcript.load(list(transcript.dump(whole))) == whole


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "is empty"),
        ([b"{}"], "line 1 is not an item of a transcript"),
        ([b"\xff\n"], "line 1 is not an item of a transcript"),
        ([msgspec.json.encode(ABOUT), b'{"what":"noise","t":0,"took":0,"handle":1}'], "line 2 is not an item of a transcript"),
        ([msgspec.json.encode({**msgspec.to_builtins(ABOUT), "transcript": 9})], "is a transcript of version 9"),
    ],
)
def test_a_file_that_is_no_transcript_is_refused_with_its_line(lines: list[bytes], words: str) -> None:
    with pytest.raises(TranscriptError, match=words):
        transcript.load(lines)


def test_hexadecimal_that_is_none_is_refused() -> None:
    frame = msgspec.to_builtins(the_frames_of_a_ping()[0])
    with pytest.raises(TranscriptError):
        transcript.load([msgspec.json.encode(ABOUT), msgspec.json.encode({**frame, "data": "0g"})])


def the_frames_of_a_ping() -> list[Frame]:
    log = linked()
    log.frame(1, True, Header(12, FrameType.PING_REQ))
    return the_frames(log)
