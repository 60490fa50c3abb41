"""A graph of a dozen operations, for tests in which a graph must answer each picture differently, whatever the answers mean. It is
compiled and run in milliseconds, where the demo graph takes 0.15 s of each worker and 10 ms of each picture.

It looks at the mean colour of each quarter of the picture, 0..1. Quarter n is a "quarter n" with score 0.5 + blue / 2; the left of
its box is green / 2, the top red / 2, so that another picture's answer is seen.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

ABOUT = """\
model = "small.xml"
decoder = "ssd"
labels = "labels.txt"
"""


def write(folder: Path) -> None:
    """Fill a graph folder. Its graph has the folder's name."""
    import openvino
    from openvino import opset8 as ops

    picture = ops.parameter([1, 3, 8, 8], np.float32, "data")
    quarters = ops.avg_pool(picture, [4, 4], [0, 0], [0, 0], [4, 4], exclude_pad=True)
    halves = ops.multiply(ops.reshape(quarters, np.array([3, 4]), special_zero=False), np.float32(0.5 / 255))
    blue, green, red = (ops.reshape(each, np.array([4, 1]), special_zero=False) for each in ops.split(halves, 0, 3).outputs())
    ids = np.array([[0, number] for number in (1, 2, 3, 4)], np.float32)
    rows = ops.concat([ids, ops.add(blue, np.float32(0.5)), green, red, np.array([[0.75, 0.875]] * 4, np.float32)], 1)
    found = ops.reshape(rows, np.array([1, 1, 4, 7]), special_zero=False)
    found.output(0).set_names({"found"})
    openvino.save_model(openvino.Model([found], [picture], "small"), os.fspath(folder / "small.xml"), compress_to_fp16=False)
    (folder / "graph.toml").write_text(ABOUT)
    (folder / "labels.txt").write_text("".join(f"quarter {number}\n" for number in (1, 2, 3, 4)))
