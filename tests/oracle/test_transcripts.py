"""The backend `xlink` says over USB what the vendor's plugin says, and gets the same answers to the last bit.

Both do the same on the same emulated stick: boot, open, load a graph, infer black once and then ROWS pictures with four in flight,
read the temperature, close. What they may differ in is named in xlink/compare.py (RULES) and, one by one, in DIFFERENCES here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ncs_cluster.cli.usb import build, recording
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.xlink import commands
from ncs_cluster.xlink.compare import compare
from ncs_cluster.xlink.transcript import Boot, Frame, Transcript
from tests.oracle import nets
from tests.oracle.plugin import Plugin, plugin
from tests.oracle.runtime import FIRMWARE_SHA256
from tests.python39 import Runtime

ROWS, DEPTH, PORT = 10, 4, "1-1.2"
DEVICE = "MYRIAD.1.1.2-ma2480"
XLINK = Path(__file__).with_name("xlink_host.py")
KEEP = 64 << 20

DIFFERENCES = {
    "link 1, host: -RESET -> no reply": "the plugin's reader may be gone when the stick acknowledges the reset",
    "link 1, host: +RESET -> ack": "ours waits for it",
}
"""Lines of the comparison that are as they should be, and why: "-" is the plugin's, "+" ours."""


Array = np.ndarray[Any, Any]


class Case(NamedTuple):
    """Graphs of one stick, and how the plugin is asked to compile them."""

    models: Callable[[Path, Path], list[Path]]
    """Of an empty folder and the test data. All have inputs of one size."""
    precision: str = "U8"
    layout: str = "NCHW"
    more: dict[str, Any] = {}


def _face(folder: Path, data: Path) -> list[Path]:
    return [data / "models/face-detection-retail-0004/face-detection-retail-0004.xml"]


def _faces_of_many_sizes(folder: Path, data: Path) -> list[Path]:
    return [data / "models/ultra-light-rfb-320/version-RFB-320.onnx"]


CASES = {
    "face-u8": Case(_face),
    "face-fp32": Case(_face, precision="FP32"),
    "rfb-u8-mean-scale-two-outputs": Case(_faces_of_many_sizes, more={"mean": [127] * 3, "scale": [128] * 3}),
    "one-output": Case(lambda folder, data: [nets.one_output(folder)]),
    "two-outputs": Case(lambda folder, data: [nets.two_outputs(folder)]),
    "two-graphs": Case(lambda folder, data: [nets.one_output(folder), nets.two_outputs(folder)]),
    "one-output-nhwc": Case(lambda folder, data: [nets.one_output(folder)], layout="NHWC"),
}


class Recorded(NamedTuple):
    """What one host said and was answered."""

    said: Transcript
    answers: list[dict[str, Array]]
    """Of each graph."""


class Pair(NamedTuple):
    plugin: Recorded
    xlink: Recorded


@pytest.fixture(scope="module", params=CASES)
def pair(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    emulated_libusb: Path,
    recorder: Path,
    oracle_python: Runtime,
    firmware: Path,
    test_data: Path,
) -> Pair:
    case, folder = CASES[request.param], tmp_path_factory.mktemp("pair")
    models = case.models(folder, test_data)
    with Emulator(folder / "bus", emulated_libusb) as emulator:
        emulator.add(PORT, graphs=[{"model": os.fspath(model), **case.more} for model in models], latency_s=0.005, boot_s=0.1)

        def recorded(who: str) -> tuple[dict[str, str], Path]:
            logs = folder / who
            logs.mkdir()
            return build.environment(emulator.env, recorder, os.fspath(emulator.libusb), logs, KEEP), logs

        env, logs = recorded("plugin-said")
        with plugin(oracle_python, env, folder / "plugin") as vendor:
            pictures, answers = _by_plugin(vendor, emulator, case, models, folder)
        first = Recorded(recording.transcript(sorted(logs.iterdir()), "plugin"), answers)
        emulator.await_state(PORT, "rom")
        env, logs = recorded("xlink-said")
        answers = _by_xlink(env, emulator, folder, pictures, firmware, len(models))
        return Pair(first, Recorded(recording.transcript(sorted(logs.iterdir()), "xlink"), answers))


@contextmanager
def _full(emulator: Emulator) -> Iterator[None]:
    """What is begun in the block is not answered before DEPTH inferences are in flight."""
    emulator.fault(PORT, "hang")
    yield
    until_s = time.monotonic() + 60
    while emulator.state(PORT)["chip"]["in_flight"] < DEPTH:
        assert time.monotonic() < until_s, emulator.state(PORT)
        time.sleep(0.005)
    emulator.fault(PORT, "clear")


def _by_plugin(
    vendor: Plugin, emulator: Emulator, case: Case, models: list[Path], folder: Path
) -> tuple[Array, list[dict[str, Array]]]:
    how = {"precision": case.precision, "layout": case.layout, "requests": DEPTH, **case.more}
    loaded = [vendor.do("load", net=f"g{n}", device=DEVICE, model=model, **how) for n, model in enumerate(models)]
    ((name, (sizes, _, _)),) = loaded[0]["inputs"].items()
    pictures = np.random.default_rng(5).integers(0, 256, (ROWS, sizes[2], sizes[3], 3), dtype=np.uint8)
    laid = pictures if case.layout == "NHWC" else pictures.transpose(0, 3, 1, 2)
    laid = np.ascontiguousarray(laid, np.float32 if case.precision == "FP32" else np.uint8)
    for n in range(len(models)):
        vendor.infer(f"g{n}", {name: np.zeros_like(laid[:1])}, depth=1)
    answers = []
    for n in range(len(models)):
        with _full(emulator):
            vendor.ask(f"g{n}", {name: laid}, depth=DEPTH)
        answers.append(vendor.answers())
    vendor.do("thermal", net="g0")
    for n in range(len(models)):
        vendor.do("export", net=f"g{n}", path=folder / f"g{n}.blob")
    vendor.end()
    return pictures, answers


def _by_xlink(
    env: dict[str, str], emulator: Emulator, folder: Path, pictures: Array, firmware: Path, graphs: int
) -> list[dict[str, Array]]:
    np.save(folder / "pictures.npy", pictures)
    blobs = [os.fspath(folder / f"g{n}.blob") for n in range(graphs)]
    settings = {"port": PORT, "firmware": os.fspath(firmware), "blobs": blobs, "depth": DEPTH, "answers": os.fspath(folder)}
    command = [sys.executable, os.fspath(XLINK), json.dumps(settings), os.fspath(folder / "pictures.npy")]
    with subprocess.Popen(command, env={**os.environ, **env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ours:
        try:
            assert ours.stdout is not None
            assert ours.stdin is not None
            for _ in range(graphs):
                assert ours.stdout.readline() == b"ready\n"
                with _full(emulator):
                    ours.stdin.write(b"go\n")
                    ours.stdin.flush()
            assert ours.wait(60) == 0
        finally:
            ours.kill()
    return [_loaded(folder / f"answers{n}.npz") for n in range(graphs)]


def _loaded(path: Path) -> dict[str, Array]:
    with np.load(path) as found:
        return dict(found)


def test_it_says_what_the_plugin_says(pair: Pair) -> None:
    report = compare(pair.plugin.said, pair.xlink.said)
    lines = [(difference.lane, line) for difference in report.differences for line in difference.lines]
    found = [f"{lane}: {line}" for lane, line in lines if line[0] in "-+"]
    left = [line for line in found if line not in DIFFERENCES]
    assert not left, "\n".join(left)


def test_both_have_done_the_whole_of_it_with_four_in_flight(pair: Pair) -> None:
    graphs = len(pair.plugin.answers)
    for recorded in pair:
        frames = [item for item in recorded.said.items if isinstance(item, Frame)]
        assert [item.published_sha256 for item in recorded.said.items if isinstance(item, Boot)] == [FIRMWARE_SHA256]
        triggered = [item.t for item in frames if item.sent and item.type == "WRITE_REQ" and _is_trigger(item)]
        answered = [
            item.t + item.took for item in frames if not item.sent and item.type == "WRITE_REQ" and item.name in ("FIFO1", "FIFO3")
        ]
        assert len(triggered) == len(answered) == (ROWS + 1) * graphs
        assert max(sum(t <= when for t in triggered) - sum(t < when for t in answered) for when in answered) == DEPTH
        assert [item.type for item in frames if item.type == "RESET_REQ"] == ["RESET_REQ"], "closed, not torn"


def _is_trigger(frame: Frame) -> bool:
    data = bytes.fromhex(frame.data or "")
    return len(data) == commands.GRAPH_COMMAND.size and commands.GRAPH_COMMAND.unpack(data)[0] == commands.Graph.TRIGGER


def test_it_gets_the_plugins_answers_to_the_last_bit(pair: Pair) -> None:
    for theirs, ours in zip(pair.plugin.answers, pair.xlink.answers, strict=True):
        assert ours.keys() == theirs.keys()
        for name, expected in theirs.items():
            assert ours[name].shape == expected.shape
            assert ours[name].tobytes() == expected.tobytes(), name
            assert len(np.unique(expected)) > 1, "zeros would prove nothing"
