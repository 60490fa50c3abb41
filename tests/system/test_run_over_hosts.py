"""Jobs over hosts: chunks done by daemons at a NATS server, collected into what one machine would have written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.config import load
from ncs_cluster.specs import Settings
from ncs_cluster.testing.daemon import Daemon, running
from tests.jobs.making import film, picture
from tests.nats_server import NatsServer, nats_server
from tests.tied import TIED

pytestmark = pytest.mark.slow

DONE_S = 240.0


def settings(folder: Path, graph: Path, place: NatsServer, node: str, mount: Path) -> Settings:
    argv = ["--backend", "simulated", "--sticks", "2", "--set", "simulated.latency_ms=10", "--set", "simulated.heat=false"]
    argv += ["--graph", str(graph), "--no-web", "--nats", place.url, "--set", f"nats.node={node}", "--set", "nats.jobs=true"]
    argv += ["--runtime-dir", str(folder / node / "run"), "--state-dir", str(folder / node / "state")]
    return load([*argv, "--set", f"nats.mounts.photos={mount}"], {})


def ncsctl(*words: str) -> subprocess.Popen[str]:
    command = [*TIED, sys.executable, "-m", "ncs_cluster.cli.ncsctl", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


def done(process: subprocess.Popen[str]) -> tuple[int, str, list[str]]:
    """Exit code, output, and what the command says besides its progress, which it tells where the machine is slow."""
    out, err = process.communicate(timeout=DONE_S)
    return process.returncode, out, [line for line in err.splitlines() if line.startswith("ncsctl") and not line.endswith(" ...")]


def results(out: Path) -> list[dict[str, Any]]:
    """The records without what differs from run to run."""
    lines = (out / "results.jsonl").read_text().splitlines()
    kept = [json.loads(line) for line in lines]
    return [{key: value for key, value in each.items() if key not in ("captured_at", "latency_ms", "stick")} for each in kept]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(tmp_path_factory.mktemp("photos"))
    for number in range(110):
        picture(folder / f"{number % 3}" / f"{number}.png", number)
    (folder / "1" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    film(folder / "2" / "film.avi", [10, 20, 30, 40, 50])
    return folder


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory, small_graph_folder: Path, photos: Path) -> Path:
    out = Path(tmp_path_factory.mktemp("serial")) / "out"
    words = ("run", str(photos), "--graph", str(small_graph_folder), "--out", str(out), "--format", "jsonl,csv,coco")
    code, _, err = done(ncsctl(*words, "--backend", "simulated", "--sticks", "2", "--set", "simulated.latency_ms=5"))
    assert (code, err) == (1, [])
    return out


@pytest.fixture
def hosts(tmp_path: Path, small_graph_folder: Path, photos: Path) -> Iterator[tuple[NatsServer, Daemon, Daemon]]:
    with (
        nats_server(tmp_path) as place,
        running(settings(tmp_path, small_graph_folder, place, "attic", photos)) as attic,
        running(settings(tmp_path, small_graph_folder, place, "cellar", photos)) as cellar,
    ):
        yield place, attic, cellar


def test_two_hosts_write_what_one_machine_does(
    tmp_path: Path, hosts: tuple[NatsServer, Daemon, Daemon], small_graph_folder: Path, photos: Path, serial: Path
) -> None:
    place, attic, cellar = hosts
    words = ("run", str(photos), "--graph", str(small_graph_folder), "--out", str(tmp_path / "out"), "--format", "jsonl,csv,coco")
    code, out, err = done(ncsctl(*words, "--nats", place.url, "--mount", f"photos={photos}"))
    assert (code, err) == (1, [])
    assert out.startswith("116 frames, 1 failed; 116 of them now")
    assert results(tmp_path / "out") == results(serial)
    assert (tmp_path / "out" / "results.coco.json").read_bytes() == (serial / "results.coco.json").read_bytes()
    assert sorted(os.listdir(tmp_path / "out")) == sorted({*os.listdir(serial)} - {"run.log"})
    sums = [daemon.status()["fleet"]["jobs"] for daemon in (attic, cellar)]
    assert [[row["name"] for row in rows] for rows in sums] == [["photos"], ["photos"]]
    assert all(row["chunks"] for rows in sums for row in rows)
    assert sum(row["done"] for rows in sums for row in rows) == 116
    begun = "begins on this host, in chunks"
    assert [[text for text in daemon.story("job photos") if text == begun] for daemon in (attic, cellar)] == [[begun], [begun]]
    # the host that gets the broken picture warns of it by the chunk's camera
    routine = {event["who"] for event in attic.events() if event["level"] == "info"}
    assert {who for who in routine if who.startswith("job")} == {"job photos"}


def test_items_that_failed_are_tried_again_on_hosts_and_take_their_places(
    tmp_path: Path, hosts: tuple[NatsServer, Daemon, Daemon], small_graph_folder: Path
) -> None:
    place, _, _ = hosts
    photos = tmp_path / "photos"
    for number in range(45):
        picture(photos / f"{number:02d}.png", number)
    broken = [photos / "03.png", photos / "04.png", photos / "40.png"]
    whole = [path.read_bytes() for path in broken]
    for path in broken:
        path.write_bytes(b"no picture")
    common = ("run", str(photos), "--graph", str(small_graph_folder), "--format", "jsonl,csv", "--quiet")
    words = (*common, "--out", str(tmp_path / "out"), "--nats", place.url, "--carry")
    assert done(ncsctl(*words))[0] == 1
    for path, content in zip(broken[:2], whole[:2], strict=True):
        path.write_bytes(content)
    assert done(ncsctl(*words, "--retry-failed"))[0] == 1
    broken[2].write_bytes(whole[2])
    code, _, err = done(ncsctl(*words, "--retry-failed"))
    assert (code, err) == (0, [])
    assert done(ncsctl(*common, "--out", str(tmp_path / "serial"), "--backend", "simulated"))[0] == 0
    assert results(tmp_path / "out") == results(tmp_path / "serial")
