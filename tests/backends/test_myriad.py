"""What of backend `myriad` can be tried without a stick and without the vendor's plugin; tests/oracle has the rest."""

from __future__ import annotations

import os
import queue
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncs_cluster.backends import _mvnc_lock
from ncs_cluster.backends._model import fold
from ncs_cluster.backends._myriad_api2 import Net, Plugin
from ncs_cluster.backends._preprocess import preprocess
from ncs_cluster.backends.myriad import Myriad, Options, _name
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import GraphName, StickId

DEMO = Path(__file__).resolve().parents[2] / "graphs/demo/demo.xml"
GRAPH = GraphSpec(GraphName("demo"), os.fspath(DEMO), "ssd")


def opened(graphs: list[GraphSpec], **options: Any) -> StickError:
    with pytest.raises(StickError) as caught:
        Myriad().open(StickSpec(StickId("s"), "1-1.2", "myriad", options), graphs, lambda _: None)
    return caught.value


def test_an_interpreter_without_the_plugin_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mvnc_lock, "PATH", os.fspath(tmp_path / "mutex"))
    failed = opened([GRAPH])
    assert failed.reason == "open"
    assert "install openvino==2021.4.2" in failed.detail
    assert "\n" not in failed.detail


def test_without_a_graph_a_stick_is_not_booted() -> None:
    assert "give --graph" in opened([]).detail


@pytest.mark.parametrize(
    "wrong", [{"depth": 0}, {"depth": 17}, {"infer_timeout_s": 0.0}, {"wait_s": -1.0}, {"connect_timeout_s": 1e9}, {"dept": 1}]
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Options(**wrong)
    assert opened([GRAPH], **wrong).reason == "open"


@pytest.mark.parametrize(("port", "name"), [("1-1.2", "1.1.2-ma2480"), ("2-3", "2.3-ma2480"), ("usb 1-1.2.4", "1.1.2.4-ma2480")])
def test_a_port_has_the_plugins_name(port: str, name: str) -> None:
    assert _name(port) == name


def test_a_place_that_is_no_port_has_none() -> None:
    assert _name("somewhere") is None


@pytest.fixture(scope="module")
def lanes() -> tuple[Net, queue.Queue[tuple[int, str | None]]]:
    """The second API's side of a graph, on this CPU: it is the same API there."""
    import openvino

    ended: queue.Queue[tuple[int, str | None]] = queue.Queue()
    core = openvino.Core()
    loaded = core.compile_model(fold(core.read_model(DEMO), GRAPH), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return Net(loaded, 2, lambda lane, error: ended.put((lane, error))), ended


def test_by_the_second_api_lanes_end_and_tell_their_number(lanes: Any) -> None:
    net, ended = lanes
    assert (net.layout, net.height, net.width) == ("NHWC", 256, 320)
    rng = np.random.default_rng(0)
    for lane in (0, 1):
        net.input(lane)[:] = rng.integers(0, 256, net.input(lane).shape)
        net.start(lane)
    assert {ended.get(timeout=60) for _ in range(2)} == {(0, None), (1, None)}
    for lane in (0, 1):
        assert net.failed(lane) is None
        assert [array.shape for array in net.outputs(lane).values()] == [(1, 1, 50, 7)]


def test_by_the_second_api_a_graph_gets_its_colours_in_its_own_order(tmp_path: Path) -> None:
    """The host lays them; mean and scale are the graph's."""
    import openvino
    from openvino import opset8 as ops

    picture = ops.parameter([1, 3, 6, 8], openvino.Type.f32, name="picture")
    path = tmp_path / "identity.xml"
    openvino.save_model(openvino.Model([ops.add(picture, np.float32(1000))], [picture], "identity"), path, compress_to_fp16=False)
    spec = GraphSpec(GraphName("identity"), os.fspath(path), "ssd", colour="RGB", mean=(10.0, 20.0, 30.0), scale=(2.0, 4.0, 8.0))
    plugin = object.__new__(Plugin)
    plugin._core = openvino.Core()
    ended: queue.Queue[int] = queue.Queue()
    net = plugin.load(spec, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}, 1, lambda lane, error: ended.put(lane))
    image = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    preprocess(image, spec, net.width, net.height, net.input(0), net.layout)
    net.start(0)
    ended.get(timeout=60)
    (seen,) = net.outputs(0).values()
    expected = (image[:, :, ::-1].astype(np.float32) - spec.mean) / spec.scale
    np.testing.assert_allclose(seen[0].transpose(1, 2, 0) - 1000, expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_a_link_in_the_place_of_the_lock_opens_nothing_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    secret, place = tmp_path / "token", tmp_path / "mvnc.mutex"
    secret.write_text("secret")
    secret.chmod(0o600)
    if kind == "symlink":
        place.symlink_to(secret)
    else:
        place.hardlink_to(secret)
    monkeypatch.setattr(_mvnc_lock, "PATH", os.fspath(place))
    if kind == "symlink":
        with pytest.raises(StickError, match="cannot be used"):
            _mvnc_lock.prepare()
    else:
        _mvnc_lock.prepare()
    assert secret.stat().st_mode & 0o777 == 0o600


def test_by_the_second_api_a_graph_of_two_inputs_is_refused() -> None:
    import openvino
    from openvino import opset8 as ops

    one, two = (ops.parameter([1, 3, 4, 4], openvino.Type.f32, name=name) for name in ("one", "two"))
    loaded = openvino.Core().compile_model(openvino.Model([ops.add(one, two)], [one, two], "both"), "CPU")
    with pytest.raises(StickError, match="2 inputs"):
        Net(loaded, 1, lambda lane, error: None)
