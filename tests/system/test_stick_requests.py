"""ncsctl stick with a real daemon and its workers."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ncs_cluster.client import Refused
from ncs_cluster.provision import places
from ncs_cluster.specs import ClusterSpec
from ncs_cluster.testing.daemon import Daemon, read_results, running, settings, sticks, synthetic
from tests.cli import asking


def ncsctl(daemon: Daemon, *argv: str) -> tuple[int, str, str]:
    done = asking.ncsctl(*argv, place=daemon.runtime_dir)
    return done.returncode, done.stdout, done.stderr


def test_an_operator_parks_restarts_and_forgets_sticks_and_no_frame_is_lost(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    given = settings(tmp_path, sticks(3), [synthetic(ordered=True)], ClusterSpec(1, "ring", 0.5), results=results)
    kept = [places.calibration(Path(given.state_dir), f"sim-{number}") for number in (2, 3)]
    for file in kept:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    with running(given) as daemon:
        daemon.well()

        assert ncsctl(daemon, "stick", "park", "sim-1", "--reason", "its cable is replaced") == (
            0,
            "sim-1 is parked: its cable is replaced\n",
            "",
        )
        reasons = ["sim-1 is parked: its cable is replaced"]
        status = daemon.until(
            lambda status: status["sticks"][0]["state"] == "parked" and status["daemon"]["reasons"] == reasons, "parks the stick"
        )
        assert status["sticks"][0]["parked"] == "its cable is replaced"
        assert status["daemon"]["state"] == "degraded"
        inferences = status["sticks"][0]["inferences"]
        switches = status["clusters"]["switches"]
        status = daemon.until(lambda status: status["clusters"]["switches"] >= switches + 4, "takes turns without it")
        assert status["sticks"][0]["inferences"] == inferences
        daemon.until(lambda status: status["sticks"][0]["temperature_age_s"] < 3.0, "reads it, although it rests")
        assert ncsctl(daemon, "stick", "work", "sim-1")[1] == "sim-1 is in rotation again\n"

        pid = daemon.well()["sticks"][1]["pid"]
        assert ncsctl(daemon, "stick", "restart", "sim-2")[:2] == (0, "sim-2 restarts at the operator's request\n")
        daemon.until(lambda status: status["sticks"][1]["pid"] not in (None, pid), "has a new process")
        stick = daemon.well()["sticks"][1]
        assert (stick["restarts"], stick["boots"], stick["last_error"]) == (0, 2, None)

        assert ncsctl(daemon, "stick", "forget", "sim-3") == (
            1,
            "",
            "ncsctl: sim-3 is plugged in, and would be found again: unplug it first\n",
        )
        with daemon.client() as client:
            client.trouble("unplug", "sim-3")
            daemon.until(lambda status: status["sticks"][2]["state"] == "absent", "misses the stick")
            # without the command, which a busy machine may start for longer than the stick is away
            assert client.change_stick("sim-3", "forget", calibration=True) == "sim-3 is forgotten"
            assert [stick.id for stick in client.status().sticks] == ["sim-1", "sim-2"]
        assert [file.exists() for file in kept] == [True, False]
        daemon.until(lambda status: len(status["sticks"]) == 3, "takes the stick for a new one when it is back")

        def forgotten_by_the_command() -> bool:
            with daemon.client() as client, contextlib.suppress(Refused):
                client.trouble("unplug", "sim-3")
            return ncsctl(daemon, "stick", "forget", "sim-3", "--calibration")[:2] == (0, "sim-3 is forgotten\n")

        assert any(forgotten_by_the_command() for _ in range(10))
        daemon.until(lambda status: len(status["sticks"]) == 3, "has the stick again")
        assert ncsctl(daemon, "stick", "park", "sim-9")[0] == 1
        daemon.well()
        assert daemon.stop() == 0
    frames = [record["frame"] for record in read_results(results)]
    assert frames == list(range(len(frames)))
    assert not any("error" in record for record in read_results(results))
