"""Settings: which layer wins, what they mean together, and what is said when they are wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ncs_cluster.config import load
from tests.oneconfig import Write, simulated


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return Write(tmp_path / "ncs.toml")


# -- layers


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(write: Write) -> None:
    file = write("switch-temp = 61\nswitch_interval = 31\ncluster-size = 1\n")
    environ = {"NCS_CLUSTER_SWITCH_TEMP": "62", "NCS_CLUSTER_SWITCH_INTERVAL": "32"}
    turns = simulated(*file, "--switch-temp", "63", **environ).pools[0].clusters
    assert (turns.switch_temp_c, turns.switch_interval_s, turns.cluster_size) == (63, 32, 1)
    assert simulated().pools[0].clusters.switch_temp_c == 65


def test_every_flag_is_a_key_of_the_file_and_a_variable(write: Write, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    token.chmod(0o600)
    viewers = tmp_path / "viewers"
    viewers.write_text("fedcba9876543210\n")
    viewers.chmod(0o600)
    keys: dict[str, str] = {
        "source": '["door=synthetic"]',
        "size": '"320x240"',
        "fps": "15",
        "every_frame": "false",
        "loop": "false",
        "graph": '["demo"]',
        "threshold": "0.5",
        "backend": '"simulated"',
        "sticks": "6",
        "cluster_size": "2",
        "switch_interval": "20",
        "switch_temp": "60",
        "policy": '"ring"',
        "fallback": '"openvino"',
        "picture": '"exact"',
        "background": '"remove"',
        "window": "true",
        "results": f'"{tmp_path}/out.jsonl"',
        "listen": '"0.0.0.0:9000"',
        "token_file": f'"{token}"',
        "viewer_token_file": f'"{viewers}"',
        "allowed_host": '["pi.local"]',
        "api": '["deepstack"]',
        "api_listen": '"127.0.0.1:32168"',
        "api_grpc": '"127.0.0.1:8001"',
        "api_client": '["192.168.1.0/24"]',
        "api_weight": "2.5",
        "no_web": "false",
        "frigate": '"tcp://127.0.0.1:5555"',
        "mqtt": '"127.0.0.1:1883"',
        "nats": '"nats://127.0.0.1:4222"',
        "overflow": '"both"',
        "runtime_dir": f'"{tmp_path}/run"',
        "state_dir": f'"{tmp_path}/state"',
        "history_days": "7",
        "log_level": '"debug"',
    }
    from ncs_cluster.config.model import Keys

    assert set(keys) == set(Keys.model_fields)
    file = write("".join(f"{name} = {value}\n" for name, value in keys.items()))
    by_file = load(file, {})
    by_environment = load([], {f"NCS_CLUSTER_{name.upper()}": value for name, value in keys.items()})
    flags: list[str] = []
    for name, value in keys.items():
        if value != "false":
            flags += [f"--{name.replace('_', '-')}"] + ([] if value == "true" else [value.strip('["]')])
    by_flags = load(flags, {})
    assert by_file == by_environment == by_flags
    assert by_file.cameras[0].name == "door"
    assert by_file.gateway is not None
    assert by_file.gateway.token == "0123456789abcdef"


def test_set_reaches_any_key_and_a_value_that_is_no_toml_is_text() -> None:
    asked = simulated("--set", "simulated.latency_ms=33", "--set", "simulated.faults=hang@5", "--set", 'cameras."a.b".source=usb:1')
    assert asked.sticks[0].options == {"latency_ms": 33.0, "faults": ["hang@5"]}
    assert [(camera.name, camera.options) for camera in asked.cameras] == [("a.b", {"device": "1"})]
    assert simulated("--set", "results=7", "--set", "no-web=true").sinks


def test_tables_are_reached_from_the_environment_too() -> None:
    asked = simulated(NCS_CLUSTER_SIMULATED__TIME_SCALE="20", NCS_CLUSTER_CAMERAS__DOOR__SOURCE="usb:2")
    assert asked.pools[0].clusters.time_scale == 20
    assert asked.cameras[0].name == "door"


def test_an_empty_variable_and_those_of_the_test_suite_say_nothing() -> None:
    assert simulated(NCS_CLUSTER_TOKEN_FILE="", NCS_CLUSTER_CI="1", NCS_CLUSTER_TEST_DATA="/x") == simulated()


def test_the_file_may_be_named_by_the_environment_and_paths_in_it_are_relative_to_it(write: Write, tmp_path: Path) -> None:
    write('results = "out.jsonl"\n')
    sinks = simulated(NCS_CLUSTER_CONFIG=str(tmp_path / "ncs.toml")).sinks
    assert [(sink.kind, sink.options) for sink in sinks] == [("jsonl", {"path": str(tmp_path / "out.jsonl")})]


def test_settings_with_a_graph_are_read_without_numpy_and_without_what_fetches_models() -> None:
    """Every start of a daemon, a job or a Cluster reads them."""
    heavy = "{'numpy', 'cv2', 'openvino', 'http.client', 'ssl'} & set(sys.modules)"
    argv = ["--backend", "simulated", "--graph", "demo"]
    code = f"import sys; from ncs_cluster.config import load; load({argv}, {{}}); print({heavy})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"
