"""The daemon runs a stick and a camera under Python 3.9 beside others under its own interpreter."""

from __future__ import annotations

import json
from pathlib import Path

from msgspec.structs import replace

from ncs_cluster.specs import RuntimeSpec
from ncs_cluster.testing.daemon import running, settings, sticks, synthetic
from tests.python39 import Runtime


def test_a_stick_and_a_camera_under_python_39_work_for_a_daemon_under_a_newer_one(tmp_path: Path, python39: Runtime) -> None:
    results = tmp_path / "out.jsonl"
    old = RuntimeSpec(python39.python, {key: value for key, value in python39.env.items() if key != "PYTHONPATH"})
    pool = [*sticks(1, runtime="old", preprocess=True), *sticks(1, first=2, preprocess=True)]
    camera = replace(synthetic(ordered=True, frames=60, paced=False), runtime="old")
    asked = settings(tmp_path, pool, [camera], results=results, runtimes={"old": old})
    with running(asked) as daemon:
        assert daemon.process.wait(timeout=120) == 0, daemon.log_end()
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(60))
    assert {line["stick"] for line in lines} == {"sim-1", "sim-2"}, "both interpreters have worked"
