"""What is left of jobs over hosts at a server: `ncsctl fleet jobs`, `fleet forget`, and jobs that are finished without it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ncs_cluster.fleet.address import parse
from ncs_cluster.fleet.chunk import Chunk, Offer, Result, Root
from ncs_cluster.fleet.connection import Server, connected
from ncs_cluster.fleet.jobs import Jobs
from ncs_cluster.fleet.open_jobs import OpenJob, open_jobs
from ncs_cluster.fleet.parcel import Parcels, chunk_place
from tests.cli.test_fleet_drain import fleet
from tests.jobs.making import picture
from tests.nats_server import NatsServer, nats_server
from tests.tied import TIED
from tests.waiting import until


def offered(place: NatsServer, job: str, title: str | None, chunks: int, results: int) -> None:
    async def whole() -> None:
        async with connected(Server(parse(place.url)), "test") as connection:
            jobs = Jobs(connection)
            await jobs.prepare()
            await jobs.offer(Offer(1, "0.1.0", job, "small", "0" * 64, 64, 48, 30.0, title=title))
            for number in range(chunks):
                await jobs.publish(Chunk(1, job, str(number), [Root("photos", b"", "")], [(0, b"a.jpg")]))
            parcels = Parcels(connection)
            await parcels.prepare()
            for number in range(chunks):
                await parcels.put(chunk_place(job, str(number)), [b"a picture"])
            for number in range(results):
                await jobs.put(Result(1, job, str(chunks + number), "attic", given_up="no"), None)

    asyncio.run(whole())


def left_at(place: NatsServer) -> list[OpenJob]:
    async def whole() -> list[OpenJob]:
        async with connected(Server(parse(place.url)), "test") as connection:
            return await open_jobs(connection)

    return asyncio.run(whole())


@pytest.mark.slow
def test_jobs_are_listed_with_what_the_server_has_of_them_and_one_is_forgotten_alone(tmp_path: Path) -> None:
    with nats_server(tmp_path) as place:
        assert fleet(place, "jobs") == (0, "this server has nothing of any job\n", "")
        offered(place, "1f2e", "photos/2024", 2, 1)
        offered(place, "0aa0", "films\x1b[2J", 0, 1)
        code, out, err = fleet(place, "jobs")
        assert (code, err) == (0, "")
        assert out.splitlines()[0].split() == ["ID", "JOB", "GRAPH", "OFFERED", "CHUNKS", "RESULTS", "FILES"]
        rows = {line.split()[0]: line.split() for line in out.splitlines()[1:]}
        assert rows["1f2e"][1:3] + rows["1f2e"][-5:] == ["photos/2024", "small", "ago", "2", "1", "1", "MB"]
        assert "\x1b" not in out
        (one, *_) = [each for each in json.loads(fleet(place, "jobs", "--json")[1])["jobs"] if each["job"] == "1f2e"]
        assert 0.0 <= one.pop("offered_s") < 600.0
        assert one == {
            "job": "1f2e",
            "name": "photos/2024",
            "graph": "small",
            "version": "0.1.0",
            "chunks": 2,
            "results": 1,
            "most_file_bytes": 1 << 20,
        }
        assert fleet(place, "forget", "1f2e") == (0, "removed photos/2024: its offer, 2 chunks, 1 result, 1 MB of files\n", "")
        assert [each.job for each in left_at(place)] == ["0aa0"]
        nothing = "the server has nothing of a job 1f2e; ncsctl fleet jobs lists what it has\n"
        assert fleet(place, "forget", "1f2e") == (1, nothing, "")
        assert fleet(place, "forget", "a.>")[2] == "ncsctl: a.> is no job at the server; ncsctl fleet jobs lists them\n"


@pytest.mark.slow
@pytest.mark.parametrize("away", [False, True])
def test_a_job_that_is_finished_without_the_server_leaves_nothing_there_or_says_how_to_remove_it(
    tmp_path: Path, small_graph_folder: Path, away: bool
) -> None:
    for number in range(3):
        picture(tmp_path / "photos" / f"{number}.png", number)
    words = [*TIED, sys.executable, "-m", "ncs_cluster.cli.ncsctl", "run", str(tmp_path / "photos"), "--quiet"]
    words += ["--graph", str(small_graph_folder), "--out", str(tmp_path / "out")]
    with nats_server(tmp_path) as place:
        over = subprocess.Popen([*words, "--nats", place.url, "--mount", f"photos={tmp_path / 'photos'}"])
        until(lambda: any(each.offer is not None and each.waiting for each in left_at(place)), "the job is offered", 120)
        over.kill()
        over.wait()
        (job,) = [each.job for each in left_at(place)]
        if away:
            place.kill()
        alone = subprocess.run([*words, "--backend", "simulated"], capture_output=True, text=True, timeout=240, check=False)
        assert (alone.returncode, len((tmp_path / "out" / "results.jsonl").read_text().splitlines())) == (0, 3)
        # what a slow machine says of its start besides
        told = [line for line in alone.stderr.splitlines() if not line.endswith(" ...")]
        if not away:
            assert (told, left_at(place)) == ([], [])
            return
        (line,) = told
        command = f"ncsctl fleet forget {job} --nats {place.url}"
        assert line == (
            f"ncsctl run: the NATS server {place.url} cannot be used: Connection refused; it keeps what it has of the job for two "
            f"weeks, or until: {command}"
        )
        place.start()
        assert fleet(place, *command.split()[2:4])[:2] == (0, "removed photos: its offer, 1 chunk\n")
        assert left_at(place) == []
