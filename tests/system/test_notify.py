"""[notify] with a real daemon: a program is told of an edge, and that it fails is told in the status."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ncs_cluster.specs import SinkSpec
from ncs_cluster.testing.daemon import Daemon, running, settings, sticks, synthetic

PROGRAM = """
import json, os, sys
if os.path.exists(sys.argv[2]):
    sys.exit(3)
told = {name: os.environ[name] for name in ("NCS_EVENT", "NCS_BEFORE", "NCS_REASONS")}
with open(sys.argv[1], "a") as file:
    file.write(json.dumps([sys.stdin.read(), told]) + "\\n")
"""


def told(file: Path) -> list[list[object]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def wait(daemon: Daemon, file: Path, count: int) -> None:
    daemon.until(lambda _: len(told(file)) >= count, f"has told {count} times")


def test_a_program_is_told_of_trouble_and_of_its_end_and_the_status_tells_when_it_fails(tmp_path: Path) -> None:
    file, broken, results = tmp_path / "told", tmp_path / "broken", tmp_path / "results.jsonl"
    options = {
        "command": [sys.executable, "-c", PROGRAM, str(file), str(broken)],
        "hold_off_s": 1.0,
        "timeout_s": 60.0,
        "host": "pi",
        "runtime_dir": os.fspath(tmp_path / "run"),
    }
    given = settings(tmp_path, sticks(2), [synthetic()], results=results)
    given.sinks.append(SinkSpec("notify", options, "command python", "notify", records=False))
    with running(given) as daemon:
        daemon.well()
        with daemon.client() as client:
            client.change_stick("sim-2", "rest", why="too loud")
        wait(daemon, file, 1)
        text = "ncs_cluster on pi is degraded\n- sim-2 is parked: too loud\n"
        assert told(file)[-1] == [text, {"NCS_EVENT": "degraded", "NCS_BEFORE": "ok", "NCS_REASONS": "sim-2 is parked: too loud"}]
        broken.touch()
        with daemon.client() as client:
            client.change_stick("sim-2", "work")
        reason = "nobody is notified: the command failed with exit code 3"
        status = daemon.until(lambda status: reason in status["daemon"]["reasons"], "tells that nobody is told")
        assert status["daemon"]["reasons"] == [reason]
        assert [(sink["name"], sink["state"], sink["written"]) for sink in status["sinks"]][1] == ("notify", "blocked", 0)
        assert status["sink"]["path"] == str(results)
        broken.unlink()
        before = len(told(file))
        daemon.until(lambda status: status["daemon"]["state"] == "ok", "is told again")
        figures = {"NCS_EVENT": "recovered", "NCS_BEFORE": "degraded", "NCS_REASONS": ""}
        assert told(file)[before:] == [["ncs_cluster on pi has recovered\n", figures]]
        assert "nobody is notified: the command failed with exit code 3" in daemon.story("sink notify")
        assert daemon.stop() == 0
