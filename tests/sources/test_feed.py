"""The source `feed` against a program made of a socket and a ring: which image it takes, when a slot is free, how it ends."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncs_cluster.errors import SourceError, SourceResized
from ncs_cluster.feeding import messages as m
from ncs_cluster.feeding.link import Link
from ncs_cluster.feeding.ring import ImageRing, slot_bytes
from ncs_cluster.ipc import memory
from ncs_cluster.sources.base import Planes
from ncs_cluster.sources.feed import Feed, Options

SLOTS, WIDTH, HEIGHT = 2, 64, 48


class Program:
    """Accepts sources one after another."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(self.path)
        self._listener.listen()
        self._listener.settimeout(60)
        self.fd = memory.create("test", slot_bytes(WIDTH, HEIGHT) * SLOTS)
        self.ring = ImageRing(self.fd, SLOTS, WIDTH, HEIGHT, writable=True)
        self.links: list[Link[m.FromPlugin]] = []

    def source(self, first: object = None) -> Feed:
        """An open source, whose FeedOpens was answered with the ring, or with `first`."""
        feed, opened = Feed(Options(self.path, "feed")), list[Any]()
        thread = threading.Thread(target=lambda: opened.append(outcome(feed)))
        thread.start()
        sock, _ = self._listener.accept()
        sock.settimeout(60)
        self.links.append(Link(sock, m.FromPlugin))
        assert self.heard() == m.FeedOpens("feed")
        if first is None:
            self.links[-1].send(m.Ring(SLOTS, WIDTH, HEIGHT), self.fd)
        else:
            self.links[-1].send(first)
        thread.join(60)
        if isinstance(opened[0], Exception):
            raise opened[0]
        assert (opened[0].width, opened[0].height, opened[0].ordered) == (WIDTH, HEIGHT, True)
        return feed

    def heard(self) -> object:
        received = self.links[-1].receive()
        assert received is not None
        return received.message

    def say(self, number: int, slot: int, image: np.ndarray) -> None:
        height, width = image.shape[:2]
        self.ring.image(slot, width, height)[:] = image
        self.links[-1].send(m.Image(number, slot, width, height, 1.5, 2.5))

    def close(self) -> None:
        for link in self.links:
            link.close()
        self._listener.close()
        self.ring.close()
        os.close(self.fd)


def outcome(feed: Feed) -> object:
    try:
        return feed.open()
    except SourceError as error:
        return error


def image(seed: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def planes() -> Planes:
    return Planes(np.zeros((HEIGHT, WIDTH, 3), np.uint8))


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path / "feed.sock")
    yield made
    made.close()


def test_an_image_is_copied_whole_and_its_slot_is_free_with_the_next_read(program: Program) -> None:
    source, into = program.source(), planes()
    program.say(0, 1, image(7))
    captured = source.read(into)
    assert (captured.width, captured.height, captured.captured_s, captured.captured_at) == (WIDTH, HEIGHT, 1.5, 2.5)
    assert np.array_equal(into.colour, image(7))
    assert program.heard() == m.FeedReady(0)
    program.say(1, 0, image(8, 30, 20))
    captured = source.read(into)
    assert program.heard() == m.Taken(1)
    assert (captured.width, captured.height) == (30, 20)
    assert np.array_equal(into.colour.reshape(-1)[: 30 * 20 * 3].reshape(20, 30, 3), image(8, 30, 20))
    source.close()


def test_a_source_that_follows_another_says_which_image_it_wants_first(program: Program) -> None:
    program.source().close()
    source, into = program.source(), planes()
    source.skip(5)
    program.say(5, 0, image(5))
    source.read(into)
    assert program.heard() == m.FeedReady(5)
    assert np.array_equal(into.colour, image(5))
    source.close()


def test_a_larger_image_makes_the_source_open_again(program: Program) -> None:
    source = program.source()
    program.links[-1].send(m.Outgrown())
    with pytest.raises(SourceResized):
        source.read(planes())
    source.close()


@pytest.mark.parametrize(
    "wrong", [m.Image(1, 0, 8, 8, 0, 0), m.Image(0, 2, 8, 8, 0, 0), m.Image(0, 0, 640, 480, 0, 0), m.Credit(1)]
)
def test_what_is_no_image_of_the_ring_is_refused(program: Program, wrong: object) -> None:
    source = program.source()
    program.links[-1].send(wrong)
    with pytest.raises(SourceError, match=r"^(invalid image|a frame of 640x480)"):
        source.read(planes())
    source.close()


def test_it_is_idle_while_it_waits_and_closing_ends_the_wait(program: Program) -> None:
    source, ended = program.source(), []

    def read() -> None:
        try:
            source.read(planes())
        except SourceError as error:
            ended.append(error)

    assert not source.idle
    thread = threading.Thread(target=read)
    thread.start()
    assert program.heard() == m.FeedReady(0)
    until_s = time.monotonic() + 60
    while not source.idle:
        assert time.monotonic() < until_s
        time.sleep(0.001)
    source.close()
    thread.join(60)
    assert len(ended) == 1
    assert not source.idle


def test_the_end_of_the_program_ends_the_wait(program: Program) -> None:
    source = program.source()
    program.links[-1].close()
    with pytest.raises(SourceError, match="has ended"):
        source.read(planes())
    source.close()


def test_a_program_that_answers_nonsense_is_refused(program: Program) -> None:
    with pytest.raises(SourceError, match="does not answer"):
        program.source(m.Credit(None))


def test_a_ring_that_is_larger_than_its_memory_is_refused(program: Program) -> None:
    program.fd, whole = memory.create("test", 4096), program.fd
    os.close(whole)
    with pytest.raises(SourceError, match="smaller than"):
        program.source()


def test_without_a_program_it_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has ended"):
        Feed(Options(str(tmp_path / "none"), "feed")).open()
