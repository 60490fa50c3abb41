"""The real ncs-clusterd reads its file again: what has changed is applied while it works, what is wrong changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.client import Client, Refused
from ncs_cluster.control_messages import SETTINGS_REFUSED
from ncs_cluster.errors import NotRunning
from ncs_cluster.status import Status
from ncs_cluster.testing.daemon import Daemon
from tests.cli.asking import ncsctl
from tests.tied import TIED

pytestmark = pytest.mark.slow

CLUSTERD = [*TIED, sys.executable, "-m", "ncs_cluster.cli.daemon"]
START_S = 60.0
RELOADS = [6, int(os.environ.get("NCS_CLUSTER_RELOADS", "20"))]
"""Six are each kind of change twice; more than 20 take minutes: docs/reliability.md."""
FILE = """\
backend = "simulated"
sticks = 2
no-web = true
threshold = {threshold}
policy = "{policy}"
results = "{folder}/results.jsonl"
graph = ["{graph}"]
simulated.latency_ms = 20
simulated.heat = false

[cameras.film]
source = "synthetic"
every_frame = true
weight = {weight}
options = {{ width = 64, height = 48, frames = 1_000_000 }}
{more}
"""
SECOND = '[cameras.second]\nsource = "synthetic"\noptions = { width = 64, height = 48, fps = 20 }'
LOW, HIGH = 0.55, 0.8
WORKERS = {"worker sim-1", "worker sim-2"}


class Running:
    """A daemon with the configuration file `file`."""

    def __init__(self, folder: Path, graph: Path) -> None:
        self.folder, self.graph, self.file, self.log = folder, graph, folder / "ncs.toml", folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        Daemon.logs.append(self.log)

    def write(self, text: str = FILE, **changed: Any) -> None:
        values = {"threshold": LOW, "policy": "all", "weight": 1, "more": "", "folder": self.folder, "graph": self.graph}
        self.file.write_text(text.format(**(values | changed)))

    def client(self) -> Client:
        return Client(self.folder / "run", timeout_s=30.0)

    def status(self) -> Status:
        with self.client() as client:
            return client.status()

    def until(self, results: int, camera: str = "film") -> Status:
        """Wait for so many results of a camera."""
        until_s = time.monotonic() + START_S
        while True:
            try:
                status = self.status()
                if any(each.name == camera and each.results >= results for each in status.cameras):
                    return status
            except NotRunning:
                pass
            assert time.monotonic() < until_s
            assert self.process is None or self.process.poll() is None
            time.sleep(0.05)

    def until_other_workers(self, known: dict[str, int | None]) -> Status:
        """Wait until each worker is another process, and its stick works."""
        until_s = time.monotonic() + START_S
        while True:
            status = self.status()
            now = pids(status)
            others = all(now.get(name) not in (None, known[name]) for name in WORKERS)
            if others and all(stick.state == "active" for stick in status.sticks):
                return status
            assert time.monotonic() < until_s, status.sticks
            time.sleep(0.05)

    def ncsctl(self, *argv: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command."""
        done = ncsctl(*argv, place=self.folder / "run")
        return done.returncode, done.stdout, done.stderr


@contextmanager
def running(folder: Path, graph: Path, *flags: str) -> Iterator[Running]:
    daemon = Running(folder, graph)
    daemon.write()
    command = [*CLUSTERD, "--config", str(daemon.file), "--runtime-dir", str(folder / "run"), "--state-dir", str(folder), *flags]
    with daemon.log.open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        daemon.process = process
        try:
            daemon.until(1)
            yield daemon
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


def pids(status: Status) -> dict[str, int | None]:
    return {each.name: each.pid for each in status.processes if each.name.startswith(("worker", "sink", "camera film"))}


def found(record: dict[str, Any]) -> list[Any]:
    return [[each["label"], each["score"], each["box"]] for each in record["detections"]]


def live(daemon: Running) -> dict[str, tuple[Any, str]]:
    """The settings in effect: key -> (value, origin)."""
    code, out, _ = daemon.ncsctl("config", "show", "--live", "--json")
    assert code == 0
    return {each["key"]: (each["value"], each["origin"]) for each in json.loads(out)}


def records(folder: Path, camera: str = "film") -> list[dict[str, Any]]:
    read = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return [record for record in read if record["camera"] == camera]


@pytest.mark.parametrize("reloads", RELOADS, ids=["few", "many"])
def test_reloads_under_load_lose_no_frame_of_an_ordered_camera_and_restart_no_stick(
    tmp_path: Path, small_graph_folder: Path, reloads: int
) -> None:
    with running(tmp_path, small_graph_folder) as daemon:
        before = daemon.until(100)
        for number in range(reloads):
            daemon.write(
                threshold=HIGH if number % 2 == 0 else LOW,
                policy=("coolest", "predictive", "all")[number % 3],
                weight=1 + number % 4,
                more=SECOND if number % 3 == 0 else "",
            )
            with daemon.client() as client:
                changes = client.reload().changes
            assert f"graph small: threshold {LOW if number % 2 == 0 else HIGH} -> {HIGH if number % 2 == 0 else LOW}" in changes
            assert ("camera second added" in changes) == (number % 3 == 0)
            assert ("camera second removed" in changes) == (number % 3 == 1)
        reloaded = daemon.status()
        (film,) = (camera for camera in reloaded.cameras if camera.name == "film")
        after = daemon.until(film.results + 100)
        assert pids(after) == pids(before)
        assert all(process.restarts == 0 for process in after.processes)
        assert all(stick.restarts == 0 and stick.inferences > 0 for stick in after.sticks)
        counted = after.counters
        assert (counted.frames_lost, counted.frames_doubled, counted.out_of_order) == (0, 0, 0)
    written = records(tmp_path)
    assert [record["frame"] for record in written] == list(range(len(written)))
    assert not [record for record in written if "error" in record]
    # what the graph sees is the same at any time: each record is that of the lower threshold, or what the higher one leaves of it
    seen: dict[bool, int] = {True: 0, False: 0}
    for record in written:
        scores = [each["score"] for each in record["detections"]]
        assert scores
        assert min(scores) >= LOW
        seen[min(scores) >= HIGH] += 1
    assert len(written) > 200
    assert seen[False] > 0


def test_graphs_are_added_replaced_and_removed_under_load_and_each_stick_restarts_for_a_new_model_alone(
    tmp_path: Path, small_graph_folder: Path
) -> None:
    newer, other = tmp_path / "newer" / "small", tmp_path / "other"
    for folder, thing in ((newer, "part"), (other, "thing")):
        shutil.copytree(small_graph_folder, folder)
        (folder / "labels.txt").write_text("".join(f"{thing} {number}\n" for number in (1, 2, 3, 4)))
    small = str(small_graph_folder)
    with running(tmp_path, small_graph_folder) as daemon:
        known = pids(daemon.until(50))
        for graphs, changes, restart in (
            ([small, str(other)], ["graph other added"], True),
            ([str(newer), str(other)], ["graph small: model changed, labels changed"], True),
            ([str(newer)], ["graph other removed"], False),
        ):
            daemon.write(graph='", "'.join(graphs))
            with daemon.client() as client:
                assert client.reload().changes == changes
            status = daemon.until_other_workers(known) if restart else daemon.status()
            assert {name for name, pid in pids(status).items() if pid != known[name]} == (WORKERS if restart else set())
            known = pids(status)
            (film,) = status.cameras
            after = daemon.until(film.results + 100)
        assert pids(after) == known
        assert all(process.restarts == 0 for process in after.processes)
        assert (after.counters.frames_lost, after.counters.frames_doubled, after.counters.out_of_order) == (0, 0, 0)
    written = records(tmp_path)
    assert not [record for record in written if "error" in record]
    by_graph = {name: [record for record in written if record["graph"] == name] for name in ("small", "other")}
    frames = {name: [record["frame"] for record in found] for name, found in by_graph.items()}
    assert frames["small"] == list(range(len(frames["small"])))
    assert frames["other"] == list(range(frames["other"][0], frames["other"][0] + len(frames["other"])))
    assert 50 <= frames["other"][0] < frames["other"][-1] < frames["small"][-1]
    things = {name: [record["detections"][0]["label"].split()[0] for record in found] for name, found in by_graph.items()}
    assert set(things["other"]) == {"thing"}
    assert (things["small"][0], things["small"][-1], set(things["small"])) == ("quarter", "part", {"quarter", "part"})
    # both graphs compute the same: each frame of both has the same boxes, whichever model and stick has answered
    boxes = {record["frame"]: [each[1:] for each in found(record)] for record in by_graph["small"]}
    assert all([each[1:] for each in found(record)] == boxes[record["frame"]] for record in by_graph["other"])


def test_wrong_settings_are_refused_in_one_line_and_the_old_ones_stay_in_effect(tmp_path: Path, small_graph_folder: Path) -> None:
    file = tmp_path / "ncs.toml"
    with running(tmp_path, small_graph_folder) as daemon:
        before = daemon.until(50)
        daemon.write(FILE.replace("sticks", "stikcs"), threshold=HIGH, more=SECOND)
        why = f"{file}:2: stikcs: unknown key; did you mean sticks?"
        assert daemon.ncsctl("reload") == (2, "", f"ncsctl: the new settings are not applied: {why}\n")
        daemon.write(FILE.replace("sticks", 'log-level = "debug"\nsticks'), threshold=HIGH, more=SECOND)
        with daemon.client() as client, pytest.raises(Refused) as refused:
            client.reload()
        other = "log_level changed, which takes effect at the next start of the daemon"
        assert (str(refused.value), refused.value.code) == (other, SETTINGS_REFUSED)
        status = daemon.status()
        assert [camera.name for camera in status.cameras] == ["film"]
        (film,) = status.cameras
        after = daemon.until(film.results + 50)
        assert pids(after) == pids(before)
        with daemon.client() as client:
            told = [event.text for event in client.events() if event.level != "info"]
        assert told == [f"new settings are not applied: {each}" for each in (why, other)]
        origin = f"{file}:14"
        assert live(daemon)["cameras.film.weight"] == (1.0, origin)
        daemon.write(weight=2)
        assert daemon.ncsctl("reload") == (0, "camera film: weight 1 -> 2; nothing else\n", "")
        assert live(daemon)["cameras.film.weight"] == (2.0, origin)
    assert min(each["score"] for record in records(tmp_path) for each in record["detections"]) < HIGH
