"""A message with a value out of its bounds does not decode; the supervisor kills the process that sent it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ncs_cluster.core.publish import LONGEST_RECORD, record
from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.ipc.channel import MAX_MESSAGE
from ncs_cluster.messages import FrameCaptured, FromCamera, Skipped
from ncs_cluster.types import CameraName, FrameRef, Outcome

LAST = 2**53 - 1


def captured(frame: int = 0, item: str | None = None) -> FrameCaptured:
    return FrameCaptured(FrameRef(CameraName("cam0"), 1, 0, frame, 64, 48), 1.0, 1.0, item)


def decoded(message: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=FromCamera)


@pytest.mark.parametrize("message", [Skipped(-1), Skipped(LAST + 1), Skipped(2**64 - 1), captured(-1), captured(LAST + 1)])
def test_a_frame_number_whose_successor_cannot_be_sent_is_refused(message: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(message)


@pytest.mark.parametrize("message", [Skipped(0), Skipped(LAST), captured(LAST), captured(item="x" * 4096)])
def test_the_largest_values_are_accepted(message: Any) -> None:
    assert decoded(message) == message


def test_an_item_longer_than_any_path_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(captured(item="x" * 4097))


def test_the_record_of_the_longest_item_fits_into_a_message() -> None:
    """JSON writes a control character as six bytes."""
    frame = Frame(FrameRef(CameraName("cam0"), 1, 0, 0, 64, 48), None, 1.0, 1.0, "\x01" * 4096)
    line = record(Unit("cam0", frame, 0), "demo", Outcome(error="e" * MAX_MESSAGE), None)
    assert b"the result is too long to be written" in line
    assert len(line) <= LONGEST_RECORD < MAX_MESSAGE
