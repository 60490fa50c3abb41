"""The demo graph as it is shipped keeps what its model card promises."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from ncs_cluster.sources._scene_shapes import LABELS

pytestmark = pytest.mark.slow

DEMO = Path(__file__).resolve().parents[2] / "graphs" / "demo"


@pytest.fixture(scope="module")
def evaluate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo_evaluate", DEMO / "evaluate.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_finds_the_shapes_of_scenes_it_has_not_seen_and_their_distances_are_right(evaluate: ModuleType) -> None:
    report = evaluate.evaluate(DEMO / "demo.xml", 240)
    assert report.objects > 1000
    assert report.mean_average_precision >= 0.85
    assert min(report.average_precision.values()) >= 0.75, "no label is left behind"
    assert report.recall >= 0.80
    assert report.precision >= 0.90
    assert report.within >= 0.95
    assert report.within_true_boxes >= 0.95


def test_the_measure_itself_tells_good_from_bad(evaluate: ModuleType) -> None:
    """A detector that says the truth scores 1; one that names every box wrongly scores 0; half of the objects, half."""
    from ncs_cluster.types import Detection, Truth

    left, right = (0.1, 0.1, 0.4, 0.4), (0.6, 0.6, 0.9, 0.9)
    truth = [Truth("ball", 1, left, 1.0), Truth("ball", 1, right, 2.0)]

    def score(*found: Detection) -> float:
        return float(evaluate.average_precision([evaluate.Frame(truth, list(found))], "ball"))

    assert score(Detection("ball", 1, 0.9, left), Detection("ball", 1, 0.8, right)) == 1.0
    assert score(Detection("cube", 2, 0.9, left), Detection("cube", 2, 0.8, right)) == 0.0
    assert score(Detection("ball", 1, 0.9, left)) == 0.5
    assert score(Detection("ball", 1, 0.9, left), Detection("ball", 1, 0.8, left)) == 0.5, "an object counts once"
    assert score(Detection("ball", 1, 0.9, (0.4, 0.6, 0.5, 0.7)), Detection("ball", 1, 0.8, left)) == 0.25


def test_its_folder_describes_itself() -> None:
    settings = tomllib.loads((DEMO / "graph.toml").read_text())
    assert (DEMO / settings["model"]).is_file()
    assert tuple((DEMO / settings["labels"]).read_text().split()) == LABELS
    assert settings["decoder"] == "ssd"
    assert settings["threshold"] == 0.6
    assert settings["input"] == {"colour": "BGR", "resize": "stretch", "mean": [0, 0, 0], "scale": [1, 1, 1]}


def test_it_is_an_ir_that_2021_4_can_read_small_and_with_no_trace_of_the_machine_that_made_it() -> None:
    xml = (DEMO / "demo.xml").read_text()
    assert re.search(r'<net name="demo" version="10">', xml)
    assert set(re.findall(r'version="(opset\d+)"', xml)) == {"opset1"}
    assert not re.findall(r'"(?:/|[A-Z]:\\)[^"]*"', xml), "no paths"
    assert sum(file.stat().st_size for file in (DEMO / "demo.xml", DEMO / "demo.bin")) < 3_000_000
