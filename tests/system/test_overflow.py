"""Two whole daemons at a real NATS server: frames that the sticks of one cannot take go to the other, and none does while that is
away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ncs_cluster.config import load
from ncs_cluster.testing.daemon import Daemon, Status, read_results, running
from tests.nats_server import NatsServer, nats_server

pytestmark = pytest.mark.slow

SCENE = ["--size", "64x48", "--no-web", "--set", "simulated.heat=false"]
NEAR = 0.06
"""By so much a JPEG and a fifth of a second may move a score or an edge of a box."""


def flags(folder: Path, node: str, graph: Path) -> list[str]:
    here = folder / node
    places = ["--runtime-dir", str(here / "run"), "--state-dir", str(here / "state"), "--results", str(here / "found.jsonl")]
    here.mkdir(exist_ok=True)
    return [*SCENE, *places, "--graph", str(graph)]


class Fleet(NamedTuple):
    place: NatsServer
    folder: Path
    graph: Path
    attic: Daemon
    """Its camera has 12 frames per second; its only stick does 8."""

    def cellar(self, *more: str) -> Any:
        """A neighbour whose sticks have little to do."""
        argv = ["--source", "slow=synthetic", "--fps", "1", "--backend", "simulated", "--sticks", "2"]
        argv += ["--nats", self.place.url, "--set", "nats.node=cellar", "--overflow", "receive", *more]
        return running(load([*flags(self.folder, "cellar", self.graph), *argv], {}))

    def until(self, holds: Any, what: str) -> Status:
        return self.attic.until(lambda status: holds(status["overflow"]), what)


@pytest.fixture
def fleet(tmp_path: Path, small_graph_folder: Path) -> Iterator[Fleet]:
    argv = ["--source", "door=synthetic", "--fps", "12", "--backend", "simulated", "--sticks", "1"]
    argv += ["--set", "simulated.latency_ms=125", "--set", "nats.node=attic", "--overflow", "send"]
    with nats_server(tmp_path) as place:
        given = load([*flags(tmp_path, "attic", small_graph_folder), *argv, "--nats", place.url], {})
        with running(given) as attic:
            yield Fleet(place, tmp_path, small_graph_folder, attic)


def found(record: dict[str, Any]) -> dict[str, list[float]]:
    return {each["label"]: [each["score"], *each["box"]] for each in record["detections"]}


def test_a_neighbour_finds_what_a_stick_of_the_host_finds_and_results_are_in_the_order_of_frames(fleet: Fleet) -> None:
    with fleet.cellar() as cellar:
        cellar.well()
        status = fleet.until(lambda known: known["answered"] >= 25, "has answers of its neighbour")
        assert status["overflow"]["serving"]
        (camera,) = status["cameras"]
        counters = status["counters"]
        assert (counters["frames_lost"], counters["frames_doubled"], counters["out_of_order"]) == (0, 0, 0)
        assert status["daemon"]["state"] == "ok"

        def counted(status: Status) -> bool:
            (intake,) = status["intakes"]
            return [(each["name"], each["answered"] >= 25) for each in intake["clients"]] == [("attic", True)]

        cellar.until(counted, "has counted them")
        assert camera["given_up"] == 0
        assert fleet.attic.stop() == 0
    records = read_results(fleet.folder / "attic" / "found.jsonl")
    numbers = [record["frame"] for record in records]
    assert numbers == sorted(set(numbers))
    theirs = [record for record in records if record["stick"] == "net-1"]
    assert len(theirs) >= 20
    own = [record for record in records if record["stick"] == "sim-1"]
    for record in theirs:
        # the scene moves slowly
        nearest = min(own, key=lambda each: abs(each["captured_at"] - record["captured_at"]))
        expected = found(nearest).items()
        assert {label: pytest.approx(figures, abs=NEAR) for label, figures in expected} == found(record)


def test_a_camera_goes_on_with_its_own_sticks_while_the_neighbour_or_the_server_is_away(fleet: Fleet) -> None:
    fleet.until(lambda known: known["refused"] >= 2, "is told that nobody takes frames")
    with fleet.cellar() as cellar:
        cellar.well()
        before = fleet.until(lambda known: known["answered"] >= 5, "finds the neighbour")["overflow"]["answered"]
        # as a power cut: nothing of it can say goodbye
        for process in cellar.tree():
            process.kill()
        seen = fleet.attic.status()
        fleet.attic.until(lambda status: status["cameras"][0]["results"] >= seen["cameras"][0]["results"] + 30, "goes on")
    fleet.place.kill()
    down = fleet.attic.until(
        lambda status: any("net-1" in reason and "cannot be used" in reason for reason in status["daemon"]["reasons"]),
        "says that the server is away",
    )
    assert down["daemon"]["ready"]
    assert down["overflow"]["ready"] is False
    fleet.attic.until(lambda status: status["cameras"][0]["results"] >= down["cameras"][0]["results"] + 30, "goes on alone")
    fleet.place.start()
    with fleet.cellar() as cellar:
        cellar.well()
        fleet.until(lambda known: known["answered"] >= before + 5, "finds the neighbour again")
    counters = fleet.attic.status()["counters"]
    assert (counters["frames_lost"], counters["frames_doubled"], counters["out_of_order"]) == (0, 0, 0)


def test_a_host_with_other_settings_of_the_graph_gets_no_frame(fleet: Fleet) -> None:
    with fleet.cellar("--threshold", "0.75") as cellar:
        cellar.well()
        known = fleet.until(lambda known: known["refused"] >= 3, "finds nobody")["overflow"]
        assert known["answered"] == 0
        (intake,) = cellar.status()["intakes"]
        assert intake["clients"] == []
