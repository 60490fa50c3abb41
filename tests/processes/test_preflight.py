"""Graphs are tried out in a process that may die of them."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec import structs

from ncs_cluster.processes import preflight
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphName
from tests.xlink import blobs


def graph(model: Path, decoder: str = "ssd") -> GraphSpec:
    return GraphSpec(GraphName(model.stem), str(model), decoder)


@pytest.fixture
def faces(test_data: Path) -> Path:
    return test_data / "models/face-detection-retail-0004/face-detection-retail-0004.xml"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.xml"
    path.write_text("no graph")
    return path


def fake_python(tmp_path: Path, script: str) -> str:
    """An interpreter that ends in its own way, as one does whose library crashes."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize("backend", ["simulated", "openvino"])
def test_graphs_that_load_are_passed_in_silence(faces: Path, backend: str) -> None:
    assert preflight.check([graph(faces)], backend) is None


def test_the_one_that_does_not_load_is_named_in_one_line(faces: Path, broken: Path) -> None:
    line = preflight.check([graph(faces), graph(broken)], "openvino")
    assert line is not None
    assert str(broken) in line
    assert "\n" not in line


def test_outputs_of_another_kind_than_the_decoders_are_refused(test_data: Path) -> None:
    line = preflight.check([graph(test_data / "models/yolox_nano/yolox_nano.onnx")], "openvino")
    assert line is not None
    assert 'decoder "ssd" needs' in line


def test_an_unknown_decoder_is_named(faces: Path) -> None:
    assert 'no decoder "sdd"' in str(preflight.check([graph(faces, "sdd")], "openvino"))


def test_weights_of_another_graph_are_refused(faces: Path, tmp_path: Path) -> None:
    shutil.copy(faces, tmp_path / "cut.xml")
    (tmp_path / "cut.bin").write_bytes(b"short")
    assert "cut.xml" in str(preflight.check([graph(tmp_path / "cut.xml")], "openvino"))


def test_a_crash_is_told_with_the_graph_that_caused_it(faces: Path, broken: Path, tmp_path: Path) -> None:
    script = 'input=$(cat | tr -d "\\0"); case "$input" in *broken*) kill -SEGV $$;; esac; exit 0'
    line = preflight.check([graph(faces), graph(broken)], "openvino", python=fake_python(tmp_path, script))
    assert line is not None
    assert "SIGSEGV" in line
    assert str(broken) in line
    assert str(faces) not in line


def test_a_hang_ends_after_the_limit(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "LIMIT_S", 0.2)
    began_s = time.monotonic()
    assert "takes longer" in str(preflight.check([graph(faces)], "openvino", fake_python(tmp_path, "exec sleep 30")))
    assert time.monotonic() - began_s < 20


def test_an_interpreter_that_is_not_there_is_named(faces: Path) -> None:
    assert "/nowhere/python" in str(preflight.check([graph(faces)], "openvino", python="/nowhere/python"))


def test_nothing_is_started_where_there_is_nothing_to_try(faces: Path) -> None:
    assert preflight.check([], "openvino", python="/nowhere/python") is None
    assert preflight.check([graph(faces)], "myriad", python="/nowhere/python") is None


def compiled(folder: Path, outputs: tuple[int, ...] = (1, 1, 9, 7), channels: int = 3) -> GraphSpec:
    blob = folder / "g.blob"
    blob.write_bytes(blobs.make([blobs.Entry("image", (1, channels, 8, 8))], [blobs.Entry("found", outputs, blobs.FP32)]))
    return GraphSpec(GraphName("g"), "g.xml", "ssd", blob=str(blob))


def test_a_blob_for_a_stick_is_judged_by_what_it_says_of_itself(tmp_path: Path) -> None:
    assert preflight.check([compiled(tmp_path)], "xlink") is None
    assert "is not one colour picture" in str(preflight.check([compiled(tmp_path, channels=1)], "xlink"))
    assert 'g.blob: decoder "ssd" needs an output' in str(preflight.check([compiled(tmp_path, (1, 1, 9, 5))], "xlink"))
    assert 'no decoder "sdd"' in str(preflight.check([structs.replace(compiled(tmp_path), decoder="sdd")], "xlink"))


@pytest.mark.parametrize("damage", [b"", b"no blob", b"\0" * 4096, b"\x7fELF" + b"\xff" * 400])
def test_a_damaged_blob_is_refused_in_one_line_that_names_it(tmp_path: Path, damage: bytes) -> None:
    graph = compiled(tmp_path)
    (tmp_path / "g.blob").write_bytes(damage)
    line = str(preflight.check([graph], "xlink"))
    assert line.startswith(f"graph g: {tmp_path}/g.blob: ")
    assert "\n" not in line


def test_a_blob_that_has_gone_is_named(tmp_path: Path) -> None:
    graph = compiled(tmp_path)
    (tmp_path / "g.blob").unlink()
    assert preflight.check([graph], "xlink") == f"graph g: {tmp_path}/g.blob: No such file or directory"


def test_importing_it_loads_no_vendor_library() -> None:
    code = "import sys, ncs_cluster.processes.preflight; print([m for m in ('numpy', 'cv2', 'openvino') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
