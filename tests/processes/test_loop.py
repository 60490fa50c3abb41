"""The wait of the event loop, on real descriptors."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest

from ncs_cluster.processes.loop import READ, WRITE, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_ready_descriptor_is_called_back_once_a_turn_until_it_is_read(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    calls: list[int] = []
    loop.watch(ours.fileno(), calls.append)
    loop.turn(0.0)
    assert calls == []
    theirs.send(b"x")
    loop.turn(10.0)
    loop.turn(10.0)
    assert calls == [READ, READ]
    ours.recv(1)
    loop.turn(0.0)
    assert calls == [READ, READ]


def test_the_end_of_a_file_is_something_to_read(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    calls: list[int] = []
    loop.watch(ours.fileno(), calls.append)
    theirs.close()
    loop.turn(10.0)
    assert calls == [READ]


def test_room_to_write_is_told_while_it_is_asked_for(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    calls: list[int] = []
    loop.watch(ours.fileno(), calls.append, READ | WRITE)
    loop.turn(10.0)
    loop.watch(ours.fileno(), calls.append)
    loop.turn(0.0)
    assert calls == [WRITE]


def test_a_descriptor_that_was_forgotten_in_this_turn_is_not_called_back_though_its_number_is_used_again(loop: Loop) -> None:
    first, first_end = socket.socketpair()
    second, second_end = socket.socketpair()
    called: list[str] = []
    reused: list[socket.socket] = []

    def replace(closed: socket.socket, name: str) -> None:
        """Close the other one, and open a file that gets its number."""
        called.append(name)
        number = closed.fileno()
        loop.forget(number)
        closed.close()
        new, new_end = socket.socketpair()
        reused.extend([new, new_end])
        assert number in (new.fileno(), new_end.fileno())
        loop.watch(number, lambda _: called.append("a stranger"))

    loop.watch(first.fileno(), lambda _: replace(second, "first"))
    loop.watch(second.fileno(), lambda _: replace(first, "second"))
    first_end.send(b"x")
    second_end.send(b"x")
    loop.turn(10.0)
    assert len(called) == 1
    for each in (first, first_end, second, second_end, *reused):
        each.close()


def test_a_turn_ends_no_sooner_than_its_time_where_nothing_is_ready(loop: Loop) -> None:
    """An early end would be followed by turns without a wait until the deadline."""
    for wait_s in (0.0004, 0.0016, 0.0101):
        began_s = time.monotonic()
        loop.turn(wait_s)
        assert time.monotonic() - began_s >= wait_s


def test_a_forgotten_descriptor_can_be_closed_and_watched_again(loop: Loop) -> None:
    calls: list[int] = []
    for _ in range(2):
        reader, writer = os.pipe()
        loop.watch(reader, calls.append)
        os.write(writer, b"x")
        loop.turn(10.0)
        loop.forget(reader)
        os.close(reader)
        os.close(writer)
    assert calls == [READ, READ]
