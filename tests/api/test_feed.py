"""The program's side of its images, against a source that is killed at any time: every image is captured once, whole, in order."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ncs_cluster.api import feed as module
from ncs_cluster.api.feed import SLOTS, Feed
from ncs_cluster.errors import ClusterClosed
from ncs_cluster.feeding import messages as m
from ncs_cluster.feeding.ring import ImageRing
from ncs_cluster.types import Outcome, Record


class Link:
    """A connection to a source process."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.ring: ImageRing | None = None

    def send(self, message: Any, *fds: int) -> None:
        if isinstance(message, m.Ring):
            self.ring = ImageRing(fds[0], message.slots, message.width, message.height, writable=False)
        else:
            self.said.append(message)


class Feeds(RuleBasedStateMachine):
    """`captured` is what the supervisor knows; a source process is killed between any two messages."""

    @initialize()
    def begin(self) -> None:
        self.first_size, module.FIRST_SIZE = module.FIRST_SIZE, (8, 8)
        self.feed = Feed("feed")
        self.given: list[np.ndarray] = []
        self.futures: list[Any] = []
        self.captured: list[np.ndarray] = []
        self.answered: set[int] = set()
        self.link: Link | None = None
        self.ready = False

    @rule(width=st.integers(1, 12), height=st.integers(1, 12))
    def submit(self, width: int, height: int) -> None:
        image = np.full((height, width, 3), len(self.given) % 251, np.uint8)
        fits = self.feed._ring.holds(width, height)
        if len(self.feed._free()) < (1 if fits else SLOTS):
            return  # it would wait
        self.futures.append(self.feed.submit(image, len(self.given)))
        self.given.append(image)

    @precondition(lambda self: self.link is None)
    @rule()
    def connect(self) -> None:
        self.link, self.ready = Link(), False
        self.feed.connected(self.link)  # type: ignore[arg-type]
        assert self.link.ring is not None

    @precondition(lambda self: self.link is not None and not self.ready)
    @rule()
    def says_ready(self) -> None:
        self.feed.message(self.link, m.FeedReady(len(self.captured)))  # type: ignore[arg-type]
        self.ready = True

    @precondition(lambda self: self.link is not None and self.ready and self.link.said)
    @rule(told=st.booleans(), killed=st.booleans())
    def reads(self, told: bool, killed: bool) -> None:
        """Captures the next image. `told`: it asks for the one after; `killed`: the supervisor never hears of this one."""
        assert self.link is not None
        message = self.link.said.pop(0)
        if isinstance(message, m.Outgrown):
            self.dies()
            return
        assert message.number == len(self.captured)
        assert self.link.ring is not None
        image = self.link.ring.image(message.slot, message.width, message.height).copy()
        if killed:
            self.dies()
            return
        self.captured.append(image)
        if told:
            self.feed.message(self.link, m.Taken(len(self.captured)))  # type: ignore[arg-type]

    @precondition(lambda self: self.link is not None)
    @rule()
    def dies(self) -> None:
        self.feed.disconnected(self.link)  # type: ignore[arg-type]
        self.link = None

    @precondition(lambda self: len(self.answered) < len(self.captured))
    @rule(data=st.data())
    def answers(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(set(range(len(self.captured))) - self.answered)))
        self.answered.add(number)
        self.feed.record(Record("feed", number, 0.0, None, "sim-1", "g", 0.1, Outcome()))
        assert self.futures[number].result(0).number == number

    @invariant()
    def each_image_is_captured_whole_and_in_order(self) -> None:
        for given, captured in zip(self.given, self.captured, strict=False):
            assert np.array_equal(given, captured)

    @invariant()
    def a_source_with_an_outgrown_ring_is_told(self) -> None:
        if self.link is not None and self.link.ring is not None:
            sizes = [(ring.width, ring.height) for ring in (self.link.ring, self.feed._ring)]
            assert sizes[0] == sizes[1] or m.Outgrown() in self.link.said

    @invariant()
    def a_slot_is_free_or_holds_one_image(self) -> None:
        slots = [*self.feed._free(), *(image.slot for image in self.feed._announced)]
        assert sorted(slots) == list(range(SLOTS))
        waiting = [image.size for number, image in enumerate(self.given) if number not in self.answered]
        assert self.feed._waiting_bytes() == sum(waiting)

    def teardown(self) -> None:
        if hasattr(self, "feed"):
            module.FIRST_SIZE = self.first_size
            descriptor = self.feed._fd
            self.feed.fail(ClusterClosed("closed"))
            assert all(
                isinstance(future.exception(0), ClusterClosed)
                for number, future in enumerate(self.futures)
                if number not in self.answered
            )
            assert not os.path.exists(f"/proc/self/fd/{descriptor}") or "ncs-images" not in os.readlink(
                f"/proc/self/fd/{descriptor}"
            )


TestFeeds = Feeds.TestCase
