"""ncsctl config: settings are judged without a daemon, a line for each fault, and shown with their origins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ncs_cluster import config
from ncs_cluster.cli.config import main
from ncs_cluster.control_messages import Setting
from ncs_cluster.testing.control import control

GOOD = """\
backend = "simulated"
graph = "none"
[cameras.door]
source = "rtsp://admin:geheim@cam/stream"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ncs.toml"
    path.write_text(GOOD)
    return path


def test_a_file_without_a_fault_is_fine(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(file), "--no-web"]) == 0
    assert capfd.readouterr().out == f"{file}: no fault\n"


def test_each_fault_is_a_line_and_the_exit_code_2(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace("backend", "stikcs = 2\nbackend"))
    assert main(["check", "--config", str(file), "--threshold", "7"]) == 2
    assert capfd.readouterr() == (
        f"{file}:1: stikcs: unknown key; did you mean sticks?\n--threshold: must be at most 1, not 7\n",
        "",
    )


def test_a_graph_that_cannot_be_loaded_is_a_fault(file: Path, small_graph_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = file.parent / "small"
    folder.mkdir()
    for each in small_graph_folder.iterdir():
        (folder / each.name).write_bytes(each.read_bytes())
    (folder / "small.bin").write_bytes(b"")
    assert main(["check", "--config", str(file), "--graph", str(folder)]) == 2
    assert capfd.readouterr().out.startswith(f"graph small: {folder}/small.xml: ")


def test_settings_are_shown_with_their_origins_and_without_passwords(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--config", str(file), "--threshold", "0.25"]) == 0
    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert ["threshold", "0.25", "--threshold"] in lines
    assert ["cameras.door.source", '"rtsp://***@cam/stream"', f"{file}:4"] in lines
    assert ["switch_interval", "10.0", "default"] in lines
    assert main(["show", "--json", "--config", str(file), "--threshold", "0.25"]) == 0
    shown = {each["key"]: each for each in json.loads(capfd.readouterr().out)}
    assert shown["graph"] == {"key": "graph", "value": ["none"], "origin": f"{file}:2"}
    expected = config.read(["--config", str(file), "--threshold", "0.25"], {})[1]
    assert [(each.key, each.value) for each in expected] == [(each["key"], each["value"]) for each in shown.values()]


def test_settings_with_a_fault_are_not_shown(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace("graph", "graf"))
    assert main(["show", "--config", str(file)]) == 2
    assert capfd.readouterr() == ("", f"ncsctl: {file}:2: graf: unknown key; did you mean graph?\n")


def test_the_settings_in_effect_are_asked_of_the_daemon(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--live", "--runtime-dir", str(tmp_path)]) == 3
    assert "ncs-clusterd is not running" in capfd.readouterr().err
    with pytest.raises(SystemExit) as wrong:
        main(["show", "--live", "--threshold", "3"])
    assert wrong.value.code == 2
    why = "--threshold: --live shows what the daemon was started with; leave it out; ncsctl config --help says how"
    assert capfd.readouterr().err == f"ncsctl config: {why}\n"
    with control(tmp_path) as daemon:
        daemon.settings = [Setting("threshold", 0.5, "FILE:3"), Setting("size", None, "default")]
        assert main(["show", "--live", "--runtime-dir", str(tmp_path)]) == 0
        assert capfd.readouterr().out == "threshold  0.5  FILE:3\nsize       -    default\n"
        daemon.refusal = "this daemon was started by a program"
        assert main(["show", "--live", "--runtime-dir", str(tmp_path)]) == 1
        assert capfd.readouterr().err == "ncsctl: this daemon was started by a program\n"
