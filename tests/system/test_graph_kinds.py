"""The whole daemon with graphs of each kind: what is written is what the decoder makes of the picture, on a CPU and on a stick."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncs_cluster.cli.daemon import main
from ncs_cluster.config import load
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.provision import compile
from ncs_cluster.provision.blobs import Recipe
from ncs_cluster.specs import GraphSpec
from ncs_cluster.testing.daemon import read_results, running
from ncs_cluster.types import Outcome
from tests import forked
from tests.decoders.running import folder_of, outcomes, picture, read
from tests.needs import need_compiler
from tests.python39 import Runtime

pytestmark = pytest.mark.slow

REID = "person-reidentification-retail-0288"
MOBILENET = "mobilenet_v1_0.25_224_float"
DESCRIBED = {
    "yolox_nano": None,
    REID: f'model = "{REID}.xml"\ndecoder = {{ name = "features", l2 = true }}\n',
    MOBILENET: f"""
model = "{MOBILENET}.tflite"
labels = "labels.txt"
decoder = "classification"
input = {{ colour = "RGB", mean = [127.5, 127.5, 127.5], scale = [127.5, 127.5, 127.5] }}
""",
}
DONE_S = 120.0


def folders(test_data: Path, home: Path, *names: str) -> dict[str, Path]:
    return {name: folder_of(test_data / "models" / name, home / name, DESCRIBED[name]) for name in names}


def flags(folder: Path, graphs: dict[str, Path], source: Path) -> list[str]:
    argv = ["--source", str(source), "--no-web", "--results", str(folder / "found.jsonl")]
    argv += ["--state-dir", str(folder / "state"), "--runtime-dir", str(folder / "run")]
    return argv + [part for graph in graphs.values() for part in ("--graph", str(graph))]


def assert_written(record: dict[str, Any], graph: GraphSpec, expected: Outcome, tolerance: float) -> None:
    """The record says what the outcome says: labels are equal, and numbers are within `tolerance` and JSON's rounding."""
    assert "error" not in record
    others: list[Any]
    for listed, others in ((record["detections"], expected.detections), (record.get("classes", []), expected.classes)):
        assert [each["label"] for each in listed] == [each.label for each in others], graph.name
        assert [each["score"] for each in listed] == pytest.approx([each.score for each in others], abs=tolerance + 1e-4)
    for each, found in zip(record["detections"], expected.detections, strict=True):
        assert each["box"] == pytest.approx(found.box, abs=tolerance + 1e-4)
    if expected.features is None:
        assert "features" not in record
    else:
        np.testing.assert_allclose(record["features"], np.frombuffer(expected.features, "<f4"), atol=tolerance)


@pytest.mark.parametrize("backend", ["openvino", "simulated"])
def test_each_graph_writes_its_own_kind_of_result(test_data: Path, tmp_path: Path, backend: str) -> None:
    graphs = folders(test_data, tmp_path, *DESCRIBED)
    source = test_data / "media/burger.jpg"
    with running(load([*flags(tmp_path, graphs, source), "--backend", backend, "--sticks", "1"], {})) as daemon:
        assert daemon.wait(DONE_S) == 0
    records = {each["graph"]: each for each in read_results(tmp_path / "found.jsonl")}
    assert set(records) == set(DESCRIBED)
    for name, folder in graphs.items():
        graph = read(folder)
        (expected,) = outcomes(graph, [picture(source)])
        assert_written(records[name], graph, expected, 1e-4)
    assert records["yolox_nano"]["detections"][0]["label"] == "sandwich"
    assert records[MOBILENET]["classes"][0]["label"] == "cheeseburger"
    assert len(records[REID]["features"]) == 256


def test_a_stick_gives_what_the_cpu_gives(
    test_data: Path, tmp_path: Path, start_emulators: Callable[..., Emulator], oracle_python: Runtime
) -> None:
    """Blobs of the vendor's compiler, and sticks that compute in 32 bits."""
    need_compiler()
    graphs = folders(test_data, tmp_path, "yolox_nano", REID)
    source = test_data / "media/dog.jpg"
    models = []
    for folder in graphs.values():
        recipe = Recipe.of(read(folder))
        compile.compile(
            recipe, tmp_path, python=Path(oracle_python.python), output=recipe.model.with_suffix(".blob"), say=lambda line: None
        )
        models.append(os.fspath(recipe.model))
    bus = start_emulators()
    bus.add("1-1.1", graphs=models, latency_s=0.02, boot_s=0.2)
    firmware = tmp_path / "usb-ma2x8x.mvcmd"
    firmware.write_bytes(artificial_firmware(40_000))
    argv = [*flags(tmp_path, graphs, source), "--backend", "xlink"]
    argv += ["--set", f"discovery.sysfs={bus.sysfs}", "--set", f"xlink.firmware={firmware}"]
    with running(load(argv, {}), bus.env) as daemon:
        assert daemon.wait(DONE_S) == 0
    records = {each["graph"]: each for each in read_results(tmp_path / "found.jsonl")}
    assert set(records) == set(graphs)
    for name, folder in graphs.items():
        (expected,) = outcomes(read(folder), [picture(source)])
        assert_written(records[name], read(folder), expected, 2e-3)
    assert {"dog", "bicycle"} <= {each["label"] for each in records["yolox_nano"]["detections"]}


def test_a_graph_whose_pixels_nothing_tells_is_refused_with_the_command_that_describes_it(test_data: Path, tmp_path: Path) -> None:
    graph = folder_of(test_data / "models" / MOBILENET, tmp_path / "net", None)
    words = flags(tmp_path, {"net": graph}, test_data / "media/bus.jpg")
    done = forked.run(main, ["ncs-clusterd", *words, "--backend", "openvino"])
    assert (done.returncode, done.stdout) == (78, "")
    (line,) = done.stderr.splitlines()
    subprocess.run(["sh", "-c", line[line.index("printf '") :]], check=True)
    assert read(graph).decoder == "classification"
