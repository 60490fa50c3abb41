"""Chunks of jobs over hosts: whatever hosts, daemons, mounts, the server and the command do, each item has one record, in order."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from ncs_cluster.fleet import drained
from ncs_cluster.fleet.address import parse
from ncs_cluster.fleet.connection import Server, connected
from ncs_cluster.sinks import _chunk_exchange
from ncs_cluster.specs import JobSpec
from tests.nats_server import NatsServer, nats_server
from tests.sinks.onehost import Daemon, Job, aside, graph, hasten, host, well
from tests.sinks.onestatus import status, stick
from tests.waiting import until


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


def test_two_hosts_share_a_job_whose_records_come_in_order_and_nothing_stays_behind(tmp_path: Path) -> None:
    spec = graph(tmp_path)
    job = Job(tmp_path, spec)
    one, other = Daemon(spec), Daemon(spec)
    with nats_server(tmp_path) as place, host(place, tmp_path, one), host(place, tmp_path, other, node="cellar"):
        job.collect(place)
        assert job.written() == job.whole
        assert sorted(one.items + other.items) == sorted(job.names)
        assert one.begun
        assert other.begun
        assert job.said == []
        until(lambda: os.listdir(tmp_path / "attic") == os.listdir(tmp_path / "cellar") == [], "the folders of the chunks are gone")


@pytest.mark.parametrize("case", ["graph", "mount", "files"])
def test_a_host_that_does_not_fit_takes_nothing_and_is_named_with_the_reason(tmp_path: Path, case: str) -> None:
    spec = graph(tmp_path)
    job = Job(tmp_path, spec)
    unfit, fit = Daemon(replace(spec, threshold=0.9) if case == "graph" else spec), Daemon(spec)
    (tmp_path / "empty").mkdir()
    mounts = {"graph": {"photos": str(tmp_path / "photos")}, "mount": {}, "files": {"photos": str(tmp_path / "empty")}}[case]
    with (
        nats_server(tmp_path) as place,
        host(place, tmp_path, unfit, node="cellar", mounts=mounts),
        aside(lambda: job.collect(place)),
    ):
        until(lambda: job.said, "the host is named")
        with host(place, tmp_path, fit):
            until(lambda: job.ledger.complete, "the job is done")
    said = {
        "graph": "cellar takes no part: its graph small is another one",
        "mount": "cellar takes no part: it has no mount photos; name its folder in [nats] mounts",
        "files": f"cellar takes no part: it has no {tmp_path / 'empty' / '0.jpg'}; mount the same files there",
    }[case]
    assert job.said[0] == said
    assert unfit.begun == []
    assert job.written() == job.whole


def test_a_chunk_that_a_host_cannot_do_is_done_by_another(tmp_path: Path) -> None:
    spec = graph(tmp_path)
    job = Job(tmp_path, spec, items=8)
    bad, good = Daemon(spec, lambda job: "the disk is full"), Daemon(spec)
    with nats_server(tmp_path) as place, host(place, tmp_path, bad, node="cellar"), aside(lambda: job.collect(place)):
        until(lambda: bad.begun, "the bad host has a chunk")
        bad.document = status([], [])
        with host(place, tmp_path, good):
            until(lambda: job.ledger.complete, "the job is done")
    assert job.written() == job.whole


def test_an_item_that_no_host_survives_is_a_failed_one_and_its_neighbours_are_not(tmp_path: Path) -> None:
    spec = graph(tmp_path)
    job = Job(tmp_path, spec, items=8)

    def poisoned(given: JobSpec) -> str | None:
        return "a picture kills it" if "5.jpg" in daemon.begun[-1] else None

    daemon = Daemon(spec, poisoned)
    with nats_server(tmp_path) as place, host(place, tmp_path, daemon):
        job.collect(place)
    reason = "given up after 3 tries: attic: a picture kills it"
    assert job.written() == [(frame, name, f"5.jpg: {reason}" if frame == 5 else None) for frame, name in enumerate(job.names)]
    assert [failure.item for failure in job.ledger.failures()] == ["5.jpg"]
    assert job.said == [f"chunk 4: {reason}; its items are tried one by one"]


def test_the_command_may_be_killed_at_any_look_and_the_next_one_goes_on(tmp_path: Path) -> None:
    spec = graph(tmp_path)
    job = Job(tmp_path, spec, items=40)
    daemon = Daemon(spec)
    with nats_server(tmp_path) as place, host(place, tmp_path, daemon):
        for looks in (1, 2, 4):
            seen = iter(range(looks))
            job.collect(place, lambda seen=seen: next(seen, None) is None)  # type: ignore[misc]
        job.collect(place)
    assert job.written() == job.whole
    assert daemon.items == sorted(job.names)


def test_a_server_that_has_lost_everything_is_given_what_is_missing(tmp_path: Path) -> None:
    spec = graph(tmp_path)
    job = Job(tmp_path, spec)
    daemon = Daemon(spec)
    with nats_server(tmp_path) as place:
        looks = iter(range(2))
        job.collect(place, lambda: next(looks, None) is None)
        place.kill()
        (tmp_path / "jetstream").rename(tmp_path / "lost")
        place.start()
        with host(place, tmp_path, daemon):
            job.collect(place)
    assert job.written() == job.whole


def test_a_chunk_is_kept_over_a_kill_of_the_process_that_has_it_and_not_begun_for_ever(tmp_path: Path) -> None:
    spec = graph(tmp_path)
    job = Job(tmp_path, spec, items=4)
    daemon = Daemon(spec)

    def hangs(given: JobSpec) -> str | None:
        # as a process that is killed while the daemon works: nothing is known of an end
        raise KeyboardInterrupt

    daemon.do = hangs
    with nats_server(tmp_path) as place, aside(lambda: job.collect(place)):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("threading.excepthook", lambda _: None)
            with host(place, tmp_path, daemon):
                until(lambda: daemon.begun, "the chunk is begun")
        daemon.do = well
        daemon.jobs.clear()
        with host(place, tmp_path, daemon):
            until(lambda: job.ledger.complete, "the job is done")
    assert daemon.begun == [job.names] * 2
    assert job.written() == job.whole


def test_a_host_without_working_sticks_and_a_drained_one_take_nothing(tmp_path: Path) -> None:
    spec = graph(tmp_path)
    job = Job(tmp_path, spec, items=8)
    hot, away, free = Daemon(spec), Daemon(spec), Daemon(spec)
    hot.document = status([stick("sim-1", state="hot")], [])

    async def drain(place: NatsServer) -> None:
        async with connected(Server(parse(place.url)), "test") as made:
            await drained.drain(made, "cellar")

    with nats_server(tmp_path) as place:
        asyncio.run(drain(place))
        with host(place, tmp_path, hot, node="roof"), host(place, tmp_path, away, node="cellar"), host(place, tmp_path, free):
            job.collect(place)
    assert (hot.begun, away.begun) == ([], [])
    assert job.written() == job.whole


def test_files_that_go_away_while_a_host_works_are_no_failed_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the tries of a chunk would be used up before the next judgement
    monkeypatch.setattr(_chunk_exchange, "AGAIN_S", 0.0)
    spec = graph(tmp_path)
    job = Job(tmp_path, spec, items=8)

    def unmounted(given: JobSpec) -> str | None:
        if not gone:
            gone.append(True)
            (tmp_path / "photos").rename(tmp_path / "gone")
        return None

    gone: list[bool] = []
    daemon = Daemon(spec, unmounted)
    with nats_server(tmp_path) as place, host(place, tmp_path, daemon), aside(lambda: job.collect(place)):
        until(lambda: any("takes no part" in line for line in job.said), "the host says that the files are away")
        (tmp_path / "gone").rename(tmp_path / "photos")
    assert job.written() == job.whole
