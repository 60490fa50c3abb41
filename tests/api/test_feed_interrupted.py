"""Ctrl-C between any two lines of a submission costs at most that image: numbers stay without gaps, and no slot is lost."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from ncs_cluster.api import feed as module
from ncs_cluster.api.feed import SLOTS, Feed
from ncs_cluster.errors import ClusterClosed
from ncs_cluster.feeding import messages as m
from tests.api.test_feed import Link

IMAGE = np.zeros((8, 8, 3), np.uint8)
MOST_LINES = 200


def interrupted_at(line: int, call: Callable[[], Any]) -> bool:
    """Call it, with a KeyboardInterrupt before the line of that number that it runs in the module; False where it has fewer."""
    seen = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if frame.f_code.co_filename != module.__file__:
            return None
        if event == "line":
            seen += 1
            if seen == line:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_a_submission_that_is_interrupted_anywhere_leaves_numbers_and_slots_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_SIZE", (8, 8))
    line = 1
    while line < MOST_LINES:
        feed, link = Feed("feed"), Link()
        feed.connected(link)  # type: ignore[arg-type]
        feed.message(link, m.FeedReady(0))  # type: ignore[arg-type]
        feed.submit(IMAGE)
        if not interrupted_at(line, lambda feed=feed: feed.submit(IMAGE)):  # type: ignore[misc]
            feed.fail(ClusterClosed("closed"))
            break
        # one is announced; the interrupted one may be
        more = [feed.submit(IMAGE, timeout_s=5.0) for _ in range(SLOTS - 2)]
        announced = [image.number for image in feed._announced]
        assert announced == list(range(len(announced))), f"interrupted before line {line}"
        assert len({image.slot for image in feed._announced}) == len(announced)
        assert len(announced) + len(feed._free()) == SLOTS
        # the next source process is told of all from the first that it wants
        following = Link()
        feed.connected(following)  # type: ignore[arg-type]
        feed.message(following, m.FeedReady(1))  # type: ignore[arg-type]
        assert [image.number for image in following.said] == announced[1:]
        feed.fail(ClusterClosed("closed"))
        assert all(isinstance(future.exception(0), ClusterClosed) for future in more)
        line += 1
    assert 20 < line < MOST_LINES
