"""Files that come with the chunks of a job: hosts that see no mount have the bytes that lie where the command runs, and whatever
hosts, the server and the command do, each item has one record, in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ncs_cluster.cli.run import carrying
from ncs_cluster.fleet.address import parse
from ncs_cluster.fleet.chunk import Parcel
from ncs_cluster.fleet.connection import Server, connected
from ncs_cluster.fleet.parcel import FILES, Parcels, Part
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.specs import JobSpec
from tests.nats_server import NatsServer, nats_server
from tests.sinks.onehost import Daemon, Job, aside, graph, hasten, host, well
from tests.waiting import until


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(Path(tmp_path_factory.mktemp("nats"))) as made:
        yield made


class Reading(Daemon):
    """Keeps what is in the files of its jobs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(graph(folder), self.look)
        self.contents: dict[str, bytes | str | None] = {}
        """Of an item that is no file what it is; None: it is not there."""

    def look(self, job: JobSpec) -> str | None:
        for item in Ledger(str(job.camera.options["ledger"])).items_from(0):
            path = Path(item.path)
            other = "a link" if path.is_symlink() else "a pipe" if path.is_fifo() else None
            self.contents[item.name] = path.read_bytes() if path.is_file() else other
        return None


def left(place: NatsServer) -> list[str]:
    """What lies at the server of files."""

    async def look() -> list[str]:
        async with connected(Server(parse(place.url)), "test") as connection:
            return sorted(await Parcels(connection)._subjects(FILES, ">"))

    return asyncio.run(look())


def test_hosts_without_a_mount_have_the_files_of_the_command_and_nothing_of_them_stays(tmp_path: Path, place: NatsServer) -> None:
    one, other = Reading(tmp_path), Reading(tmp_path)
    job = Job(tmp_path, graph(tmp_path), carries=True)
    photos = tmp_path / "photos"
    (photos / "3.jpg").write_bytes(b"")
    (photos / "4.jpg").write_bytes(bytes(range(256)) * 5000)
    (photos / "9.jpg").unlink()
    (photos / "11.jpg").unlink()
    (photos / "11.jpg").symlink_to(tmp_path / "model.xml")
    (photos / "13.jpg").unlink()
    os.mkfifo(photos / "13.jpg")
    others = {"9.jpg": None, "11.jpg": "a link", "13.jpg": "a pipe"}
    reference = {name: others[name] if name in others else (photos / name).read_bytes() for name in job.names}
    with host(place, tmp_path, one, mounts={}), host(place, tmp_path, other, mounts={}, node="cellar"):
        job.collect(place)
        until(lambda: os.listdir(tmp_path / "attic") == os.listdir(tmp_path / "cellar") == [], "the folders of the chunks are gone")
    assert {**one.contents, **other.contents} == reference
    assert job.written() == [
        (frame, name, f"{name}: is away" if name in ("9.jpg", "11.jpg") else None) for frame, name in enumerate(job.names)
    ]
    assert (job.said, left(place)) == ([], [])


def altering(times: int, change: Callable[[Parcels, str], object]) -> Callable[..., object]:
    """`Parcels.put` of a server that changes what it was given, so many times."""
    whole, done = Parcels.put, list[str]()

    async def put(self: Parcels, place: str, parts: list[Part]) -> Parcel:
        parcel = await whole(self, place, parts)
        if len(done) < times:
            done.append(place)
            await change(self, place)  # type: ignore[misc]
        return parcel

    return put


@pytest.mark.parametrize("how", ["missing", "altered"])
def test_a_piece_that_is_missing_or_altered_is_sent_again(
    tmp_path: Path, place: NatsServer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async def change(parcels: Parcels, at: str) -> None:
        await (parcels.remove(at) if how == "missing" else parcels._write(f"{at}.0", b"other bytes"))

    monkeypatch.setattr(Parcels, "put", altering(1, change))
    job, daemon = Job(tmp_path, graph(tmp_path), items=8, carries=True), Reading(tmp_path)
    with host(place, tmp_path, daemon, mounts={}):
        job.collect(place)
    assert job.written() == job.whole
    assert daemon.items == sorted(job.names)


def test_files_that_are_altered_each_time_are_failed_items_with_the_reason(
    tmp_path: Path, place: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def change(parcels: Parcels, at: str) -> None:
        await parcels.remove(at)

    monkeypatch.setattr(Parcels, "put", altering(1000, change))
    job, daemon = Job(tmp_path, graph(tmp_path), items=2, carries=True), Reading(tmp_path)
    with host(place, tmp_path, daemon, mounts={}):
        job.collect(place)
    why = "given up after 3 tries: attic: its files are not those that were sent: piece 0 of 1 is missing"
    assert job.written() == [(frame, name, f"{name}: {why}") for frame, name in enumerate(job.names)]
    assert daemon.begun == []


def test_large_files_travel_alone_and_one_that_is_too_large_is_a_failed_item(
    tmp_path: Path, place: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "LARGEST_CHUNK", 2 << 20)
    monkeypatch.setattr(carrying, "LARGEST_CARRIED", 4 << 20)
    job, daemon = Job(tmp_path, graph(tmp_path), items=8, carries=True), Reading(tmp_path)
    (tmp_path / "photos" / "5.jpg").write_bytes(b"5" * (3 << 20))
    (tmp_path / "photos" / "6.jpg").write_bytes(b"6" * (5 << 20))
    with host(place, tmp_path, daemon, mounts={}):
        job.collect(place)
    why = "it has 5 MB, and 4 MB at most are carried; mount its folder on the hosts, and name it by --mount"
    assert job.written() == [(frame, name, f"6.jpg: {why}" if frame == 6 else None) for frame, name in enumerate(job.names)]
    assert sorted(daemon.begun) == [["0.jpg", "1.jpg", "2.jpg", "3.jpg"], ["4.jpg"], ["5.jpg"], ["7.jpg"]]
    assert daemon.contents["5.jpg"] == b"5" * (3 << 20)


def test_the_server_never_holds_more_than_the_bound_however_many_chunks_there_are(
    tmp_path: Path, place: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "MOST_BYTES", 5000)
    job, daemon = Job(tmp_path, graph(tmp_path), items=40, carries=True), Reading(tmp_path)
    seen: list[int] = []

    def look() -> bool:
        seen.append(len([each for each in left(place) if ".job1." in each]))
        return False

    with host(place, tmp_path, daemon, mounts={}), aside(lambda: job.collect(place)):
        while not job.ledger.complete:
            look()
    # each chunk has four files of 500 or 600 bytes
    assert max(seen) == 2
    assert job.written() == job.whole


def test_a_command_that_is_killed_and_a_server_that_has_lost_everything_cost_no_item(tmp_path: Path) -> None:
    job, daemon = Job(tmp_path, graph(tmp_path), items=24, carries=True), Reading(tmp_path)
    with nats_server(tmp_path) as place:
        with host(place, tmp_path, daemon, mounts={}):
            for looks in (1, 2):
                seen = iter(range(looks))
                job.collect(place, lambda seen=seen: next(seen, None) is None)  # type: ignore[misc]
        place.kill()
        (tmp_path / "jetstream").rename(tmp_path / "lost")
        place.start()
        with host(place, tmp_path, daemon, mounts={}):
            job.collect(place)
        assert left(place) == []
    assert job.written() == job.whole
    assert set(daemon.contents) == set(job.names)


def test_a_host_that_is_killed_with_the_files_goes_on_with_them(tmp_path: Path, place: NatsServer) -> None:
    job, daemon = Job(tmp_path, graph(tmp_path), items=4, carries=True), Reading(tmp_path)

    def hangs(given: JobSpec) -> str | None:
        raise KeyboardInterrupt

    daemon.do = hangs
    with aside(lambda: job.collect(place)):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("threading.excepthook", lambda _: None)
            with host(place, tmp_path, daemon, mounts={}):
                until(lambda: daemon.begun, "the chunk is begun")
        daemon.do = well
        daemon.jobs.clear()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Parcels, "get", None)
            with host(place, tmp_path, daemon, mounts={}):
                until(lambda: job.ledger.complete, "the job is done")
    assert daemon.begun == [job.names] * 2
    assert job.written() == job.whole
