"""One daemon per runtime directory, and per file of results."""

from __future__ import annotations

import os
import time
from pathlib import Path

from msgspec import structs

from ncs_cluster.cli.daemon import main
from ncs_cluster.specs import IntakeSpec
from ncs_cluster.testing.daemon import START_S, Status, read_results, running, settings, sticks, synthetic
from tests import forked
from tests.needs import need_module


def test_a_second_daemon_refuses_names_the_first_and_does_not_disturb_it(tmp_path: Path) -> None:
    """Exit code 78 and one line."""
    with running(settings(tmp_path, sticks(2), [synthetic()])) as first:
        before = first.well()
        command = [
            "ncs-clusterd",
            "--source",
            "synthetic",
            "--backend",
            "simulated",
            "--sticks",
            "1",
            "--graph",
            "none",
            "--no-web",
        ]
        second = forked.run(main, [*command, "--runtime-dir", os.fspath(first.runtime_dir)], timeout_s=START_S)
        assert second.returncode == 78
        assert second.stdout == ""
        (line,) = [line for line in second.stderr.splitlines() if "running as root" not in line]
        assert f"(pid {first.pid})" in line
        assert os.fspath(first.runtime_dir) in line
        after = first.well()
        assert [process["pid"] for process in after["processes"]] == [process["pid"] for process in before["processes"]]


def test_a_second_daemon_at_a_detectors_socket_names_the_first_and_does_not_disturb_it(tmp_path: Path) -> None:
    """Each would take the detector from the other in turn."""
    need_module("zmq")
    place, endpoint = tmp_path / "frigate.sock", f"ipc://{tmp_path}/detector"
    spec = IntakeSpec("frigate", {"endpoint": endpoint, "socket": str(place), "keep_s": 0.0}, endpoint)

    def serves(status: Status) -> bool:
        return bool(status["intakes"][0]["state"] == "running")

    given = structs.replace(settings(tmp_path / "1", sticks(1), []), intakes=[spec])
    with running(given) as first:
        first.until(serves, "serves")
        detector = first.child("intake frigate")
        command = ["ncs-clusterd", "--backend", "simulated", "--sticks", "1", "--no-web"]
        command += ["--graph", "demo", "--runtime-dir", os.fspath(tmp_path / "2")]
        command += ["--frigate", endpoint, "--set", f"frigate.socket={place}"]
        second = forked.run(main, command, timeout_s=START_S)
        assert second.returncode == 78
        (line,) = [line for line in second.stderr.splitlines() if "in use" in line]
        assert f"{place} is in use by the daemon of process {first.pid}: stop that one, or set another frigate.socket" in line
        assert first.child("intake frigate") == detector
        assert first.until(serves, "serves still")["intakes"][0]["detail"] is None
        assert first.stop() == 0


def test_a_second_daemon_with_the_same_results_is_degraded_until_the_first_has_ended(tmp_path: Path) -> None:
    """All the time, not only while its sink waits for the next try; and every record it kept is written then."""
    results, frames = tmp_path / "results.jsonl", 40
    camera = structs.replace(synthetic("second", frames=frames, fps=20.0), ordered=True)
    with running(settings(tmp_path / "1", sticks(1), [synthetic("first")], results=results)) as first:
        first.well()
        with running(settings(tmp_path / "2", sticks(1), [camera], results=results)) as second:

            def complains(status: Status) -> bool:
                return any("another daemon writes to it" in reason for reason in status["daemon"]["reasons"])

            second.until(complains, "complains")
            seen: set[str] = set()
            until_s = time.monotonic() + START_S
            # some states last for milliseconds: they are looked for as often as the daemon answers
            with second.client() as client:
                while not seen >= {"backoff", "starting", "opening"}:
                    status: Status = client.status_document()
                    seen.add(status["sink"]["state"])
                    assert (status["daemon"]["state"], complains(status)) == ("degraded", True)
                    assert time.monotonic() < until_s, seen
            assert first.stop() == 0
            assert second.wait(START_S) == 0
    assert [record["frame"] for record in read_results(results) if record["camera"] == "second"] == list(range(frames))
