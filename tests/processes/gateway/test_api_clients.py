"""Clients of DeepStack's API as they are published: what they make of our answers."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncs_cluster.processes.intake import Overloaded
from ncs_cluster.testing.gateway import TOKEN
from ncs_cluster.types import Outcome
from tests.frigate_plugin import need_deepstack
from tests.processes.gateway.api_site import ApiSite, api_site, detection, jpeg

LABELS = ["person", "airplane", "car", "potted plant"]


def need_deepstack_python() -> Any:
    """Its module `core`, of the unpacked wheel that NCS_CLUSTER_DEEPSTACK_PYTHON names. Not installed: it brings a package called
    `tests`, which would stand in the way of ours."""
    folder = os.environ.get("NCS_CLUSTER_DEEPSTACK_PYTHON")
    if folder is None:
        pytest.skip("NCS_CLUSTER_DEEPSTACK_PYTHON names no unpacked wheel of deepstack-python")
    spec = importlib.util.spec_from_file_location("deepstack_core", Path(folder) / "deepstack" / "core.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site() -> Iterator[ApiSite]:
    with api_site("deepstack", token=TOKEN) as opened:
        yield opened


@pytest.fixture
def deepstack(site: ApiSite) -> ApiSite:
    """Behind a token; its sticks as new."""
    site.intake.__init__()  # type: ignore[misc]
    return site


def test_frigates_detector_gets_each_object_and_survives_a_crowd(deepstack: ApiSite) -> None:
    detector = need_deepstack()(f"http://127.0.0.1:{deepstack.port}/v1/vision/detection", TOKEN, LABELS)
    frame = np.random.default_rng(3).integers(0, 256, (1, 200, 320, 3), np.uint8)
    deepstack.intake.outcome = Outcome([detection("car", 0.7), detection("aeroplane", 0.9), detection("person", 0.3)])
    rows = detector.detect_raw(frame)
    assert rows.shape == (20, 6)
    np.testing.assert_allclose(rows[:2], [[1, 0.9, 0.5, 0.25, 1.0, 0.75], [2, 0.7, 0.5, 0.25, 1.0, 0.75]], rtol=1e-6)
    assert not rows[2:].any()
    assert deepstack.intake.pictures[0][1].shape == (200, 320, 3)
    deepstack.intake.outcome = Outcome([detection("person", 0.5 + each / 100) for each in range(40)])
    np.testing.assert_allclose(detector.detect_raw(frame)[:, 1], [0.89 - each / 100 for each in range(20)], rtol=1e-6)
    deepstack.intake.error = Overloaded("64 pictures wait already", 3)
    assert not detector.detect_raw(frame).any()


def test_deepstack_python_gets_each_object_and_the_status_of_a_refusal(deepstack: ApiSite) -> None:
    core: Any = need_deepstack_python()
    client = core.DeepstackObject(ip="127.0.0.1", port=deepstack.port, api_key=TOKEN, min_confidence=0.5)
    deepstack.intake.outcome = Outcome([detection("PottedPlant", 0.8), detection("dog", 0.4)])
    assert client.detect(jpeg(100, 50)) == [
        {"label": "potted plant", "confidence": 0.8, "x_min": 25, "y_min": 25, "x_max": 75, "y_max": 50}
    ]
    custom = core.DeepstackObject(ip="127.0.0.1", port=deepstack.port, api_key=TOKEN, custom_model="namer")
    custom.detect(jpeg())
    assert [graph for graph, _, _ in deepstack.intake.pictures] == ["Finder", "namer"]
    for key, image, status in ((TOKEN, b"no picture", 400), ("a-token-that-is-wrong", jpeg(), 401)):
        refused = core.DeepstackObject(ip="127.0.0.1", port=deepstack.port, api_key=key)
        with pytest.raises(core.DeepstackException, match=f"status code: {status}"):
            refused.detect(image)
