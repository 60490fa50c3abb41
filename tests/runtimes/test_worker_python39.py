"""A worker under Python 3.9, spoken to over a real channel by the interpreter the tests run under."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ncs_cluster.ipc import pool as pools
from ncs_cluster.messages import Failed, FromWorker, Hello, Infer, Inferred, MapPool, OpenStick, StickOpened, Stop, Telemetry
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.testing.children import Child, running
from ncs_cluster.types import CameraName, FrameRef, GraphName, PoolLayout, StickId

LAYOUT = PoolLayout(pool=1, slots=2, max_width=64, max_height=48)
FRAME = FrameRef(CameraName("cam"), 1, 0, 0, 64, 48)
ROOT = Path(__file__).resolve().parents[2]
CHILDREN_IMPORT = [
    *(f"{room}.*" for room in ("ipc", "backends", "sources", "decoders", "render")),
    *("types", "errors", "messages", "specs", "thermal"),
    *(f"processes.{process}" for process in ("child", "worker", "fork_server", "camera", "preflight", "bench/*")),
]
IMPORT_ALL = """
import importlib, sys, traceback
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception:
        print(name, traceback.format_exc())
"""


class Runtime(Protocol):
    python: str
    env: dict[str, str]


@contextmanager
def worker(runtime: Runtime, **options: Any) -> Iterator[Child]:
    with running("ncs_cluster.processes.worker", FromWorker, python=runtime.python, env=runtime.env) as child:
        assert child.expect(Hello).python.startswith("3.9.")
        child.send(OpenStick(StickSpec(StickId("s"), "here", "simulated", options), [], time_scale=20))
        child.expect(StickOpened)
        yield child


def test_it_answers_reports_and_stops(python39: Runtime) -> None:
    with worker(python39, latency_ms=5) as child:
        for ticket in range(10):
            child.send(Infer(ticket, 0, FRAME))
        assert [child.expect(Inferred).ticket for _ in range(10)] == list(range(10))
        assert isinstance(child.expect(Telemetry).temperature_c, float)
        child.send(Stop())
        child.drain()
        assert child.process.wait(60) == 0


def test_it_reads_pixels_from_a_pool_made_by_another_interpreter(python39: Runtime) -> None:
    with worker(python39, latency_ms=5, preprocess=True) as child:
        fd = pools.create(LAYOUT)
        child.send(MapPool(LAYOUT), fd)
        frames = pools.FramePool(fd, LAYOUT, writable=True)
        frames.image(FRAME)[:] = 200
        child.send(Infer(1, 0, FRAME))
        assert child.expect(Inferred).outcome.error is None
        frames.close()


def test_every_module_children_import_can_be_imported(python39: Runtime) -> None:
    files = [file for pattern in CHILDREN_IMPORT for file in (ROOT / "ncs_cluster").glob(pattern.replace(".", "/", 1) + ".py")]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    assert len(names) > 25
    command = [python39.python, "-c", IMPORT_ALL, *names]
    ended = subprocess.run(command, env=python39.env, capture_output=True, text=True, check=True)
    assert ended.stdout == ""


def test_it_sees_nothing_of_the_other_interpreter(python39: Runtime) -> None:
    ask = "import sys, numpy, msgspec; print([p for p in sys.path if 'site-packages' in p and '.venv39' not in p])"
    ended = subprocess.run([python39.python, "-c", ask], env=python39.env, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_an_interpreter_without_openvino_says_so_in_one_line(python39: Runtime) -> None:
    graph = GraphSpec(GraphName("g"), "/nowhere/g.xml", "ssd")
    with running("ncs_cluster.processes.worker", FromWorker, python=python39.python, env=python39.env) as child:
        child.send(OpenStick(StickSpec(StickId("s"), "here", "openvino"), [graph]))
        failed = child.expect(Failed)
        assert failed.reason == "open"
        assert "install openvino" in failed.detail
        assert python39.python in failed.detail
