"""Small graphs for the oracle, written as IR version 10, which 2021.4.2 reads. Weights are random with a fixed seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

INPUT, HEIGHT, WIDTH = "pixels", 32, 48
SCORE, PLACE = "cls", "heat"


def one_output(folder: Path) -> Path:
    """pixels [1, 3, 32, 48] -> features [1, 8, 16, 24]."""
    source, features = _trunk()
    features.set_friendly_name("features")
    return _write(folder / "one.xml", [features], source)


def two_outputs(folder: Path) -> Path:
    """pixels [1, 3, 32, 48] -> cls [1, 7], which sums to 1, and heat [1, 1, 16, 24]."""
    from openvino import opset1 as op

    rng = np.random.default_rng(2)
    source, features = _trunk()
    heat = op.sigmoid(_convolution(features, rng.normal(0, 0.1, (1, 8, 1, 1))))
    heat.set_friendly_name(PLACE)
    means = op.reduce_mean(features, op.constant(np.array([2, 3])), False)
    score = op.softmax(op.matmul(means, op.constant(rng.normal(0, 1, (8, 7)).astype(np.float32)), False, False), 1)
    score.set_friendly_name(SCORE)
    return _write(folder / "two.xml", [score, heat], source)


def _trunk() -> tuple[Any, Any]:
    from openvino import opset1 as op

    source = op.parameter([1, 3, HEIGHT, WIDTH], np.float32, name=INPUT)
    return source, op.relu(_convolution(source, np.random.default_rng(1).normal(0, 0.1, (8, 3, 3, 3)), stride=2))


def _convolution(data: Any, weights: Any, stride: int = 1) -> Any:
    from openvino import opset1 as op

    border = [weights.shape[2] // 2] * 2
    return op.convolution(data, op.constant(weights.astype(np.float32)), [stride] * 2, border, border, [1, 1])


def _write(path: Path, outputs: list[Any], source: Any) -> Path:
    import openvino

    openvino.serialize(openvino.Model(outputs, [source], path.stem), path, path.with_suffix(".bin"), "IR_V10")
    return path
