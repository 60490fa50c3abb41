"""Messages between two connections at a real server: told, heard, shared by a queue, and dropped where too many wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncs_cluster.fleet.address import parse
from ncs_cluster.fleet.connection import Server, Unusable, connected
from tests.nats_server import NatsServer, nats_server
from tests.server_process import WAIT_S


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(Path(tmp_path_factory.mktemp("nats")), jetstream=False) as made:
        yield made


def test_a_message_is_heard_with_its_headers_and_the_subject_for_an_answer(place: NatsServer) -> None:
    async def talk() -> None:
        server = Server(parse(place.url))
        async with connected(server, "one") as one, connected(server, "other") as other:
            heard = await one.hear("words.*")
            # the server has the subscription once it has answered
            assert await one.ask("nobody", b"") is None
            await other.tell("words.first", b"hello", {"Deadline": "3"}, reply="back")
            got = await heard.next(WAIT_S)
            assert got is not None
            assert (got.subject, got.payload, got.headers, got.reply) == ("words.first", b"hello", {"Deadline": "3"}, "back")
            assert await heard.next(0.01) is None
            await heard.close()

    asyncio.run(talk())


def test_of_two_that_hear_in_one_queue_each_message_reaches_one(place: NatsServer) -> None:
    async def talk() -> None:
        server = Server(parse(place.url))
        async with connected(server, "one") as one, connected(server, "other") as other:
            both = [await each.hear("work", "hands") for each in (one, other)]
            for each in (one, other):
                assert await each.ask("nobody", b"") is None
            for number in range(20):
                await one.tell("work", b"%d" % number)
            assert await one.ask("nobody", b"") is None
            assert await other.ask("nobody", b"") is None
            found = []
            for heard in both:
                while (got := await heard.next(0.5)) is not None:
                    found.append(int(got.payload))
            assert sorted(found) == list(range(20))

    asyncio.run(talk())


def test_messages_that_nobody_reads_are_dropped_and_the_connection_stays(place: NatsServer) -> None:
    async def talk() -> None:
        async with connected(Server(parse(place.url)), "one") as one:
            heard = await one.hear("flood", most=3)
            for number in range(10):
                await one.tell("flood", b"%d" % number)
            assert await one.ask("nobody", b"") is None
            found = []
            while (got := await heard.next(0.2)) is not None:
                found.append(int(got.payload))
            assert found == [0, 1, 2]
            await one.tell("flood", b"10")
            got = await heard.next(WAIT_S)
            assert got is not None
            assert got.payload == b"10"

    asyncio.run(talk())


def test_a_lost_connection_is_told_to_who_waits_for_a_message(tmp_path: Path) -> None:
    async def talk() -> None:
        with nats_server(tmp_path, jetstream=False) as place:
            async with connected(Server(parse(place.url)), "one") as one:
                heard = await one.hear("words")
                place.kill()
                waiting = asyncio.ensure_future(heard.next(WAIT_S))
                with pytest.raises(Unusable):
                    await waiting

    asyncio.run(talk())
