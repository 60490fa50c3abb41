"""[notify] with a real daemon: a program is told of an edge, and that it fails is told in the status."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from ncs_cluster.specs import SinkSpec
from ncs_cluster.testing.daemon import running, settings, sticks, synthetic

PROGRAM = """
import json, os, sys
if os.path.exists(sys.argv[2]):
    sys.exit(3)
told = {name: os.environ[name] for name in ("NCS_EVENT", "NCS_BEFORE", "NCS_REASONS")}
with open(sys.argv[1], "a") as file:
    file.write(json.dumps([sys.stdin.read(), told]) + "\\n")
"""


PARKED = "sim-2 is parked: too loud"


def told(file: Path) -> list[Any]:
    """Of each notification the text, and what the environment said."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


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
    with running(given) as daemon:
        daemon.well()
        # added now: on a slow machine the start of a daemon is trouble that lasts
        given.sinks.append(SinkSpec("notify", options, "command python", "notify", records=False))
        daemon.runtime_dir.with_suffix(".settings").write_bytes(msgspec.msgpack.encode(given))
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.until(lambda status: any(sink["name"] == "notify" for sink in status["sinks"]), "has the sink")
        daemon.well()
        with daemon.client() as client:
            client.change_stick("sim-2", "park", why="too loud")
        daemon.until(lambda _: any(PARKED in str(text) for text, _ in told(file)), "tells that the stick is parked")
        text, figures = told(file)[-1]
        assert text.startswith("ncs_cluster on pi is degraded\n- ")
        assert (figures["NCS_EVENT"], figures["NCS_BEFORE"], PARKED in figures["NCS_REASONS"].split("\n")) == (
            "degraded",
            "ok",
            True,
        )
        broken.touch()
        with daemon.client() as client:
            client.change_stick("sim-2", "work")
        reason = "notifications cannot be sent: the command failed with exit code 3"
        status = daemon.until(lambda status: reason in status["daemon"]["reasons"], "says that notifications cannot be sent")
        assert [(sink["name"], sink["state"], sink["written"]) for sink in status["sinks"]][1] == ("notify", "blocked", 0)
        assert status["sink"]["path"] == str(results)
        broken.unlink()
        before = len(told(file))
        daemon.until(lambda status: status["daemon"]["state"] == "ok", "is told again")
        figures = {"NCS_EVENT": "recovered", "NCS_BEFORE": "degraded", "NCS_REASONS": ""}
        assert told(file)[before] == ["ncs_cluster on pi has recovered\n", figures]
        assert "cannot work: the command failed with exit code 3" in daemon.story("sink notify")
        assert daemon.stop() == 0
