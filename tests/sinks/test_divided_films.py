"""Films of a job whose parts are done by hosts: records are those of one machine, whatever the films are and whoever is killed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from ncs_cluster.cli.run import collecting, filling
from ncs_cluster.fleet import film_part
from ncs_cluster.fleet.film_part import FilmPart
from ncs_cluster.jobs.ledger import Ledger, Root
from ncs_cluster.processes import ledgered_sink
from ncs_cluster.processes.ledgered_sink import LedgeredSink
from ncs_cluster.processes.made_sink import made_sink
from ncs_cluster.sinks.records import read
from ncs_cluster.sources import _film, _part_film
from ncs_cluster.sources import job as job_source
from ncs_cluster.sources._film import Film
from ncs_cluster.sources._film_times import packets
from ncs_cluster.sources.base import Planes
from ncs_cluster.specs import GraphSpec, JobSpec
from ncs_cluster.types import Outcome, Record
from tests.jobs.making import HEIGHT, WIDTH, film, picture
from tests.nats_server import NatsServer, nats_server
from tests.sinks.onehost import Daemon, Do, Job, graph, hasten, host, well
from tests.sources.films import damage, reordered

LEAST = 10
Told = tuple[int, str | None, int | None, float | None, str | None, float | None]


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)
    monkeypatch.setattr(film_part, "LEAST", LEAST)
    monkeypatch.setattr(_film, "SETTLING", 2)
    monkeypatch.setattr(filling, "Cutter", Cutter)


class Cutter:
    """Cuts films in this process, where they may be short."""

    async def parts(self, path: str) -> list[FilmPart]:
        return film_part.divided(*packets(path))

    async def close(self) -> None:
        pass


def work(job: JobSpec, ledger: Ledger, most: int = 1000) -> None:
    """Do a job from where it is: the mean of each frame is told as its latency. After `most` frames it is killed."""
    (spec,) = job.sinks
    sink = LedgeredSink(made_sink(spec), Ledger(str(spec.ledger)), spec.kind)
    sink.open(0, None)
    options = {**job.camera.options, "lock": False, "readers": 1, "max_width": WIDTH, "max_height": HEIGHT}
    source = job_source.Job(job_source.Options(**options))
    first = source.open().first
    source.skip(first)
    into = Planes(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    for turn in itertools.count(first):
        if turn == first + most or (seen := source.read(into)) is None:
            break
        mean = None if seen.error else float(into.colour.reshape(-1)[: seen.width * seen.height * 3].mean())
        outcome = Outcome(error=seen.error)
        frame = (seen.size, seen.item_frame, seen.item_fps)
        sink.write(Record("job-1", turn, seen.captured_at, seen.item, "sim-1", job.graph.name, mean, outcome, *frame))
    source.close()
    if most < 1000:
        sink.note()
        sink._inner.close()
    else:
        sink.finish()
        sink.close()


def part_of(job: JobSpec) -> FilmPart | None:
    part: Any = job.camera.options.get("part")
    return None if part is None else _part_film.part_of(part)


class Sighted(Daemon):
    """Reads the frames of its jobs."""

    def __init__(self, graph: GraphSpec, do: Do = well) -> None:
        super().__init__(graph, do)
        self.parts: list[FilmPart | None] = []

    def write(self, job: JobSpec, ledger: Ledger) -> None:
        self.parts.append(part_of(job))
        work(job, ledger)


class Films(Job):
    """A job of these items of the folder "photos"."""

    def __init__(self, folder: Path, spec: GraphSpec, names: list[str]) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder, spec, items=0)
        self.names, photos = names, folder.parent / "photos"
        self.ledger.begin({}, [Root(str(photos), "", confined=True)], ((0, name.encode()) for name in names), ["records"])
        self.offer = replace(self.offer, protocol=2, first=None)
        self.spec = replace(self.spec, camera=replace(self.spec.camera, options={"ledger": str(self.path)}))

    def told(self) -> list[Told]:
        with open(self.path.parent / "records", "rb") as file:
            return [
                (each.frame, each.item, each.item_frame, each.latency_s, each.outcome.error, each.item_fps) for each in read(file)
            ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(Path(tmp_path_factory.mktemp("nats"))) as made:
        yield made


def greys(count: int) -> list[int]:
    return [number * 37 % 200 + 20 for number in range(count)]


def make(photos: Path) -> list[str]:
    """Films of several kinds, and what may lie between them."""
    picture(photos / "0.png", 10)
    film(photos / "1.avi", greys(30))
    film(photos / "2.avi", greys(30))
    damage(photos / "2.avi", 7, 12, 13, 18, 29)
    film(photos / "3.avi", greys(40))
    whole = (photos / "3.avi").read_bytes()
    (photos / "3.avi").write_bytes(whole[: len(whole) * 3 // 4])
    (photos / "4.mp4").write_bytes(b"no film")
    reordered(photos / "5.mp4")
    picture(photos / "6.png", 60)
    return ["0.png", "1.avi", "2.avi", "3.avi", "4.mp4", "5.mp4", "6.png"]


@pytest.fixture
def films(tmp_path: Path) -> Films:
    names = make(tmp_path / "photos")
    return Films(tmp_path / "hosts", graph(tmp_path), names)


def serial(tmp_path: Path, films: Films) -> list[Told]:
    alone = Films(tmp_path / "alone", films.spec.graph, films.names)
    work(alone.spec, alone.ledger)
    return alone.told()


def test_two_hosts_write_of_films_what_one_machine_does(tmp_path: Path, films: Films, place: NatsServer) -> None:
    one, other = Sighted(films.spec.graph), Sighted(films.spec.graph)
    with host(place, tmp_path, one), host(place, tmp_path, other, node="cellar"):
        films.collect(place)
    expected = serial(tmp_path, films)
    assert films.told() == expected
    assert sum(error is not None for *_, error, _ in expected) >= 7
    assert len([part for part in one.parts + other.parts if part is not None]) >= 8
    assert films.said == []
    assert films.ledger.kept("film 1") is None


def test_the_command_may_be_killed_in_the_middle_of_films(tmp_path: Path, films: Films, place: NatsServer) -> None:
    daemon = Sighted(films.spec.graph)
    films.offer = replace(films.offer, job="killed")
    with host(place, tmp_path, daemon):
        for looks in (2, 4, 6):
            seen = iter(range(looks))
            films.collect(place, lambda seen=seen: next(seen, None) is None)  # type: ignore[misc]
        films.collect(place)
    assert films.told() == serial(tmp_path, films)


def test_a_job_goes_on_from_the_middle_of_a_film_without_hosts_and_with_them(
    tmp_path: Path, films: Films, place: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "WINDOW", 2)
    monkeypatch.setattr(ledgered_sink, "NOTE_S", 0.0)
    places = []
    films.offer = replace(films.offer, job="alone")
    with host(place, tmp_path, Sighted(films.spec.graph)):
        for behind, frames in ((10, 3), (35, 2)):
            films.collect(place, lambda behind=behind: films.ledger.written > behind)  # type: ignore[misc]
            work(films.spec, films.ledger, frames)
            places.append(films.ledger.place(films.ledger.written))
        films.collect(place)
    assert [at.item for at in places] == [1, 2]
    assert all(at.frame > 0 for at in places)
    assert films.told() == serial(tmp_path, films)


def test_a_part_that_does_not_join_is_decoded_from_the_start(
    tmp_path: Path, films: Films, place: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Film.seek

    def wrong(film: Film, time_ms: float) -> bool:
        return right(film, time_ms) and all(
            [film.skip(), *(film.skip() for _ in range(30) if (film.ahead_ms() or 0) < time_ms + 70)]
        )

    monkeypatch.setattr(Film, "seek", wrong)
    films.offer = replace(films.offer, job="wrong")
    daemon = Sighted(films.spec.graph)
    with host(place, tmp_path, daemon):
        films.collect(place)
    assert films.told() == serial(tmp_path, films)
    assert any(part is not None and part.first and part.begin_ms is None for part in daemon.parts)


def test_the_last_part_is_done_again_where_packets_were_not_frames(
    tmp_path: Path, films: Films, place: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def shifted(cutter: Cutter, path: str) -> list[FilmPart]:
        parts = film_part.divided(*packets(path))
        return [parts[0], *(replace(part, first=part.first + 1) for part in parts[1:])]

    monkeypatch.setattr(Cutter, "parts", shifted)
    films.offer = replace(films.offer, job="packets")
    daemon = Sighted(films.spec.graph)
    with host(place, tmp_path, daemon):
        films.collect(place)
    assert films.told() == serial(tmp_path, films)
    assert {(21, 800.0), (20, 800.0)} <= {(part.first, part.begin_ms) for part in daemon.parts if part is not None}


def test_frames_of_a_part_that_no_host_survives_have_failed_and_those_around_have_not(
    tmp_path: Path, films: Films, place: NatsServer
) -> None:
    def poisoned(job: JobSpec) -> str | None:
        part = part_of(job)
        return "a frame kills it" if daemon.begun[-1] == ["1.avi"] and part is not None and part.first == 10 else None

    films.offer = replace(films.offer, job="poisoned")
    daemon = Sighted(films.spec.graph, poisoned)
    with host(place, tmp_path, daemon):
        films.collect(place)
    reason = "1.avi: given up after 3 tries: attic: a frame kills it"
    expected = serial(tmp_path, films)
    for frame in range(10, 20):
        expected[1 + frame] = (1 + frame, "1.avi", frame, None, reason, None)
    assert films.told() == expected
    assert films.ledger.failed == sum(error is not None for *_, error, _ in expected)
