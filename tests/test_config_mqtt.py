"""`--mqtt` and `[mqtt]`: what becomes of them, and what is refused."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.config import load
from ncs_cluster.config.flags import parser
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import SinkSpec
from tests.needs import need_program

BASE = ("--backend", "simulated", "--graph", "demo")


def sinks(*flags: str, environ: dict[str, str] | None = None, **more: Any) -> list[SinkSpec]:
    return load([*BASE, *flags], environ or {}, **more).sinks


def options(*flags: str, environ: dict[str, str] | None = None) -> dict[str, Any]:
    (found,) = sinks(*flags, environ=environ)
    assert (found.kind, found.name) == ("mqtt", "mqtt")
    return found.options


def refusal(*flags: str) -> str:
    with pytest.raises(ConfigError, match=r"^[^\n]+$") as refused:
        sinks(*flags)
    return str(refused.value)


def test_a_broker_is_told_of_the_whole_daemon_without_any_more_settings() -> None:
    labels = ["ball", "cube", "cone", "star", "ring", "bottle"]
    assert options("--mqtt", "broker", "--runtime-dir", "/tmp/here") == {
        "host": "broker",
        "port": 1883,
        "node": socket.gethostname().partition(".")[0],
        "user": None,
        "password": None,
        "tls": False,
        "ca_file": None,
        "page": "http://127.0.0.1:8080/",
        "labels": {"cam0": labels},
        "runtime_dir": "/tmp/here",
        "prefix": "ncs_cluster",
        "discovery_prefix": "homeassistant",
        "commands": False,
        "image": False,
        "image_interval_s": 10.0,
        "interval_s": 1.0,
        "hold_s": 10.0,
    }


def test_without_a_broker_there_is_no_sink() -> None:
    assert sinks() == []


def test_a_job_tells_no_broker() -> None:
    assert sinks("--mqtt", "broker", job=True) == []


def test_results_keep_their_names_beside_a_broker(tmp_path: Path) -> None:
    found = sinks("--results", str(tmp_path / "a"), "--results", str(tmp_path / "b"), "--mqtt", "broker")
    assert [(each.kind, each.name) for each in found] == [("jsonl", ""), ("jsonl", "2"), ("mqtt", "mqtt")]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("broker", "broker", 1883),
        ("broker:1884", "broker", 1884),
        ("192.168.1.5", "192.168.1.5", 1883),
        ("[fd00::5]:1884", "fd00::5", 1884),
        ("[fd00::5]", "fd00::5", 1883),
        ("fd00::5", "fd00::5", 1883),
    ],
)
def test_an_address_is_a_host_with_or_without_a_port(text: str, host: str, port: int) -> None:
    found = options("--mqtt", text)
    assert (found["host"], found["port"]) == (host, port)


def test_flag_variable_and_file_name_the_same_broker_and_the_flag_wins(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('mqtt = "of-the-file"\n')
    assert options("--config", str(file))["host"] == "of-the-file"
    assert options("--config", str(file), environ={"NCS_CLUSTER_MQTT": "of-the-variable"})["host"] == "of-the-variable"
    file.write_text('[mqtt]\nbroker = "of-the-file"\nnode = "attic"\n')
    found = options("--config", str(file), "--mqtt", "of-the-flag")
    assert (found["host"], found["node"]) == ("of-the-flag", "attic")


def test_a_password_is_read_from_its_file_and_shown_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary 4711\n")
    secret.chmod(0o600)
    flags = ("--mqtt", "broker", "--set", "mqtt.user=pi", "--set", f"mqtt.password_file={secret}")
    (spec,) = sinks(*flags)
    assert spec.options["password"] == "canary 4711"
    assert "canary" not in repr(spec) + spec.shown + parser().format_help()
    secret.chmod(0o644)
    assert refusal(*flags) == f"--set mqtt.password_file: {secret} can be read by everybody; chmod o-rwx {secret}"
    secret.chmod(0o600)
    secret.write_text("canary\n4711")
    assert refusal(*flags) == f"--set mqtt.password_file: {secret}: must hold the password alone, on one line"


def test_tls_has_a_port_and_an_authority_of_its_own(tmp_path: Path) -> None:
    assert options("--mqtt", "broker", "--set", "mqtt.tls=true")["port"] == 8883
    need_program("openssl", "openssl")
    nothing = tmp_path / "ca.pem"
    assert "cannot be read: No such file" in refusal("--mqtt", "b", "--set", "mqtt.tls=true", "--set", f"mqtt.ca_file={nothing}")
    nothing.write_text("nothing")
    assert "holds no certificate" in refusal("--mqtt", "b", "--set", "mqtt.tls=true", "--set", f"mqtt.ca_file={nothing}")


def test_labels_are_those_that_are_named_for_every_camera() -> None:
    found = options(
        "--mqtt", "b", "--source", "door=synthetic", "--source", "yard=synthetic", "--set", 'mqtt.labels=["cat", "cat"]'
    )
    assert found["labels"] == {"door": ["cat"], "yard": ["cat"]}


def test_home_assistant_gets_the_address_by_which_others_reach_the_page(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    token.chmod(0o600)
    listening = ("--mqtt", "b", "--listen", "0.0.0.0:8090", "--token-file", str(token))
    assert options(*listening)["page"] == f"http://{socket.gethostname()}:8090/"
    assert options("--mqtt", "b", "--no-web")["page"] is None
    assert options("--mqtt", "b", "--set", "mqtt.page=https://sticks.example/")["page"] == "https://sticks.example/"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--set", "mqtt.user=pi"), "--set mqtt.broker: is missing; give the broker's address"),
        (("--mqtt", ""), "--mqtt: "),
        (("--mqtt", "b:0"), "--mqtt: must be HOST[:PORT]"),
        (("--mqtt", "b:x"), "--mqtt: must be HOST[:PORT]"),
        (("--mqtt", "mqtt://b"), "--mqtt: must be HOST[:PORT]"),
        (("--mqtt", "pi:secret@b"), "--mqtt: must be HOST[:PORT]"),
        (("--mqtt", "b", "--set", "mqtt.prefix=a/#"), "--set mqtt.prefix: 'a/#' cannot begin a topic"),
        (("--mqtt", "b", "--set", "mqtt.discovery_prefix=/"), "--set mqtt.discovery_prefix: '/' cannot begin a topic"),
        (("--mqtt", "b", "--set", "mqtt.node=a b"), "--set mqtt.node: 'a b' may hold"),
        (("--mqtt", "b", "--set", "mqtt.ca_file=x"), "--set mqtt.ca_file: is for TLS"),
        (("--mqtt", "b", "--set", "mqtt.password_file=x"), "--set mqtt.password_file: a password needs a user"),
        (("--mqtt", "b", "--no-web", "--set", "mqtt.image=true"), "--set mqtt.image: pictures come from the page"),
        (("--mqtt", "b", "--set", "mqtt.page=sticks"), "--set mqtt.page: "),
        (("--mqtt", "b", "--set", "mqtt.hold_s=-1"), "--set mqtt.hold_s: "),
        (("--mqtt", "b", "--set", "mqtt.password=x"), "--set mqtt.password: "),
        (("--results", "mqtt:b"), "--results: a broker is given by --mqtt HOST[:PORT], not by --results"),
        (("--set", "sinks.mqtt.host=b"), '--set sinks.mqtt.host: there is no sink "mqtt"'),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(flags: tuple[str, ...], said: str) -> None:
    assert refusal(*flags).startswith(said)


def test_settings_without_a_broker_load_nothing_of_the_connection() -> None:
    script = f"import sys; from ncs_cluster.config import load; load({list(BASE)!r}, {{}}); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "ncs_cluster.config.mqtt" in loaded
    assert not [name for name in loaded if name.startswith(("paho", "ncs_cluster.sinks.mqtt", "ncs_cluster.sinks._mqtt"))]
