"""An IR of version 11 becomes one of version 10 with equal outputs, or the operation that has no equal is named."""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino import opset8 as op
from openvino import opset11, opset12

from ncs_cluster.provision._downgrade import Unequal, downgraded
from ncs_cluster.provision.blobs import Recipe
from ncs_cluster.provision.compile import CompileError, compile
from ncs_cluster.xlink.blob import Blob
from tests.needs import need_compiler
from tests.python39 import Runtime

pytestmark = pytest.mark.slow

PRIORS, CLASSES = 6, 3
ATTRIBUTES = {
    "nms_threshold": 0.5,
    "keep_top_k": [4],
    "top_k": 4,
    "confidence_threshold": 0.1,
    "code_type": "caffe.PriorBoxParameter.CENTER_SIZE",
}


def pixels() -> Any:
    return op.parameter([1, 3, 8, 8], np.float32, name="pixels")


def pooled(**how: Any) -> openvino.Model:
    source = pixels()
    how = {"dilations": [1, 1], "index_element_type": "i64", **how}
    pool = op.max_pool(source, strides=[2, 2], pads_begin=[0, 0], pads_end=[0, 0], kernel_shape=[2, 2], **how)
    return openvino.Model([pool.output(0)], [source], "pooled")


def gathered(indices: list[int], batch_dims: int = 0) -> openvino.Model:
    source = pixels()
    chosen = op.constant(np.array(indices, np.int64))
    return openvino.Model([op.gather(source, chosen, op.constant(np.int64(2)), batch_dims)], [source], "gathered")


def detected(normalized: bool) -> openvino.Model:
    sides = 4 if normalized else 5
    logits, scores = op.parameter([1, PRIORS * 4], np.float32, "logits"), op.parameter([1, PRIORS * CLASSES], np.float32, "scores")
    priors = op.parameter([1, 2, PRIORS * sides], np.float32, "priors")
    attributes = {**ATTRIBUTES, "normalized": normalized, "input_height": 8, "input_width": 8}
    return openvino.Model([op.detection_output(logits, scores, priors, attributes)], [logits, scores, priors], "detected")


def soft(axis: int) -> openvino.Model:
    source = pixels()
    return openvino.Model([op.softmax(source, axis)], [source], "soft")


def priors() -> openvino.Model:
    source = pixels()
    layer, image = (op.constant(np.array(shape, np.int64)) for shape in ([4, 4], [8, 8]))
    attributes = {"min_size": [2.0], "max_size": [4.0], "aspect_ratio": [2.0], "offset": 0.5, "flip": True}
    attributes |= {"min_max_aspect_ratios_order": True}
    boxes = op.prior_box(layer, image, attributes)
    return openvino.Model([op.add(boxes, op.reduce_sum(source, op.constant(np.array([0, 1, 2, 3]))))], [source], "priors")


def sliced(begin: list[int], end: list[int], step: list[int], axes: list[int] | None) -> openvino.Model:
    source = pixels()
    bounds = [op.constant(np.array(each, np.int64)) for each in (begin, end, step, *([axes] if axes else []))]
    return openvino.Model([op.slice(source, *bounds)], [source], "sliced")


def resized(mode: str = "nearest", by: str = "sizes", axes: bool = True, pads: int = 0) -> openvino.Model:
    source = pixels()
    given = np.array([4, 12], np.int32) if by == "sizes" else np.array([0.5, 1.5], np.float32)
    how = {"axes": op.constant(np.array([2, 3], np.int32))} if axes else {}
    if not axes:
        given = np.concatenate([np.array([1, 3] if by == "sizes" else [1, 1], given.dtype), given])
    grid = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor", "pads_begin": [0, 0, pads, 0], "pads_end": [0]}
    return openvino.Model([opset11.interpolate(source, op.constant(given), mode, by, **grid, **how)], [source], "resized")


def best(stable: bool = False) -> openvino.Model:
    source = pixels()
    top = opset11.topk(source, op.constant(np.int64(3)), 3, "max", "value", stable=stable)
    return openvino.Model([top.output(0)], [source], "best")


def padded(before: int) -> openvino.Model:
    source = pixels()
    pads = [op.constant(np.array([0, 0, each, 1], np.int64)) for each in (before, 2)]
    return openvino.Model([opset12.pad(source, *pads, "constant", op.constant(np.float32(7)))], [source], "padded")


def saved(model: openvino.Model, folder: Path) -> Path:
    path = folder / "new.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    assert b'version="11"' in path.read_bytes()
    return path


def outputs(path: Path) -> list[Any]:
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    random = np.random.default_rng(7)
    return list(compiled([random.random(tuple(port.shape), np.float32) for port in compiled.inputs]).values())


def old(path: Path) -> bytes:
    return downgraded(path.read_bytes(), path.with_suffix(".bin").read_bytes())[0]


def write_old(path: Path, folder: Path) -> Path:
    weights = path.with_suffix(".bin").read_bytes()
    xml, added = downgraded(path.read_bytes(), weights)
    (folder / "old.xml").write_bytes(xml)
    (folder / "old.bin").write_bytes(weights + added)
    return folder / "old.xml"


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(pooled(), id="MaxPool"),
        pytest.param(gathered([3, 0, 7]), id="Gather"),
        pytest.param(detected(True), id="DetectionOutput"),
        pytest.param(detected(False), id="DetectionOutput of pixels"),
        pytest.param(soft(-1), id="SoftMax of the last axis"),
        pytest.param(soft(1), id="SoftMax"),
        pytest.param(priors(), id="PriorBox"),
        pytest.param(sliced([1], [7], [2], [-1]), id="Slice of the last axis"),
        pytest.param(sliced([-3, 0], [1 << 40, -1], [1, 1], [3, 2]), id="Slice from the end"),
        pytest.param(sliced([0, 1, 2, 3], [1, 3, 9, 5], [1, 1, 3, 1], None), id="Slice of all axes"),
        pytest.param(resized(), id="Interpolate"),
        pytest.param(resized("linear_onnx", "scales"), id="Interpolate by scales"),
        pytest.param(resized("nearest", "scales", axes=False), id="Interpolate of all axes"),
        pytest.param(best(), id="TopK"),
        pytest.param(padded(1), id="Pad"),
    ],
)
def test_its_outputs_are_the_same(model: openvino.Model, tmp_path: Path) -> None:
    new = saved(model, tmp_path)
    assert re.search(rb'version="opset(8|11|12)"', new.read_bytes())
    text = old(new)
    assert b'<net name="' in text
    assert b'version="10"' in text
    assert not re.search(rb'version="opset(8|9|1\d)"|rt_info', text)
    for one, other in zip(outputs(new), outputs(write_old(new, tmp_path)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_number_of_classes_is_told_from_the_shapes(tmp_path: Path) -> None:
    for normalized in (True, False):
        assert f'num_classes="{CLASSES}"'.encode() in old(saved(detected(normalized), tmp_path))


def indices_used() -> openvino.Model:
    source = pixels()
    pool = op.max_pool(source, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2])
    return openvino.Model([pool.output(0), pool.output(1)], [source], "m")


def dynamic() -> openvino.Model:
    source = op.parameter(openvino.PartialShape([-1, 3, 8, 8]), np.float32, name="pixels")
    return openvino.Model([op.relu(source)], [source], "m")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (pooled(dilations=[2, 2]), "MaxPool of opset8 (.*): its dilations are 2,2"),
        (indices_used(), "MaxPool of opset8 (.*): the indices of its maxima are used"),
        (gathered([-1]), "Gather of opset8 (.*): its indices may be negative"),
        (sliced([7], [1], [-1], [3]), "Slice of opset8 (.*): it goes backwards"),
        (resized("bilinear_pillow"), "Interpolate of opset11 (.*): its mode is bilinear_pillow"),
        (resized(pads=2), "Interpolate of opset11 (.*): it pads"),
        (best(stable=True), "TopK of opset11 (.*): it is stable"),
        (padded(-1), "Pad of opset12 (.*): its pads may be negative"),
        (dynamic(), "the dynamic shape of its input pixels"),
    ],
)
def test_an_operation_without_an_equal_is_named_before_anything_runs(model: openvino.Model, said: str, tmp_path: Path) -> None:
    new = saved(model, tmp_path)
    with pytest.raises(Unequal, match=f"version 10 has no equal of {said}"):
        old(new)
    with pytest.raises(
        CompileError, match=f"{new}: is IR version 11, .*{said}.*: take the model's files for OpenVINO 2021.4"
    ) as told:
        compile(Recipe(new), tmp_path, say=lambda line: None)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "damage", [lambda xml: xml[:-200], lambda xml: xml.replace(b"<port ", b"<gate "), lambda xml: xml.replace(b"offset=", b"off=")]
)
def test_a_damaged_file_is_one_line(damage: Any, tmp_path: Path) -> None:
    new = saved(gathered([1]), tmp_path)
    new.write_bytes(damage(new.read_bytes()))
    with pytest.raises(CompileError, match="is IR version 11 and damaged: ") as told:
        compile(Recipe(new), tmp_path, say=lambda line: None)
    assert "\n" not in str(told.value)


REID = "person-reidentification-retail-0288/person-reidentification-retail-0288.xml"


def real(test_data: Path, name: str, folder: Path) -> Path:
    """A public model as an IR of version 11: as published, or its ONNX as this OpenVINO saves it, with weights of 16 bits."""
    path = test_data / "models" / name
    if path.suffix == ".xml":
        return path
    openvino.save_model(openvino.Core().read_model(path), folder / "real.xml")
    return folder / "real.xml"


@pytest.mark.parametrize("name", [REID, "ultra-light-rfb-320/version-RFB-320.onnx", "yolox_nano/yolox_nano.onnx"])
def test_a_public_model_gives_the_same_outputs(name: str, test_data: Path, tmp_path: Path) -> None:
    """Gather, MaxPool, Slice, SoftMax and Interpolate."""
    new = real(test_data, name, tmp_path)
    for one, other in zip(outputs(new), outputs(write_old(new, tmp_path)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "taken", "given"),
    [
        (REID, [("u8", (1, 3, 256, 128))], [("reid_embedding", (1, 256))]),
        (
            "ultra-light-rfb-320/version-RFB-320.onnx",
            [("u8", (1, 3, 240, 320))],
            [("boxes", (1, 4420, 4)), ("scores", (1, 4420, 2))],
        ),
    ],
)
def test_the_compiler_makes_a_blob_of_it(
    oracle_python: Runtime, test_data: Path, tmp_path: Path, name: str, taken: list[Any], given: list[Any]
) -> None:
    need_compiler()
    model = real(test_data, name, tmp_path)
    made = compile(Recipe(model), tmp_path, python=Path(oracle_python.python), say=lambda line: None)
    blob = Blob.parse(made.read_bytes())
    assert [(port.dtype, port.shape) for port in blob.inputs] == taken
    assert [(port.name, port.shape) for port in blob.outputs] == given


def test_the_vendors_library_reads_it_and_gives_the_same_detections(oracle_python: Runtime, tmp_path: Path) -> None:
    """OpenVINO 2021.4 on the CPU, which cannot read version 11."""
    new = saved(detected(True), tmp_path)
    write_old(new, tmp_path)
    code = f"""
        import numpy as np
        from openvino.inference_engine import IECore
        core = IECore()
        network = core.read_network({str(tmp_path / "old.xml")!r}, {str(tmp_path / "old.bin")!r})
        random = np.random.default_rng(7)
        given = {{name: random.random(port.tensor_desc.dims, np.float32) for name, port in network.input_info.items()}}
        (found,) = core.load_network(network, "CPU").infer(given).values()
        np.save({str(tmp_path / "found.npy")!r}, found)
    """
    run = [oracle_python.python, "-c", textwrap.dedent(code)]
    subprocess.run(run, env=oracle_python.env, cwd=tmp_path, check=True, timeout=60)
    (here,) = outputs(new)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), here, rtol=1e-5)
