"""Settings part by part: a fault of one part does not hide the others, and nothing of this machine is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncs_cluster.config import load
from ncs_cluster.config.parts import parts
from tests.oneconfig import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return Write(tmp_path / "ncs.toml")


def test_settings_without_a_fault_are_those_that_load_reads(write: Write) -> None:
    argv = write(
        """backend = "simulated"
graph = ["demo"]
cluster-size = 2
[cameras.door]
source = "rtsp://u:p@192.168.1.20/live"
[mqtt]
broker = "192.168.1.5"
[fallback]
backend = "openvino"
standby = false
[ambient]
file = "air"
"""
    )
    found, whole = parts(argv, {}), load(argv, {})
    assert (found.refused, found.wanted, found.file) == ({}, ["simulated"], str(write.path))
    assert found.settings == whole
    assert (whole.fallback is not None, whole.ambient is not None) == (True, True)


def test_each_part_that_is_refused_has_its_line_and_is_empty(write: Write) -> None:
    argv = write(
        """backend = "simulated"
graph = ["nowhere"]
cluster-size = 3
listen = "0.0.0.0:8080"
[cameras.door]
source = "nothing.xyz"
[mqtt]
broker = "a/b"
"""
    )
    found = parts(argv, {})
    where = f"{write.path}: "
    assert {part: line.removeprefix(where).partition(":")[0] for part, line in found.refused.items()} == {
        "cameras": "cameras.door.source",
        "listen": "listen",
        "graphs": "graph",
        "sticks": "cluster_size",
        "mqtt": "mqtt.broker",
    }
    settings = found.settings
    assert (settings.pools, settings.cameras, settings.gateway, settings.graphs, settings.sinks) == ([], [], None, [], [])
    assert settings.state_dir.endswith("ncs-cluster")


def test_a_wrong_key_is_left_out_and_the_rest_is_judged(write: Write) -> None:
    argv = write('backend = "simulated"\nstiks = 4\nswitch-temp = "hot"\ngraph = ["none"]\ncameras.door.source = "nothing.xyz"\n')
    found = parts(argv, {})
    where = f"{write.path}: "
    assert {part: line.removeprefix(where).partition(":")[0] for part, line in found.refused.items()} == {
        "key 1": "switch_temp",
        "key 2": "stiks",
        "cameras": "cameras.door.source",
    }
    assert [pool.name for pool in found.settings.pools] == ["simulated"]


def test_a_file_that_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    found = parts(["--config", str(tmp_path / "none.toml")], {})
    assert list(found.refused) == ["settings"]
    assert found.refused["settings"].startswith(f"{tmp_path}/none.toml: cannot be read: No such file")
    assert (found.wanted, found.settings.pools) == ([], [])


def test_neither_firmware_nor_an_interpreter_is_asked_for(write: Write, tmp_path: Path) -> None:
    argv = write('backend = "xlink"\ngraph = ["demo"]\n[runtimes.old]\npython = "/nowhere/python"\n')
    found = parts([*argv, "--state-dir", str(tmp_path)], {})
    assert (found.refused, found.wanted) == ({}, ["xlink"])
    assert found.settings.runtimes["old"].python == "/nowhere/python"
    assert [each.backend for each in found.settings.discoveries] == ["xlink"]
