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
from openvino import opset11

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
    return downgraded(path.read_bytes(), path.with_suffix(".bin").read_bytes())


@pytest.mark.parametrize(
    "model",
    [pooled(), gathered([3, 0, 7]), detected(True), detected(False), soft(-1), soft(1), priors()],
    ids=["MaxPool", "Gather", "DetectionOutput", "not normalized", "SoftMax of the last axis", "SoftMax", "PriorBox"],
)
def test_its_outputs_are_the_same(model: openvino.Model, tmp_path: Path) -> None:
    new = saved(model, tmp_path)
    assert re.search(rb'version="opset8"', new.read_bytes())
    text = old(new)
    assert b'<net name="' in text
    assert b'version="10"' in text
    assert not re.search(rb'version="opset(8|9|1\d)"|rt_info', text)
    (tmp_path / "old.xml").write_bytes(text)
    (tmp_path / "old.bin").write_bytes(new.with_suffix(".bin").read_bytes())
    for one, other in zip(outputs(new), outputs(tmp_path / "old.xml"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_number_of_classes_is_told_from_the_shapes(tmp_path: Path) -> None:
    for normalized in (True, False):
        assert f'num_classes="{CLASSES}"'.encode() in old(saved(detected(normalized), tmp_path))


def indices_used() -> openvino.Model:
    source = pixels()
    pool = op.max_pool(source, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2])
    return openvino.Model([pool.output(0), pool.output(1)], [source], "m")


def resized() -> openvino.Model:
    source = pixels()
    sizes, axes = op.constant(np.array([4, 4], np.int32)), op.constant(np.array([2, 3], np.int32))
    return openvino.Model([opset11.interpolate(source, sizes, "nearest", "sizes", axes=axes)], [source], "m")


def dynamic() -> openvino.Model:
    source = op.parameter(openvino.PartialShape([-1, 3, 8, 8]), np.float32, name="pixels")
    return openvino.Model([op.relu(source)], [source], "m")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (pooled(dilations=[2, 2]), "MaxPool of opset8 (.*): its dilations are 2,2"),
        (indices_used(), "MaxPool of opset8 (.*): the indices of its maxima are used"),
        (gathered([-1]), "Gather of opset8 (.*): its indices may be negative"),
        (resized(), "Interpolate of opset11 "),
        (dynamic(), "the dynamic shape of its input pixels"),
    ],
    ids=["dilations", "indices", "negative indices", "Interpolate", "dynamic"],
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


def test_the_compiler_makes_a_blob_of_it(oracle_python: Runtime, test_data: Path, tmp_path: Path) -> None:
    """A public model: 2 Gather and 1 MaxPool of opset 8."""
    need_compiler()
    model = test_data / "models/person-reidentification-retail-0288/person-reidentification-retail-0288.xml"
    made = compile(Recipe(model), tmp_path, python=Path(oracle_python.python), say=lambda line: None)
    blob = Blob.parse(made.read_bytes())
    assert [(port.dtype, port.shape) for port in blob.inputs] == [("u8", (1, 3, 256, 128))]
    assert [(port.name, port.shape) for port in blob.outputs] == [("reid_embedding", (1, 256))]


def test_the_vendors_library_reads_it_and_gives_the_same_detections(oracle_python: Runtime, tmp_path: Path) -> None:
    """OpenVINO 2021.4 on the CPU, which cannot read version 11."""
    new = saved(detected(True), tmp_path)
    (tmp_path / "old.xml").write_bytes(old(new))
    (tmp_path / "old.bin").write_bytes(new.with_suffix(".bin").read_bytes())
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
