"""Graphs that jobs bring along: a host that lacks one gets it once, compares it with its hash, and gives it to its daemon."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from ncs_cluster.cli.run.sent_graph import SentGraph
from ncs_cluster.fleet.address import parse
from ncs_cluster.fleet.chunk import Offer
from ncs_cluster.fleet.connection import Server, connected
from ncs_cluster.fleet.jobs import Jobs
from ncs_cluster.fleet.open_jobs import forget
from ncs_cluster.fleet.parcel import FILES, Parcels, graph_place
from ncs_cluster.sinks import _guest_graphs
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphName
from tests.nats_server import NatsServer, nats_server
from tests.sinks.onehost import Daemon, Job, aside, graph, hasten, host
from tests.waiting import until

WEIGHTS = bytes(range(256)) * 5000
"""Of three pieces."""


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(Path(tmp_path_factory.mktemp("nats"))) as made:
        yield made


@pytest.fixture
def sent(tmp_path: Path) -> GraphSpec:
    """The graph of a job, of which no host knows."""
    spec = replace(
        graph(tmp_path), labels={0: "cat", 7: "dög"}, threshold=0.3, scale=(2.0, 1.0, 1.0), decoder_options={"a": [1, 2.5]}
    )
    (tmp_path / "model.bin").write_bytes(WEIGHTS)
    return spec


@pytest.fixture
def own(tmp_path: Path) -> GraphSpec:
    (tmp_path / "own.xml").write_text("<other/>")
    return GraphSpec(GraphName("own"), str(tmp_path / "own.xml"), "ssd")


def left(place: NatsServer) -> list[str]:
    """What lies at the server of graphs."""

    async def look() -> list[str]:
        async with connected(Server(parse(place.url)), "test") as connection:
            return sorted(await Parcels(connection)._subjects(FILES, ">"))

    return asyncio.run(look())


def test_a_host_without_the_graph_gets_it_once_and_gives_it_back_when_the_job_has_ended(
    tmp_path: Path, place: NatsServer, sent: GraphSpec, own: GraphSpec
) -> None:
    job, daemon = Job(tmp_path, sent, sends=True), Daemon(own)
    with host(place, tmp_path, daemon, graphs=str(tmp_path / "guests")):
        job.collect(place)
        assert (job.written(), job.said) == (job.whole, [])
        until(lambda: daemon.known == [own], "the guest has left the daemon")
    (folder,) = os.listdir(tmp_path / "guests")
    assert job.graph is not None
    assert folder == job.graph.files.parcel.sha256
    assert (tmp_path / "guests" / folder / "model.bin").read_bytes() == WEIGHTS
    assert [[name.partition("@")[0] for name in names] for names in daemon.guests] == [["small"], []]
    assert left(place) == []


def test_a_host_that_keeps_the_graph_of_an_earlier_job_asks_for_none(
    tmp_path: Path, place: NatsServer, sent: GraphSpec, own: GraphSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first, second = (Job(tmp_path / name, sent, items=4, sends=True) for name in ("one", "two"))
    daemon, options = Daemon(own), {"graphs": str(tmp_path / "guests"), "mounts": {"photos": str(tmp_path / "one" / "photos")}}
    with host(place, tmp_path, daemon, **options):
        first.collect(place)

    async def nothing(*_: object) -> None:
        raise AssertionError("the graph is at the host already")

    monkeypatch.setattr(Parcels, "put", nothing)
    with host(place, tmp_path, daemon, **options):
        second.collect(place)
    assert (first.written(), second.written()) == (first.whole, second.whole)


def test_an_altered_graph_is_asked_for_again(tmp_path: Path, place: NatsServer, sent: GraphSpec, own: GraphSpec) -> None:
    job, daemon = Job(tmp_path, sent, items=4, sends=True), Daemon(own)
    assert job.graph is not None
    where = graph_place(job.graph.files.parcel.sha256)

    async def alter() -> None:
        async with connected(Server(parse(place.url)), "test") as connection:
            parcels = Parcels(connection)
            await parcels.prepare()
            for number, block in enumerate((b"x" * 512 * 1024, b"y" * 512 * 1024, b"z")):
                await parcels._write(f"{where}.{number}", block)

    asyncio.run(alter())
    with host(place, tmp_path, daemon, graphs=str(tmp_path / "guests")):
        job.collect(place)
    assert job.written() == job.whole


@pytest.mark.parametrize("case", ["off", "daemon", "sticks"])
def test_a_graph_that_a_host_does_not_take_is_named_with_the_reason(
    tmp_path: Path, place: NatsServer, sent: GraphSpec, own: GraphSpec, case: str
) -> None:
    job, unfit, fit = Job(tmp_path, sent, items=4, sends=True), Daemon(own), Daemon(sent)
    unfit.refuses = "graph small: its decoder is another one here" if case == "daemon" else None
    unfit.drops = case == "sticks"
    given = {} if case == "off" else {"graphs": str(tmp_path / "guests")}
    with host(place, tmp_path, unfit, node="cellar", **given), aside(lambda: job.collect(place)):
        until(lambda: job.said, "the host is named")
        with host(place, tmp_path, fit):
            until(lambda: job.ledger.complete, "the job is done")
    said = {"off": "it has no graph small", "daemon": unfit.refuses, "sticks": _guest_graphs.UNFIT}[case]
    assert job.said[0] == f"cellar takes no part: {said}"
    assert unfit.begun == []
    assert job.written() == job.whole


def test_a_graph_that_is_not_the_one_of_the_job_reaches_no_daemon(
    tmp_path: Path, place: NatsServer, sent: GraphSpec, own: GraphSpec
) -> None:
    job, daemon = Job(tmp_path, sent, items=4, sends=True), Daemon(own)
    job.offer = replace(job.offer, graph_key="0" * 64)
    with host(place, tmp_path, daemon, graphs=str(tmp_path / "guests")):
        job.collect(place, lambda: job.said)
    assert job.said == ["attic takes no part: the graph that was sent is not the job's: its hash does not match"]
    assert os.listdir(tmp_path / "guests") == []
    assert [names for names in daemon.guests if names] == []


def test_the_graph_of_an_abandoned_job_goes_with_the_last_job_that_has_it(
    tmp_path: Path, place: NatsServer, own: GraphSpec
) -> None:
    graph = SentGraph(own)
    sha256 = graph.files.parcel.sha256

    async def abandon() -> list[bool]:
        async with connected(Server(parse(place.url)), "test") as connection:
            jobs, parcels = Jobs(connection), Parcels(connection)
            await jobs.prepare()
            await parcels.prepare()
            for job in ("one", "other"):
                await jobs.offer(Offer(1, "0", job, "small", "0" * 64, 64, 48, 30.0, files=graph.files))
            await parcels.want(sha256)
            await graph.send(parcels)
            there = []
            for job in ("one", "other"):
                await forget(connection, job)
                there.append(await parcels.has(graph_place(sha256), graph.files.parcel))
            return there

    assert asyncio.run(abandon()) == [True, False]
    assert [each for each in left(place) if sha256 in each] == []
