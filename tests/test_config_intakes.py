"""--frigate and [frigate]: each wrong value is one line that names the key and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncs_cluster.config import load
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import IntakeSpec, Settings
from tests.needs import need_module

need_module("zmq")


def settings(*words: str, config: str = "", folder: Path | None = None) -> Settings:
    argv = ["--backend", "simulated", "--runtime-dir", "/run/x", *words]
    if folder is not None:
        (folder / "a.toml").write_text(config)
        argv += ["--config", str(folder / "a.toml")]
    return load(argv, {})


def test_the_flag_alone_serves_frigate_and_needs_no_camera() -> None:
    given = settings("--frigate", "tcp://127.0.0.1:5555")
    options = {
        "endpoint": "tcp://127.0.0.1:5555",
        "deadline_ms": 180,
        "colours": "RGB",
        "graph": None,
        "labelmap": None,
        "socket": "/run/x/frigate.sock",
        "keep_s": 60.0,
    }
    assert given.intakes == [IntakeSpec("frigate", options, "tcp://127.0.0.1:5555")]
    assert given.cameras == []
    assert given.notices == []
    assert [camera.source for camera in settings("--frigate", "tcp://127.0.0.1:1", "--source", "synthetic").cameras] == [
        "synthetic"
    ]
    assert settings().intakes == []


def test_the_table_gives_the_options_and_the_flag_the_endpoint(tmp_path: Path) -> None:
    """Frigate's labelmap has an id and two spaces before each name, or names alone."""
    (tmp_path / "labelmap.txt").write_text("0  person\n1  face\n")
    table = '[frigate]\nendpoint = "ipc:///run/a"\ncolours = "bgr"\nweight = 0.5\ngraph = "demo"\nlabelmap = "labelmap.txt"\n'
    (made,) = settings("--frigate", "tcp://127.0.0.1:5555", config=table, folder=tmp_path).intakes
    told = [made.options[name] for name in ("endpoint", "colours", "graph", "labelmap")]
    assert told == ["tcp://127.0.0.1:5555", "BGR", "demo", {0: "person", 1: "face"}]
    assert made.weight == 0.5
    assert settings(config=table, folder=tmp_path).intakes[0].shown == "ipc:///run/a"
    short = settings(config='frigate = "tcp://127.0.0.1:5555"\n', folder=tmp_path)
    assert short.intakes[0].shown == "tcp://127.0.0.1:5555"


def test_an_endpoint_that_other_machines_reach_is_told() -> None:
    (notice,) = settings("--frigate", "tcp://*:5555").notices
    assert "can be used from other machines: its protocol knows no password" in notice


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--frigate", "5555"], '--frigate: "5555": must be tcp://HOST:PORT or ipc:///PATH'),
        (["--frigate", "tcp://127.0.0.1:0"], '--frigate: "tcp://127.0.0.1:0": must be tcp://'),
        (["--frigate", "ipc://x"], '--frigate: "ipc://x": an ipc:// endpoint is an absolute path'),
        (["--frigate", "ipc:///" + "x" * 200], "is too long for a socket, 107 bytes"),
        (["--set", "frigate.graph=demo"], "--set frigate.graph: endpoint is missing"),
        (
            ["--frigate", "tcp://[::1]:1", "--set", "frigate.graph=x"],
            "--set frigate.graph: x is no graph of the daemon, which has demo",
        ),
        (["--frigate", "tcp://[::1]:1", "--set", "frigate.colours=yuv"], "--set frigate.colours"),
        (["--frigate", "tcp://[::1]:1", "--set", "frigate.labelmap=/gone"], "--set frigate.labelmap: /gone: cannot be read"),
        (["--frigate", "tcp://[::1]:1", "--graph", "none"], "there is no graph to answer with"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_a_remedy(words: list[str], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(*words)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_pyzmq_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pyzmq is not installed; pip install 'ncs-cluster\[frigate\]'"):
        settings("--frigate", "tcp://127.0.0.1:5555")
