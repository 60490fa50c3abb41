"""Jobs over hosts at a real server: a chunk is in the queue, with a host, or has one result; whoever asks, and however late."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from msgspec import structs

from ncs_cluster.fleet.address import parse
from ncs_cluster.fleet.chunk import Chunk, Malformed, Offer, Result, Root, encoded
from ncs_cluster.fleet.connection import Server, connected
from ncs_cluster.fleet.jobs import Jobs, Taken, deliveries
from tests.nats_server import NatsServer, nats_server
from tests.server_process import WAIT_S

KEY = "0" * 64


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(Path(tmp_path_factory.mktemp("nats"))) as made:
        yield made


def offer(job: str, silent_s: float = 30.0) -> Offer:
    return Offer(1, "0.1.0", job, "small", KEY, 1280, 720, silent_s)


def chunk(job: str, name: str) -> Chunk:
    return Chunk(1, job, name, [Root("photos", b"", "")], [(0, b"a.jpg")])


def talk(place: NatsServer, body: Callable[[Jobs], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with connected(Server(parse(place.url)), "test") as connection:
            jobs = Jobs(connection)
            await jobs.prepare()
            await body(jobs)

    asyncio.run(whole())


async def took(jobs: Jobs, job: str) -> Taken:
    until_s = asyncio.get_running_loop().time() + WAIT_S
    while (found := await jobs.take(job, 1.0)) is None:
        assert asyncio.get_running_loop().time() < until_s, "no chunk came"
    return found


def test_a_chunk_that_is_in_the_queue_is_not_published_again(place: NatsServer) -> None:
    async def body(jobs: Jobs) -> None:
        await jobs.offer(offer("once"))
        for _ in range(3):
            await jobs.publish(chunk("once", "0"))
        taken = await took(jobs, "once")
        assert (taken.payload, taken.deliveries) == (encoded(chunk("once", "0")), 1)
        await jobs.publish(chunk("once", "0"))
        assert await jobs.take("once", 0.0) is None
        assert await jobs.waiting("once") == {"0"}
        await jobs.done(taken)
        assert await jobs.waiting("once") == set()

    talk(place, body)


def test_a_chunk_whose_host_says_nothing_goes_to_another_one_and_one_that_is_worked_on_does_not(place: NatsServer) -> None:
    async def body(jobs: Jobs) -> None:
        await jobs.offer(offer("silent", silent_s=1.0))
        for name in ("0", "20"):
            await jobs.publish(chunk("silent", name))
        quiet, busy = await took(jobs, "silent"), await took(jobs, "silent")

        async def work() -> None:
            while True:
                await jobs.working(busy)
                await asyncio.sleep(0.2)

        working = asyncio.ensure_future(work())
        again = await took(jobs, "silent")
        working.cancel()
        assert (again.payload, again.deliveries) == (quiet.payload, 2)

    talk(place, body)


def test_what_a_host_gives_back_comes_again_and_its_reason_is_kept(place: NatsServer) -> None:
    async def body(jobs: Jobs) -> None:
        await jobs.offer(offer("back"))
        await jobs.publish(chunk("back", "0"))
        await jobs.again(await took(jobs, "back"), "back", "0", "attic: no\nroom", 0.05)
        assert (await took(jobs, "back")).deliveries == 2
        assert await jobs.reason("back", "0") == "attic: no\\nroom"
        assert await jobs.reason("back", "20") is None

    talk(place, body)


def test_the_first_result_counts_and_a_late_one_leaves_nothing(place: NatsServer) -> None:
    async def body(jobs: Jobs) -> None:
        await jobs.offer(offer("late"))
        records = bytes(range(256)) * 6000
        first = Result(1, "late", "0", "attic", attempt="a", lengths=[None, 7])
        assert await jobs.put(first, io.BytesIO(records))
        assert not await jobs.put(structs.replace(first, node="cellar", attempt="b"), io.BytesIO(b"other"))
        assert await jobs.ended("late") == {"0"}
        found = await jobs.result("late", "0")
        assert found is not None
        assert (found.node, found.lengths, found.pieces, found.size) == ("attic", [None, 7], 3, len(records))
        file = io.BytesIO()
        await jobs.records(found, file)
        assert file.getvalue() == records
        with pytest.raises(Malformed, match="has no piece 0 of 3"):
            await jobs.records(structs.replace(found, attempt="b"), io.BytesIO())
        with pytest.raises(Malformed, match="other records"):
            await jobs.records(structs.replace(found, pieces=2), io.BytesIO())
        await jobs.forget("late", "0")
        assert await jobs.ended("late") == set()

    talk(place, body)


def test_a_job_that_is_withdrawn_leaves_nothing_and_touches_no_other(place: NatsServer) -> None:
    async def body(jobs: Jobs) -> None:
        for job in ("gone", "stays"):
            await jobs.offer(offer(job))
            await jobs.publish(chunk(job, "0"))
            await jobs.put(Result(1, job, "20", "attic", given_up="no"), None)
            await jobs.refuse(job, "cellar", "it has no graph small")
        await jobs.withdraw("gone")
        open_offers = await jobs.offers({})
        assert "gone" not in open_offers
        assert open_offers["stays"] == offer("stays")
        assert (await jobs.waiting("gone"), await jobs.ended("gone"), await jobs.refusals("gone")) == (set(), set(), {})
        assert await jobs.take("gone", 0.0) is None
        assert (await jobs.waiting("stays"), await jobs.ended("stays")) == ({"0"}, {"20"})
        assert await jobs.refusals("stays") == {"cellar": "it has no graph small"}
        await jobs.take_part("stays", "cellar")
        assert await jobs.refusals("stays") == {}

    talk(place, body)


def test_queue_results_and_a_taken_chunk_outlive_a_restart_of_the_server(tmp_path: Path) -> None:
    with nats_server(tmp_path) as own:

        async def before(jobs: Jobs) -> None:
            await jobs.offer(offer("kept"))
            for name in ("0", "20"):
                await jobs.publish(chunk("kept", name))
            taken.append(await took(jobs, "kept"))
            await jobs.put(Result(1, "kept", "40", "attic", given_up="no"), None)

        async def after(jobs: Jobs) -> None:
            assert list(await jobs.offers({})) == ["kept"]
            assert (await jobs.waiting("kept"), await jobs.ended("kept")) == ({"0", "20"}, {"40"})
            await jobs.done(taken[0])
            assert await jobs.waiting("kept") == {"20"}

        taken: list[Taken] = []
        talk(own, before)
        own.kill()
        own.start()
        talk(own, after)


def test_deliveries_are_counted_behind_a_domain_too() -> None:
    assert deliveries("$JS.ACK.ncs_chunks.job.2.30.31.1700000000.0") == 2
    assert deliveries("$JS.ACK.hub.ACCOUNT.ncs_chunks.job.3.30.31.1700000000.0.token") == 3


def test_a_chunk_of_a_server_that_has_lost_its_disk_since_can_be_acknowledged(tmp_path: Path) -> None:
    async def body(jobs: Jobs) -> None:
        await jobs.offer(offer("lost"))
        await jobs.publish(chunk("lost", "0"))
        taken = await took(jobs, "lost")
        await jobs._connection.ask("$JS.API.STREAM.DELETE.ncs_chunks", b"")
        await jobs.prepare()
        await jobs.offer(offer("lost"))
        await jobs.publish(chunk("lost", "0"))
        await jobs.done(taken)
        await jobs.again(taken, "lost", "0", "no", 0.0)
        assert await jobs.waiting("lost") == {"0"}
        assert (await took(jobs, "lost")).payload == taken.payload

    with nats_server(tmp_path) as alone:
        talk(alone, body)
