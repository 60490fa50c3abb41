"""The sink `feed` against a program made of a socket: every record once, also after the sink was killed; a program that pauses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.feeding import messages as m
from ncs_cluster.feeding.link import Link
from ncs_cluster.sinks import feed
from ncs_cluster.sinks.base import Opened
from ncs_cluster.sinks.feed import Feed, Options
from ncs_cluster.types import Outcome, Record


def record(number: int, size: int = 0) -> Record:
    return Record("feed", number, 1.0, None, "sim-1", "g", 0.1, Outcome(features=bytes(size)))


class Program:
    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(self.path)
        self._listener.listen()
        self._listener.settimeout(60)
        self.link: Link[m.FromPlugin] | None = None
        self.first = -1

    def sink(self, first: int, answer: object) -> tuple[Feed, Opened]:
        sink, opened = Feed(Options(self.path)), list[Any]()

        def work() -> None:
            try:
                opened.append(sink.open(first, None))
            except OSError as error:
                opened.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        sock, _ = self._listener.accept()
        sock.settimeout(60)
        self.close_link()
        self.link = Link(sock, m.FromPlugin)
        said = self.heard()
        assert isinstance(said, m.SinkOpens)
        self.first = said.first
        if answer is None:
            self.close_link()
        else:
            self.link.send(answer)
        thread.join(60)
        if isinstance(opened[0], Exception):
            raise opened[0]
        return sink, opened[0]

    def heard(self) -> object:
        assert self.link is not None
        received = self.link.receive()
        assert received is not None
        return received.message

    def close_link(self) -> None:
        if self.link is not None:
            self.link.close()

    def close(self) -> None:
        self.close_link()
        self._listener.close()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path / "feed.sock")
    yield made
    made.close()


def test_records_arrive_whole_with_rising_numbers(program: Program) -> None:
    sink, opened = program.sink(3, m.WriteFrom(3))
    assert (program.first, opened) == (3, Opened(3, b""))
    for number in (3, 4):
        assert sink.write(record(number, 150_000)) == b""
        assert program.heard() == m.Written(number, record(number, 150_000))
    sink.close()


def test_a_sink_after_a_killed_one_goes_on_behind_what_the_program_has(program: Program) -> None:
    """The process before had written records that it did not acknowledge."""
    sink, opened = program.sink(3, m.WriteFrom(7))
    assert opened.next == 7
    sink.close()


def test_a_program_that_pauses_blocks_no_write_for_ever_and_loses_no_record(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "READER_S", 0.01)
    sink, _ = program.sink(0, m.WriteFrom(0))
    written = 0

    def write_on() -> None:
        nonlocal written
        while written < 10_000:
            sink.write(record(written, 1000))
            written += 1

    with pytest.raises(BlockingIOError, match="does not read"):
        write_on()
    assert written > 0
    for number in range(written):
        assert program.heard() == m.Written(number, record(number, 1000))
    sink.write(record(written))
    assert program.heard() == m.Written(written, record(written))
    sink.close()


def test_records_of_a_program_that_has_ended_are_dropped(program: Program) -> None:
    sink, _ = program.sink(0, m.WriteFrom(0))
    program.close_link()
    assert [sink.write(record(number)) for number in range(3)] == [b"", b"", b""]


@pytest.mark.parametrize("answer", [None, m.Credit(1)])
def test_a_program_that_does_not_answer_is_an_os_error(program: Program, answer: object) -> None:
    with pytest.raises(OSError, match=r"has ended|does not answer"):
        program.sink(0, answer)
