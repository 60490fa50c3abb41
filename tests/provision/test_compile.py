"""A model becomes a blob by the vendor's real compiler, which is shown an emulated stick; and what is refused, in one line."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest

from ncs_cluster.provision import blobs, places
from ncs_cluster.provision._compiler import fold
from ncs_cluster.provision.blobs import Recipe
from ncs_cluster.provision.compile import CompileError, compile
from ncs_cluster.testing.interpreter import program
from ncs_cluster.xlink.blob import Blob
from tests.needs import need_compiler
from tests.oracle import nets
from tests.python39 import Runtime

pytestmark = pytest.mark.slow

DEMO = Path(__file__).resolve().parents[2] / "graphs" / "demo"


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def python(oracle_python: Runtime) -> Path:
    need_compiler()
    return Path(oracle_python.python)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with two outputs."""
    return nets.two_outputs(tmp_path_factory.mktemp("two"))


def test_the_demo_graphs_blob_is_what_the_compiler_makes_of_its_model_to_the_last_byte(python: Path, tmp_path: Path) -> None:
    made = compile(Recipe(DEMO / "demo.xml"), tmp_path, python=python, say=quiet)
    assert made.parent == places.blobs(tmp_path)
    assert made.read_bytes() == (DEMO / "demo.blob").read_bytes()
    told = json.loads((DEMO / "demo.blob.json").read_text())
    assert {**json.loads(blobs.sidecar(made).read_text()), "model": "demo.xml"} == told
    assert blobs.find_for(Recipe(DEMO / "demo.xml"), tmp_path) == DEMO / "demo.blob"


def test_a_blob_has_bytes_in_floats_out_and_its_own_mean_and_scale_and_is_found_again(
    python: Path, two: Path, tmp_path: Path
) -> None:
    recipe = Recipe(two, (127.0, 128.0, 129.0), (2.0, 3.0, 4.0), shaves=4, slices=5)
    made = compile(recipe, tmp_path, python=python, say=quiet)
    blob = Blob.parse(made.read_bytes())
    assert [(port.name, port.dtype, port.shape) for port in blob.inputs] == [(nets.INPUT, "u8", (1, 3, nets.HEIGHT, nets.WIDTH))]
    assert {port.name: port.dtype for port in blob.outputs} == {nets.SCORE: "fp32", nets.PLACE: "fp32"}
    assert (blob.shaves, blob.slices) == (4, 5)
    assert blobs.find_for(recipe, tmp_path) == made
    assert blobs.find_for(recipe._replace(mean=(0, 0, 0)), tmp_path) is None
    assert compile(recipe, tmp_path, python=Path("not needed"), say=quiet) == made
    plain = tmp_path / "elsewhere" / "plain.blob"
    compile(recipe._replace(mean=(0, 0, 0), scale=(1, 1, 1)), tmp_path, python=python, output=plain, say=quiet)
    assert Blob.parse(plain.read_bytes()).inputs == blob.inputs
    assert plain.read_bytes() != made.read_bytes()
    assert sorted(os.listdir(plain.parent)) == ["plain.blob", "plain.blob.json"]


def test_an_onnx_model_is_compiled_too(python: Path, test_data: Path, tmp_path: Path) -> None:
    model = test_data / "models" / "ultra-light-rfb-320" / "version-RFB-320.onnx"
    made = compile(Recipe(model, (127, 127, 127), (128, 128, 128)), tmp_path, python=python, say=quiet)
    blob = Blob.parse(made.read_bytes())
    assert [(port.dtype, port.shape) for port in blob.inputs] == [("u8", (1, 3, 240, 320))]
    assert [(port.name, port.dtype, port.shape) for port in blob.outputs] == [
        ("boxes", "fp32", (1, 4420, 4)),
        ("scores", "fp32", (1, 4420, 2)),
    ]


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_folding_is_the_arithmetic_it_should_be(tmp_path: Path, kind: type) -> None:
    """(x - mean) / scale by channel, for every one who takes the input, as another OpenVINO computes it."""
    from openvino import opset1 as op

    source = op.parameter([1, 3, 4, 5], kind, name="pixels")
    outputs = [op.relu(source), op.add(source, source)]
    xml, weights = tmp_path / "m.xml", tmp_path / "m.bin"
    openvino.serialize(openvino.Model(outputs, [source], "m"), xml, weights, "IR_V10")
    fold(str(xml), str(weights), ["pixels"], [1, 2, 3], [2, 4, 8])
    x = np.random.default_rng(1).integers(0, 255, (1, 3, 4, 5)).astype(kind)
    core = openvino.Core()
    ran = core.compile_model(core.read_model(xml), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([x])
    y = (x - np.array([1, 2, 3]).reshape(1, 3, 1, 1)) / np.array([2, 4, 8]).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(ran[0], np.maximum(y, 0), rtol=2e-3)
    np.testing.assert_allclose(ran[1], y + y, rtol=2e-3)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("m.xml", b'<net name="x" version="7">', "is IR version 7, the compiler reads versions 10 and 11: take the model's files"),
        ("m.xml", b"\xff<html>", "is not an IR of OpenVINO"),
        ("m.xml", b'<net version="10"></net>', "there is no m.bin beside it"),
        ("m.tflite", b"", r"the compiler reads IR version 10 .* and \.onnx"),
        ("m.blob", b"", "is compiled already"),
        ("m.onnx", None, "there is no such file"),
    ],
)
def test_what_is_no_model_for_it_is_refused(tmp_path: Path, name: str, content: bytes | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CompileError, match=complaint):
        compile(Recipe(tmp_path / name), tmp_path, say=quiet)


@pytest.mark.parametrize("content", [b"", b"\x08\x07not a model"])
def test_what_the_compiler_cannot_read_is_one_line_in_its_words(python: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(CompileError) as caught:
        compile(Recipe(tmp_path / "bad.onnx"), tmp_path, python=python, say=quiet)
    assert str(caught.value).startswith(f"{tmp_path}/bad.onnx: ")
    assert len(str(caught.value).splitlines()) == 1
    assert not places.blobs(tmp_path).exists()


@pytest.mark.parametrize(
    ("shaves", "slices", "complaint"),
    [
        (99, 99, "shaves are 1 to 8, slices at least as many and at most 9"),
        (9, 9, "shaves are 1 to 8"),
        (8, 10, "at most 9"),
        (4, 2, "slices at least as many"),
        (0, 3, "shaves are 1 to 8"),
        (4, None, "--shaves and --slices go together"),
        (None, 4, "--shaves and --slices go together"),
        (0, None, "--shaves and --slices go together"),
    ],
)
def test_shaves_and_slices_the_compiler_does_not_take_are_refused_before_anything_runs(
    two: Path, tmp_path: Path, shaves: int | None, slices: int | None, complaint: str
) -> None:
    with pytest.raises(CompileError, match=complaint):
        compile(Recipe(two, shaves=shaves, slices=slices), tmp_path, say=quiet)


def test_as_many_shaves_and_slices_as_are_said_to_be_right_are_compiled(python: Path, two: Path, tmp_path: Path) -> None:
    blob = Blob.parse(compile(Recipe(two, shaves=8, slices=9), tmp_path, python=python, say=quiet).read_bytes())
    assert (blob.shaves, blob.slices) == (8, 9)


def test_a_place_that_takes_no_blob_is_told_before_the_compiler_works(two: Path, tmp_path: Path) -> None:
    said: list[str] = []
    file = tmp_path / "file"
    file.touch()
    for output, complaint in ((tmp_path, "is a folder; name the blob's file"), (file / "a.blob", "no permission to write")):
        with pytest.raises(CompileError, match=complaint):
            compile(Recipe(two), tmp_path, python=Path(sys.executable), output=output, say=said.append)
    assert said == []


def test_without_a_compiler_the_lines_that_get_one_are_named(two: Path, tmp_path: Path) -> None:
    with pytest.raises(CompileError) as caught:
        compile(Recipe(two), tmp_path, say=quiet)
    home = tmp_path / "compiler"
    assert f"python3.9 -m venv {home} && {home}/bin/pip install openvino==2021.4.2" in str(caught.value)
    with pytest.raises(CompileError, match="is not an executable"):
        compile(Recipe(two), tmp_path, python=tmp_path / "python", say=quiet)


def test_a_python_with_another_openvino_is_refused(two: Path, tmp_path: Path) -> None:
    need_compiler()
    for python in (Path(sys.executable), Path("/bin/true")):
        with pytest.raises(CompileError, match=r"is not a Python 3\.6 to 3\.9 with openvino==2021\.4\.2; name one"):
            compile(Recipe(two), tmp_path, python=python, say=quiet)


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("import os; os.write(1, b'first\\nlast words\\n'); os._exit(3)", r"ended with 3: last words$"),
        ("while True: print('again and again')", r"was killed after 1 s: again and again$"),
    ],
)
def test_a_compiler_that_dies_or_never_ends_is_one_line(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, complaint: str
) -> None:
    need_compiler()
    monkeypatch.setattr("ncs_cluster.provision.compile.COMPILE_S", 1.0)
    script = program(tmp_path / "python", code)
    with pytest.raises(CompileError, match=complaint):
        compile(Recipe(two), tmp_path, python=script, say=quiet)


def test_another_machine_is_told_where_it_can_be_done(two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(CompileError, match="Linux on x86-64 only, this is aarch64: compile there"):
        compile(Recipe(two), tmp_path, say=quiet)
