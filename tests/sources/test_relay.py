"""The source `relay`: frames of the source behind it as they are, as far as there is credit; what the program is told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from ncs_cluster.errors import SourceError
from ncs_cluster.feeding import messages as m
from ncs_cluster.feeding.link import Link
from ncs_cluster.sources.base import Planes
from ncs_cluster.sources.images import Images
from ncs_cluster.sources.images import Options as OfImages
from ncs_cluster.sources.relay import Options, Relay


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    for number in range(6):
        cv2.imwrite(str(made / f"{number}.png"), np.full((10, 20, 3), number * 40, np.uint8))
    return made


class Program:
    """Accepts one relay and gives it credit."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(self.path)
        self._listener.listen()
        self._listener.settimeout(60)
        self.links: list[Link[m.FromPlugin]] = []

    def accept(self, credit: int | None) -> threading.Thread:
        def work() -> None:
            sock, _ = self._listener.accept()
            sock.settimeout(60)
            self.links.append(Link(sock, m.FromPlugin))
            self.links[-1].send(m.Credit(credit))

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def relay(self, credit: int | None, options: dict[str, object]) -> Relay:
        relay = Relay(Options(self.path, "stream-1", "images", options))
        thread = self.accept(credit)
        try:
            relay.open()
        except SourceError:
            relay.close()
            raise
        finally:
            thread.join(60)
        return relay

    def heard(self) -> object:
        received = self.links[-1].receive()
        assert received is not None
        return received.message

    def close(self) -> None:
        for link in self.links:
            link.close()
        self._listener.close()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path / "feed.sock")
    yield made
    made.close()


def planes() -> Planes:
    return Planes(np.zeros((720, 1280, 3), np.uint8))


def test_frames_are_those_of_the_source_and_its_end_is_told(program: Program, folder: Path) -> None:
    relay = program.relay(None, {"path": str(folder)})
    alone = Images(OfImages(str(folder)))
    alone.open()
    assert program.heard() == m.RelayOpens("stream-1")
    for _ in range(6):
        into, wanted = planes(), planes()
        one, other = relay.read(into), alone.read(wanted)
        assert one is not None
        assert other is not None
        assert (one.item, one.width, one.height) == (other.item, other.width, other.height)
        assert np.array_equal(into.colour, wanted.colour)
    assert relay.read(planes()) is None
    assert program.heard() == m.RelayEnded(6)
    relay.close()


def test_it_reads_as_far_as_it_has_credit_and_is_idle_beyond(program: Program, folder: Path) -> None:
    relay = program.relay(2, {"path": str(folder)})
    assert [relay.read(planes()).item for _ in range(2)] == ["0.png", "1.png"]  # type: ignore[union-attr]
    read: list[object] = []
    thread = threading.Thread(target=lambda: read.append(relay.read(planes())))
    thread.start()
    until_s = time.monotonic() + 60
    while not relay.idle:
        assert time.monotonic() < until_s
        time.sleep(0.001)
    assert read == []
    program.links[-1].send(m.Credit(3))
    thread.join(60)
    assert read[0].item == "2.png"  # type: ignore[attr-defined]
    assert not relay.idle
    relay.close()


def test_frames_that_were_captured_before_count(program: Program, folder: Path) -> None:
    relay = program.relay(None, {"path": str(folder)})
    relay.skip(4)
    assert relay.read(planes()).item == "4.png"  # type: ignore[union-attr]
    relay.read(planes())
    assert relay.read(planes()) is None
    program.heard()
    assert program.heard() == m.RelayEnded(6)
    relay.close()


def test_a_source_that_cannot_be_opened_is_told_with_its_reason(program: Program, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        program.relay(None, {"path": str(tmp_path / "none")})
    program.heard()
    assert program.heard() == m.RelayLost(caught.value.detail, permanent=True)


def test_the_end_of_the_program_and_closing_end_the_wait_for_credit(program: Program, folder: Path) -> None:
    relay = program.relay(0, {"path": str(folder)})
    program.links[-1].close()
    with pytest.raises(SourceError, match="has ended"):
        relay.read(planes())
    relay.close()
    with pytest.raises(SourceError, match="closed"):
        relay.read(planes())
