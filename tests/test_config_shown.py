"""Every key is shown with its value and what has set it; passwords are not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster import config
from ncs_cluster.config.model import Keys
from tests.oneconfig import Write

FILE = """\
backend = "simulated"
graph = "none"
switch-temp = 61.5
policy = "all"

[cameras.door]
source = "rtsp://admin:geheim@cam/stream?pwd=geheim"
weight = 2
options = { read_timeout_s = 3 }

[simulated]
latency-ms = 40

[runtimes.old]
python = "PYTHON"
env = { API = "geheim", "X.Y" = "geheim" }

[discovery.names]
"1.2" = "left"

[fan]
chip = "pwmfan"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ncs.toml"
    Write(path)(FILE.replace("PYTHON", sys.executable))
    return path


def shown(file: Path, *argv: str, **environ: str) -> dict[str, tuple[Any, str]]:
    _, found = config.read(["--config", str(file), "--no-web", *argv], environ)
    assert len({each.key for each in found}) == len(found)
    return {each.key: (each.value, each.origin) for each in found}


@pytest.mark.parametrize(
    ("key", "value", "origin"),
    [
        ("backend", "simulated", "FILE:1"),
        ("graph", ["none"], "FILE:2"),
        ("switch_temp", 61.5, "FILE:3"),
        ("policy.name", "all", "FILE:4"),
        ("cameras.door.source", "rtsp://***@cam/stream?pwd=***", "FILE:7"),
        ("cameras.door.weight", 2, "FILE:8"),
        ("cameras.door.picture", None, "default"),
        ("cameras.door.options.read_timeout_s", 3, "FILE:9"),
        ("simulated.latency_ms", 40, "FILE:12"),
        ("simulated.heat", True, "default"),
        ("runtimes.old.python", sys.executable, "FILE:15"),
        ("runtimes.old.env.API", "***", "FILE:16"),
        ('runtimes.old.env."X.Y"', "***", "FILE:16"),
        ('discovery.names."1.2"', "left", "FILE:19"),
        ("fan.chip", "pwmfan", "FILE:22"),
        ("fan.channel", 1, "default"),
        ("no_web", True, "--no-web"),
        ("sticks", None, "default"),
        ("threshold", 0.25, "--threshold"),
        ("size", "320x240", "NCS_CLUSTER_SIZE"),
        ("simulated.jitter_ms", 7, "--set simulated.jitter_ms"),
        ("source", ["back=rtsp://***@x/***"], "--source"),
        ("state_dir", "/state", "default"),
    ],
)
def test_each_value_has_its_origin_and_no_password(file: Path, key: str, value: Any, origin: str) -> None:
    flags = ["--threshold", "0.25", "--set", "simulated.jitter_ms=7", "--source", "back=rtsp://user:geheim@x/geheim"]
    found = shown(file, *flags, NCS_CLUSTER_SIZE="320x240", STATE_DIRECTORY="/state")
    assert found[key] == (value, origin.replace("FILE", str(file)))
    assert "geheim" not in str(found)


def test_every_key_that_is_a_flag_is_there_and_every_other_one_is_below_a_table(file: Path) -> None:
    found = shown(file)
    keys = {key for key in found if "." not in key}
    assert keys == set(Keys.model_fields) - {"policy"}


def test_a_higher_layer_takes_over_the_origin(file: Path) -> None:
    assert shown(file, NCS_CLUSTER_SWITCH_TEMP="50")["switch_temp"] == (50.0, "NCS_CLUSTER_SWITCH_TEMP")
    assert shown(file, "--switch-temp", "40", NCS_CLUSTER_SWITCH_TEMP="50")["switch_temp"] == (40.0, "--switch-temp")


@pytest.mark.parametrize(
    ("key", "secret"),
    [("password", True), ("api_key", True), ("token", True), ("password_file", False), ("token_file", False), ("keys", False)],
)
def test_options_that_are_called_as_passwords_are_not_shown(key: str, secret: bool) -> None:
    from ncs_cluster.config.shown import _public

    assert (_public(("sinks", "x", key), "geheim") == "***") == secret
    assert (_public(("sinks", "x", key), 1234) == "***") == secret
