"""The real command on simulated sticks: its files are compared with each other and with what a job finds."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ncs_cluster.cli.ncsctl import main
from tests import forked
from tests.api.images import scenes
from tests.conftest import ROOT
from tests.tied import TIED

DONE_S = 120.0
BENCH = [*TIED, sys.executable, "-m", "ncs_cluster.cli.ncsctl", "bench"]
STICKS = ["--graph", "demo", "--backend", "simulated", "--set", "simulated.latency_ms=20"]
IDLE = ["--sticks", "1", "--mode", "serial", "--set", "simulated.infer=false"]
"""One stick that computes nothing."""
THRESHOLD = 0.6
"""Of the demo graph."""
COUNTS = (2, 9)
PROGRAMS = {"serial": 1, "threads": 2, "processes": 2, "queue": 2}
"""Devices of each mode."""


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return scenes(5)


@pytest.fixture(scope="module")
def folder(images: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, image in enumerate(images):
        cv2.imwrite(os.fspath(folder / f"{number}.png"), image)
    return folder


def bench(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [*BENCH, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=DONE_S, check=False, env={**os.environ, **environ})


def found(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def reference(images: list[np.ndarray]) -> list[list[dict[str, Any]]]:
    """The detections of each image, by OpenVINO alone: rows of [1, 1, N, 7], best first."""
    import openvino

    compiled = openvino.Core().compile_model(ROOT / "graphs/demo/demo.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = (ROOT / "graphs/demo/labels.txt").read_text().split()
    _, _, height, width = compiled.input().shape
    made = []
    for image in images:
        planes = cv2.resize(image, (width, height)).transpose(2, 0, 1)[None].astype(np.float32)
        rows = [row for row in compiled(planes)[0].reshape(-1, 7).tolist() if row[0] >= 0 and row[2] >= THRESHOLD]
        made.append(
            [{"label": names[int(row[1]) - 1], "score": row[2], "box": row[3:]} for row in sorted(rows, key=lambda row: -row[2])]
        )
    return made


@pytest.mark.slow
def test_every_mode_finds_what_the_graph_finds_and_is_in_the_report(images: list[np.ndarray], folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    counts = ",".join(map(str, COUNTS))
    done = bench(folder, *STICKS, "--devices", "2", "--counts", counts, "--repeats", "1", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    expected = reference(images)
    assert sum(map(bool, expected)) >= 3
    for mode, devices in PROGRAMS.items():
        lines = found(out / "results" / f"{mode}-{devices}.jsonl")
        assert [line["frame"] for line in lines] == list(range(COUNTS[-1]))
        assert [line["item"] for line in lines] == [f"{n % len(images)}.png" for n in range(COUNTS[-1])]
        for number, line in enumerate(lines):
            _assert_alike(line["detections"], expected[number % len(images)])
        assert len({line["stick"] for line in lines}) == devices, "every device has worked"
    document = json.loads((out / "bench.json").read_text())
    assert json.loads(done.stdout) == document
    assert [(row["mode"], row["devices"]) for row in document["rows"]] == list(PROGRAMS.items())
    for row in document["rows"]:
        assert (row["error"], row["differing"], row["repeats"]) == (None, [], 1)
        assert [batch["count"] for batch in row["batches"]] == list(COUNTS)
        # no picture takes less than the stick's latency, and no device answers two at once
        assert row["latency_ms"]["p50"] >= 20.0
        assert row["batches"][-1]["seconds"]["median"] >= COUNTS[-1] * 0.02 / row["devices"] * 0.9
    assert document["complete"] is True
    assert f"**{document['recommendation']}**" in (out / "bench.md").read_text()
    drawn = cv2.imread(os.fspath(out / "bench.png"))
    assert drawn is not None
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 20, "a blank picture has one colour"


def _assert_alike(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    some = sorted(some, key=lambda each: -each["score"])
    assert [each["label"] for each in some] == [each["label"] for each in others]
    for one, other in zip(some, others, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-3)
        assert one["box"] == pytest.approx(np.clip(other["box"], 0, 1), abs=1e-3)


def test_ctrl_c_prints_what_is_measured_and_ends_every_program(folder: Path) -> None:
    words = [folder, *STICKS, *IDLE, "--counts", "2", "--repeats", "1000"]
    process = subprocess.Popen(
        [*BENCH, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    try:
        # a slow machine is told first that the graph is being checked
        while not (line := process.stderr.readline()).startswith("serial, 1 device: started in "):
            assert line, "the command has ended before a run was done"
        process.send_signal(signal.SIGINT)
        said, rest = process.communicate(timeout=DONE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, rest
    assert re.search(r"^\| serial +\| 1 ", said, re.M)
    assert "Interrupted: later runs are missing." in said
    assert "Traceback" not in rest
    _assert_no_child_of(process.pid)


def _assert_no_child_of(pid: int) -> None:
    until_s = time.monotonic() + 60
    while left := [path for path in Path("/proc").glob("[0-9]*/cmdline") if f"\0--parent\0{pid}\0".encode() in _read(path)]:
        assert time.monotonic() < until_s, f"{left} are left"
        time.sleep(0.05)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--graph", "demo", "nowhere"], "nowhere: there is no such file or folder"),
        (["--graph", "demo", "empty"], "empty: no picture is there; name a folder, files, or a pattern in quotes"),
        (["--graph", "no-such-graph", "good.png"], "no-such-graph"),
        (
            ["--graph", "demo", "good.png", "--set", "fallback.backend=openvino"],
            "[fallback]: a bench compares modes on devices of one kind; give settings without it",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(words: list[str], line: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes((folder / "0.png").read_bytes())
    (tmp_path / "empty").mkdir()
    done = forked.run(main, ["ncsctl", "bench", *words, "--backend", "simulated"], cwd=tmp_path, timeout_s=DONE_S)
    assert (done.returncode, done.stdout) == (2, "")
    *slow, said = done.stderr.splitlines()
    assert all(each.startswith("ncsctl bench: checking graphs") for each in slow)
    assert said.startswith("ncsctl bench: ")
    assert line in said


def test_a_stick_that_fails_is_told_in_one_line(folder: Path) -> None:
    done = bench(folder, *STICKS, *IDLE, "--counts", "400", "--repeats", "2", "--quiet", "--set", 'simulated.faults=["unplug@0.5"]')
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "ncsctl bench: serial: the simulated stick was unplugged"
