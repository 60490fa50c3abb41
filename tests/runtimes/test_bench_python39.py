"""A plain program of `ncsctl bench` under Python 3.9: a vendor's library may need one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Protocol

import cv2
import msgspec
import numpy as np

from ncs_cluster.messages.bench import BenchItem, Done, FromBench, OpenDevices, Pictures, Ready, Work
from ncs_cluster.messages.child import Hello, Stop
from ncs_cluster.processes.bench import picture_numbers
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.testing.children import running
from ncs_cluster.types import GraphName, StickId


class Runtime(Protocol):
    python: str
    env: dict[str, str]


def test_it_works_off_each_picture_once_and_writes_its_result(python39: Runtime, tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(3)]
    for name in names:
        cv2.imwrite(os.fspath(tmp_path / name), np.zeros((12, 16, 3), np.uint8))
    items = tmp_path / "items"
    items.write_bytes(msgspec.msgpack.encode([BenchItem(name, os.fspath(tmp_path / name), None) for name in names]))
    sticks = [StickSpec(StickId(f"s-{n}"), "here", "simulated", {"latency_ms": 20, "infer": False}) for n in (1, 2)]
    graph = GraphSpec(GraphName("g"), "/nowhere", "ssd")
    with running("ncs_cluster.processes.bench.plain", FromBench, python=python39.python, env=python39.env) as child:
        assert child.expect(Hello).python.startswith("3.9.")
        child.send(OpenDevices(Pictures(os.fspath(items), (640, 480)), sticks, [graph], 1.0))
        assert child.expect(Ready).threads == 2
        fd = picture_numbers.create(8)
        child.send(Work(os.fspath(tmp_path / "results")), fd)
        os.close(fd)
        child.expect(Done)
        child.send(Stop())
        assert child.process.wait(60) == 0
    lines = sorted((json.loads(line) for line in (tmp_path / "results").read_text().splitlines()), key=lambda line: line["frame"])
    assert [(line["frame"], line["item"], line["size"]) for line in lines] == [(n, names[n % 3], [16, 12]) for n in range(8)]
    assert {line["stick"] for line in lines} == {"s-1", "s-2"}
    assert all(line["latency_ms"] >= 20.0 for line in lines)
