"""Servers that hang, lie or break the protocol: each costs a connection attempt, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from ncs_cluster.fleet import connection
from ncs_cluster.fleet.address import Address, parse
from ncs_cluster.fleet.bucket import read
from ncs_cluster.fleet.connection import Server, Unusable, connected
from tests.needs import need_module

INFO = b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"headers":true}\r\n'
MEGABYTE = 1 << 20


@contextmanager
def lying(talk: Callable[[socket.socket, list[bytes]], None]) -> Iterator[tuple[int, list[bytes]]]:
    """A server that says what `talk` says; the port, and what the client has sent."""
    need_module("nats.aio.client")
    heard: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            accepted, _ = listening.accept()
            with accepted:
                talk(accepted, heard)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=[listening], daemon=True)
        thread.start()
        yield listening.getsockname()[1], heard
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(20)


def refusal(port: int, *, tls: bool = False) -> str:
    async def look() -> None:
        async with connected(Server(Address("127.0.0.1", port, tls), "pi", "canary-4711"), "test") as made:
            await read(made)

    with pytest.raises(Unusable) as refused:
        asyncio.run(look())
    return str(refused.value)


def greeted(peer: socket.socket, heard: list[bytes], then: bytes) -> None:
    """Connect in order, answer the first request with `then`, and read on."""
    peer.sendall(INFO)
    while b"PING" not in b"".join(heard):
        heard.append(peer.recv(65536))
    peer.sendall(b"PONG\r\n")
    while b"PUB" not in b"".join(heard):
        heard.append(peer.recv(65536))
    peer.sendall(then)


def test_a_message_that_is_said_to_be_huge_is_not_waited_for() -> None:
    def talk(peer: socket.socket, heard: list[bytes]) -> None:
        greeted(peer, heard, b"MSG _INBOX.a 1 999999999999\r\n")
        with suppress(OSError):
            for _ in range(256):
                peer.sendall(b"x" * MEGABYTE)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with lying(talk) as (port, _):
        said = refusal(port)
    assert said in ("the connection was lost", "it does not speak the protocol of NATS", "it does not answer")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_line_without_an_end_is_not_waited_for() -> None:
    sent = []

    def talk(peer: socket.socket, heard: list[bytes]) -> None:
        greeted(peer, heard, b"INFO ")
        with suppress(OSError):
            for _ in range(256):
                peer.sendall(b"x" * MEGABYTE)
                sent.append(MEGABYTE)

    with lying(talk) as (port, _):
        refusal(port)
    assert sum(sent) < 64 * MEGABYTE


@pytest.mark.parametrize(
    ("greeting", "expected"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "it does not speak the protocol of NATS"),
        (b"INFO []\r\n", "it does not speak the protocol of NATS"),
        (b"INFO {\r\n", ""),
        (b"INFO " + b"x" * 200_000, ""),
        (INFO + b"-ERR 'Authorization Violation'\r\n", "it does not accept the user and password"),
        (b"", "it does not speak the protocol of NATS"),
    ],
)
def test_a_greeting_of_something_else_is_refused_in_one_line(greeting: bytes, expected: str) -> None:
    def talk(peer: socket.socket, heard: list[bytes]) -> None:
        if greeting:
            peer.sendall(greeting)
            with suppress(OSError):
                while got := peer.recv(65536):
                    heard.append(got)

    with lying(talk) as (port, _):
        said = refusal(port)
    assert said
    assert said.isprintable()
    assert "canary" not in said
    assert not expected or said == expected


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_S", 0.3)

    def talk(peer: socket.socket, heard: list[bytes]) -> None:
        with suppress(OSError):
            heard.append(peer.recv(65536))

    with lying(talk) as (port, _):
        assert refusal(port) == "it does not answer"


def test_the_password_is_not_sent_to_a_server_that_offers_no_tls() -> None:
    def talk(peer: socket.socket, heard: list[bytes]) -> None:
        peer.sendall(INFO)
        while got := peer.recv(65536):
            heard.append(got)

    with lying(talk) as (port, heard):
        assert refusal(port, tls=True) == "it does not offer TLS"
    assert heard == []


@pytest.mark.parametrize(
    ("text", "meant"),
    [("nats://pi", ("pi", 4222, False)), ("tls://[::1]:7", ("::1", 7, True)), ("nats://10.0.0.1:4222/", ("10.0.0.1", 4222, False))],
)
def test_an_address_is_host_port_and_whether_it_is_encrypted(text: str, meant: tuple[str, int, bool]) -> None:
    assert parse(text) == meant
    assert parse(str(parse(text))) == meant


@pytest.mark.parametrize(
    "text",
    ["pi", "http://pi", "nats://", "nats://u:canary@pi", "nats://pi:0", "nats://pi:x", "nats://pi/x", "nats://a b", "nats://[", ""],
)
def test_another_address_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be nats://HOST") as refused:
        parse(text)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("of_library", [True, False])
def test_tasks_that_the_library_leaves_behind_print_no_traceback_and_those_of_others_do(
    of_library: bool, caplog: pytest.LogCaptureFixture
) -> None:
    names: dict[str, Any] = {}
    text = "async def fail():\n    raise ConnectionResetError('by peer')\n"
    exec(compile(text, "/lib/nats/aio/client.py" if of_library else "/lib/ours.py", "exec"), names)

    async def leave() -> None:
        asyncio.get_running_loop().set_exception_handler(connection.without_left_tasks)
        task = asyncio.ensure_future(names["fail"]())
        await asyncio.wait({task})

    asyncio.run(leave())
    gc.collect()
    assert ("never retrieved" in caplog.text) is not of_library
