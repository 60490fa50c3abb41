"""Jobs over hosts that bring along what hosts lack: real daemons, whose cameras go on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ncs_cluster.client import Client
from ncs_cluster.testing.daemon import Daemon
from tests.jobs.making import film, picture
from tests.nats_server import NatsServer, nats_server
from tests.small_graph import ABOUT
from tests.system.test_run_over_hosts import done, ncsctl, results
from tests.tied import TIED
from tests.waiting import until

pytestmark = pytest.mark.slow

OWN = """\
backend = "simulated"
sticks = 2
no-web = true
graph = ["{graph}"]
results = "{folder}/camera.jsonl"
simulated.latency_ms = 10
simulated.heat = false
nats = {{ url = "{url}", node = "attic", jobs = true, graphs = true }}

[cameras.film]
source = "synthetic"
every_frame = true
options = {{ width = 64, height = 48, fps = 20, frames = 1_000_000 }}
"""


@contextmanager
def daemon(folder: Path, place: NatsServer, graph: Path) -> Iterator[Client]:
    """A host with a camera, and a graph of its own."""
    folder.mkdir()
    (folder / "ncs.toml").write_text(OWN.format(graph=graph, folder=folder, url=place.url))
    Daemon.logs.append(folder / "log")
    command = [*TIED, sys.executable, "-m", "ncs_cluster.cli.daemon", "--config", str(folder / "ncs.toml")]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [*command, "--runtime-dir", str(folder / "run"), "--state-dir", str(folder / "state")], stdout=log, stderr=log
        )
    try:
        until(lambda: os.path.exists(folder / "run" / "control.sock"), "the daemon runs")
        with Client(folder / "run", timeout_s=30.0) as client:
            until(lambda: client.status().cameras[0].results > 20, "the camera works")
            yield client
    finally:
        process.terminate()
        process.wait(60.0)


def test_a_host_gets_the_graph_and_the_files_of_a_job_while_its_camera_loses_no_frame(
    tmp_path: Path, small_graph_folder: Path
) -> None:
    photos, other = tmp_path / "photos", tmp_path / "other"
    for number in range(40):
        picture(photos / f"{number % 3}" / f"{number}.png", number)
    (photos / "1" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    (photos / "1" / "link.png").symlink_to(small_graph_folder / "labels.txt")
    os.mkfifo(photos / "1" / "pipe.png")
    film(photos / "2" / "film.avi", [10, 20, 30, 40, 50])
    shutil.copytree(small_graph_folder, other)
    (other / "graph.toml").write_text(f"{ABOUT}threshold = 0.7\n")
    words = ("run", str(photos), "--graph", str(other), "--format", "jsonl,coco", "--out")
    assert done(ncsctl(*words, str(tmp_path / "serial"), "--backend", "simulated", "--set", "simulated.latency_ms=1"))[0] == 1
    with nats_server(tmp_path) as place, daemon(tmp_path / "attic", place, small_graph_folder) as client:
        code, _, said = done(ncsctl(*words, str(tmp_path / "out"), "--nats", place.url, "--carry"))
        # a slow machine tries the graph for longer than a command is patient
        assert (code, [line for line in said if "no host has done a chunk" not in line]) == (1, [])
        until(lambda: not any("@" in str(each["name"]) for each in graphs(client)), "the graph has left the daemon")
        status = client.status()
    assert results(tmp_path / "out") == results(tmp_path / "serial")
    assert len(results(tmp_path / "out")) == 48
    assert (tmp_path / "out" / "results.coco.json").read_bytes() == (tmp_path / "serial" / "results.coco.json").read_bytes()
    assert status.daemon.state == "ok"
    lines = [json.loads(line) for line in (tmp_path / "attic" / "camera.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(len(lines)))
    assert {line["graph"] for line in lines} == {small_graph_folder.name}


def graphs(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = msgspec.msgpack.decode(client.graphs())
    return found
