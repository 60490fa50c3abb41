"""A message with a value out of its bounds does not decode; the supervisor kills the process that sent it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ncs_cluster.core.streams import LONGEST_RECORD
from ncs_cluster.ipc.channel import MAX_MESSAGE
from ncs_cluster.messages import FrameCaptured, FromCamera, Skipped, Write
from ncs_cluster.sinks._json import encode
from ncs_cluster.sinks._lines import LONGEST_TAIL
from ncs_cluster.types import CameraName, FrameRef, Outcome
from tests.core.onecamera import CameraSetup, ref

LAST = 2**53 - 1


def captured(frame: int = 0, item: str | None = None) -> FrameCaptured:
    return FrameCaptured(FrameRef(CameraName("cam0"), 1, 0, frame, 64, 48), 1.0, 1.0, item)


def decoded(message: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=FromCamera)


@pytest.mark.parametrize("message", [Skipped(-1), Skipped(LAST + 1), Skipped(2**64 - 1), captured(-1), captured(LAST + 1)])
def test_a_frame_number_whose_successor_cannot_be_sent_is_refused(message: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(message)


@pytest.mark.parametrize("message", [Skipped(0), Skipped(LAST), captured(LAST), captured(item="x" * 50_000)])
def test_the_largest_values_are_accepted(message: Any) -> None:
    assert decoded(message) == message


def test_an_item_longer_than_any_path_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(captured(item="x" * 50_001))


def test_the_longest_record_fits_into_a_message_and_its_line_into_what_is_looked_back_for() -> None:
    """JSON writes a control character as six bytes."""
    setup = CameraSetup(ordered=True).open()
    setup.receive(FrameCaptured(ref(0), 10.0, 1.7e9, "\x01" * 4096, "\x01" * 150_000))
    setup.receive(FrameCaptured(ref(1, 1), 10.0, 1.7e9, "\x01" * 4096, "\x01" * MAX_MESSAGE))
    longest, replaced = setup.records
    assert len(longest.outcome.error or "") == 150_000
    assert replaced.outcome == Outcome(error="result of 204134 bytes is longer than 190000 bytes")
    assert len(msgspec.msgpack.encode(Write(LAST, longest))) <= LONGEST_RECORD + 100 < MAX_MESSAGE
    assert 900_000 < len(encode(longest)) < 6 * LONGEST_RECORD < LONGEST_TAIL
