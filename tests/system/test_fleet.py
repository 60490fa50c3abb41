"""Two whole daemons at a real NATS server: what ncsctl on a third machine shows of them, of a stop and of a power cut."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.config import load
from ncs_cluster.specs import Settings
from ncs_cluster.testing.daemon import running
from tests.nats_server import NatsServer, nats_server


def settings(folder: Path, graph: Path, place: NatsServer, node: str, sticks: int) -> Settings:
    argv = [
        "--backend",
        "simulated",
        "--sticks",
        str(sticks),
        "--source",
        "door=synthetic",
        "--size",
        "64x48",
        "--graph",
        str(graph),
    ]
    argv += ["--no-web", "--runtime-dir", str(folder / node / "run"), "--state-dir", str(folder / node / "state")]
    return load([*argv, "--nats", place.url, "--set", f"nats.node={node}"], {})


def listed(place: NatsServer) -> dict[str, Any]:
    command = [sys.executable, "-m", "ncs_cluster.cli.ncsctl", "fleet", "status", "--json", "--nats", place.url]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert shown.stderr == ""
    return {host["node"]: host for host in json.loads(shown.stdout)["hosts"]}


@pytest.mark.slow
def test_two_daemons_are_listed_as_their_status_says_until_one_stops_and_one_is_killed(
    tmp_path: Path, small_graph_folder: Path
) -> None:
    with (
        nats_server(tmp_path) as place,
        running(settings(tmp_path, small_graph_folder, place, "attic", 2)) as attic,
        running(settings(tmp_path, small_graph_folder, place, "cellar", 1)) as cellar,
    ):
        attic.well()
        cellar.well()
        place.until(
            lambda found: [found.get(node, {}).get("state") for node in ("attic", "cellar")] == ["ok", "ok"], "both are well"
        )
        seen, told = listed(place), attic.status()
        entry = seen["attic"]["entry"]
        assert [(each["id"], each["state"]) for each in entry["sticks"]] == [(each["id"], each["state"]) for each in told["sticks"]]
        assert entry["version"] == told["daemon"]["version"]
        assert (entry["sticks_usable"], seen["cellar"]["entry"]["sticks_usable"]) == (2, 1)
        assert [each["name"] for each in entry["cameras"]] == ["door"]

        with attic.client() as client:
            client.trouble("unplug", "sim-1")
        place.until(lambda found: "absent" in [each["state"] for each in found["attic"]["sticks"]], "the pulled stick")

        # as a power cut: nothing of it can say goodbye
        for process in cellar.tree():
            process.kill()
        assert sorted(place.entries()) == ["attic", "cellar"]
        place.until(lambda found: list(found) == ["attic"], "that the killed one is gone by its age")
        assert list(listed(place)) == ["attic"]
        assert attic.stop() == 0
        assert place.entries() == {}
