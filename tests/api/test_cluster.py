"""Cluster with real processes: the right result for each image, in order, for any caller; what is no image; bounded reading."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncs_cluster import Cluster
from ncs_cluster.api import cluster as module
from ncs_cluster.api.results import result_of
from ncs_cluster.errors import ClusterClosed, ConfigError, ForkedCluster, ImageRefused, InferenceFailed, ResultTimeout
from ncs_cluster.types import Outcome, Record
from tests.api.images import PATIENCE_S, SIMULATED, WITHOUT_GRAPH, shown

pytestmark = pytest.mark.slow

Images = list[np.ndarray]
Expected = list[list[dict[str, Any]]]


def test_map_gives_the_result_of_each_image_in_order_whatever_their_sizes(
    cluster: Cluster, images: Images, expected: Expected
) -> None:
    results = list(cluster.map(iter(images)))
    assert [result.number for result in results] == list(range(len(images)))
    assert [shown(result) for result in results] == expected
    assert {result.graph for result in results} == {"small"}
    assert {result.stick for result in results} == {"sim-1", "sim-2"}


def test_infer_gives_the_result_of_one_image(cluster: Cluster, images: Images, expected: Expected) -> None:
    for number in (0, 2, 4):
        result = cluster.infer(images[number], timeout_s=PATIENCE_S)
        assert shown(result) == expected[number]
        assert result.latency_s is not None
        assert result.latency_s > 0


def test_an_image_that_is_a_view_is_copied_as_it_is_seen(cluster: Cluster, images: Images, expected: Expected) -> None:
    flipped = np.ascontiguousarray(images[0][:, ::-1])
    assert not flipped[:, ::-1].flags.c_contiguous
    assert shown(cluster.infer(flipped[:, ::-1])) == expected[0]


def test_a_buffer_may_be_used_again_for_the_next_image(cluster: Cluster, images: Images, expected: Expected) -> None:
    small = images[::3]

    def reused() -> Iterator[np.ndarray]:
        buffer = np.empty_like(small[0])
        for image in small:
            buffer[:] = image
            yield buffer
            buffer[:] = 0

    assert [shown(result) for result in cluster.map(reused())] == expected[::3]


def test_several_threads_get_each_their_own_results(cluster: Cluster, images: Images, expected: Expected) -> None:
    with ThreadPoolExecutor(8) as threads:
        order = [number for number in range(len(images)) for _ in range(3)]
        results = list(threads.map(lambda number: cluster.infer(images[number]), order))
    assert [shown(result) for result in results] == [expected[number] for number in order]


def test_two_maps_at_once_do_not_mix(cluster: Cluster, images: Images, expected: Expected) -> None:
    pairs = list(zip(cluster.map(images), cluster.map(reversed(images)), strict=True))
    assert [shown(one) for one, _ in pairs] == expected
    assert [shown(other) for _, other in pairs] == expected[::-1]


def test_no_more_images_are_read_than_the_window_holds(cluster: Cluster) -> None:
    image, read, had = np.zeros((8, 8, 3), np.uint8), 0, 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal read
        for read in range(1, 501):
            assert read <= had + module.WINDOW
            yield image

    for had, result in enumerate(cluster.map(counted()), 1):
        assert result.number == had - 1
    assert (had, read) == (500, 500)


def test_results_before_an_exception_of_the_iterable_come_first(cluster: Cluster, images: Images, expected: Expected) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield from images[:5]
        raise RuntimeError("no more film")

    results = cluster.map(broken())
    assert [shown(next(results)) for _ in range(5)] == expected[:5]
    with pytest.raises(RuntimeError, match="no more film"):
        next(results)


def test_what_is_no_image_is_refused_after_the_results_of_the_images_before(
    cluster: Cluster, images: Images, expected: Expected
) -> None:
    results = cluster.map([images[0], images[0].astype(np.float32), images[0]])
    assert shown(next(results)) == expected[0]
    with pytest.raises(ImageRefused, match="uint8"):
        next(results)
    assert list(results) == []


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (None, "numpy array, not NoneType"),
        ([[[0, 0, 0]]], "not list"),
        (np.zeros((4, 4), np.uint8), "COLOR_GRAY2BGR"),
        (np.zeros((4, 4, 4), np.uint8), "give BGR"),
        (np.zeros((4, 4, 3), np.int64), "not int64"),
        (np.zeros((0, 4, 3), np.uint8), "not 4x0"),
        (np.zeros((1, 20_000, 3), np.uint8), "not 20000x1"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(cluster: Cluster, image: Any, reason: str) -> None:
    with pytest.raises(ImageRefused, match=reason) as refused:
        cluster.infer(image)
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, ValueError)


def test_a_map_that_is_left_early_disturbs_no_later_one(cluster: Cluster, images: Images, expected: Expected) -> None:
    for _ in range(3):
        results = cluster.map(images * 10)
        assert shown(next(results)) == expected[0]
        results.close()  # type: ignore[attr-defined]
    assert [shown(result) for result in cluster.map(images[:6])] == expected[:6]


def test_an_empty_iterable_gives_no_result(cluster: Cluster) -> None:
    assert list(cluster.map([])) == []


def test_the_status_is_that_of_its_own_sticks(cluster: Cluster) -> None:
    cluster.infer(np.zeros((8, 8, 3), np.uint8))
    status = cluster.status()
    assert [stick.id for stick in status.sticks] == ["sim-1", "sim-2"]
    assert (status.counters.frames_lost, status.counters.frames_doubled, status.counters.out_of_order) == (0, 0, 0)
    assert (status.daemon.state, status.daemon.reasons) == ("ok", [])


def test_a_cluster_made_in_a_thread_outlives_it_and_two_do_not_mix(
    cluster: Cluster, images: Images, expected: Expected, small_graph_folder: Path
) -> None:
    made: list[Cluster] = []
    given: dict[str, Any] = {"backend": "simulated", "graph": small_graph_folder, "settings": SIMULATED}
    thread = threading.Thread(target=lambda: made.append(Cluster(**given, sticks=1, threshold=0.85)))
    thread.start()
    thread.join(PATIENCE_S)
    with made[0] as other:
        assert {result.stick for result in other.map(images[:6])} == {"sim-1"}
        certain = [shown(result) for result in other.map(images)]
        assert [shown(result) for result in cluster.map(images)] == expected
    assert certain == [[found for found in each if found["score"] >= 0.85] for each in expected] != expected
    with pytest.raises(ClusterClosed, match="is closed"):
        other.infer(images[0])


def test_a_graph_is_named_where_there_are_several(
    images: Images, expected: Expected, small_graph_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(small_graph_folder, tmp_path / "second")
    settings = {**SIMULATED, "threshold": 0.6}
    with Cluster(backend="simulated", sticks=1, graph=[small_graph_folder, tmp_path / "second"], settings=settings) as cluster:
        assert cluster.graphs == ["small", "second"]
        with pytest.raises(ConfigError, match="name one of small, second"):
            cluster.infer(images[0])
        with pytest.raises(ConfigError, match='has no "third"; it has small, second'):
            cluster.map(images, graph="third")
        for graph in ("second", "small"):
            results = list(cluster.map(images[:6], graph=graph))
            assert [shown(result) for result in results] == expected[:6]
            assert {result.graph for result in results} == {graph}


def test_a_result_that_does_not_come_in_time_is_a_time_out(images: Images) -> None:
    with Cluster(**{**WITHOUT_GRAPH, "settings": {"simulated.latency_ms": 1500}}, sticks=1) as cluster:
        with pytest.raises(ResultTimeout) as caught:
            cluster.infer(images[0], timeout_s=0.05)
        assert isinstance(caught.value, TimeoutError)


def test_large_images_wait_for_room_and_all_have_their_result() -> None:
    """Each image of this size is a third of what may be without a result."""
    image = np.zeros((4096, 4096, 3), np.uint8)
    with Cluster(**WITHOUT_GRAPH, sticks=1) as cluster:
        assert [result.number for result in cluster.map([image] * 12)] == list(range(12))


def test_features_are_float32_and_an_error_is_raised_by_infer_alone() -> None:
    vector = np.linspace(-1, 1, 7, dtype="<f4")
    record = Record("feed", 3, 1.0, None, "sim-1", "reid", 0.5, Outcome(features=vector.tobytes()))
    result = result_of(record, 2)
    assert result.features is not None
    assert result.features.dtype == np.float32
    assert np.array_equal(result.features, vector)
    failed = result_of(Record("feed", 3, 1.0, None, None, "reid", None, Outcome(error="it broke three sticks")), 0)
    assert (failed.error, failed.features) == ("it broke three sticks", None)
    with pytest.raises(InferenceFailed, match="it broke three sticks"):
        module._good(failed)


@pytest.mark.parametrize(
    "given",
    [
        {"backend": "toaster"},
        {"sticks": 0},
        {"threshold": 7},
        {"graph": "no-such-graph"},
        {"cluster_size": -1},
        {"config": "/no/such/file.toml"},
        {"settings": {"simulated.no_such_key": 1}},
    ],
)
def test_a_wrong_argument_is_refused_with_the_line_of_the_daemon(given: dict[str, Any]) -> None:
    whole = {"backend": "simulated", "graph": "demo", **given}
    with pytest.raises(ConfigError) as refused:
        Cluster(**whole)
    flags = ["--source", "synthetic", "--no-web"]
    for name, value in whole.items():
        if name == "settings":
            flags += [f"--set={key}={text}" for key, text in value.items()]
        else:
            flags.append(f"--{name.replace('_', '-')}={value}")
    daemon = subprocess.run([sys.executable, "-m", "ncs_cluster.cli.daemon", *flags], capture_output=True, text=True, check=False)
    assert daemon.returncode == 78
    assert daemon.stderr.strip() == f"ncs-clusterd: {refused.value}"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"stiks": 4}, "Cluster: unknown argument stiks; did you mean sticks?"),
        ({"cluster-size": 2}, "Cluster: unknown argument cluster-size; did you mean cluster_size?"),
        ({"backend": "simulated", "graph": None}, "graph: is missing; name a folder"),
        ({"settings": {"simulated": {"heat": False}}}, r"settings\['simulated'\]: is a dict; give text"),
        ({"log": "/no/such/folder/log"}, "log: /no/such/folder/log: No such file or directory"),
    ],
)
def test_an_argument_that_is_none_is_refused_before_anything_starts(given: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        Cluster(**{"graph": "demo", **given})


def test_the_log_of_its_processes_goes_into_a_file(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Cluster(**{**WITHOUT_GRAPH, "settings": {**SIMULATED, "log_level": "info"}}, sticks=1, log=log) as cluster:
        cluster.infer(np.zeros((8, 8, 3), np.uint8))
    assert "sim-1" in log.read_text()
    assert "stopped" in log.read_text()


def test_a_cluster_is_not_sent_to_another_process(cluster: Cluster) -> None:
    with pytest.raises(ForkedCluster, match="cannot be sent to another process"):
        pickle.dumps(cluster)
