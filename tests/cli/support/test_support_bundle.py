"""A support bundle holds the facts for a bug report, and no secret: every place that may hold a secret has a canary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from msgspec.structs import replace

from ncs_cluster.cli.support import collect, machine
from ncs_cluster.cli.support.collect import Bundle
from ncs_cluster.testing.control import control, some_camera

CANARIES = [
    *("canary-url-password", "canary-url-query", "canary-path-secret", "canary-token-0123456789", "canary-viewer-0123456789"),
    *("canary-mqtt-file", "canary-option", "canary-comment", "canary-set", "canary-flag", "canary-serial", "canary-bearer"),
    "canary-webhook",
]
CONFIG = """
# the old password was canary-comment
source = ["door=rtsp://admin:canary-url-password@10.0.0.7:554/live/canary-path-secret", "yard=http://cam/img.jpg?x=canary-url-query"]
token-file = "token"
viewer-token-file = "{folder}/viewer"
[mqtt]
broker = "nas"
user = "ncs"
password-file = "mqtt"
[sinks.mine]
api_key = "canary-option"
dsn = "Server=nas;Pwd=canary-option;"
[notify]
webhook = "https://hooks.example/services/canary-webhook"
"""


@pytest.fixture(autouse=True)
def no_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at this machine for seconds; the command's own test runs it."""
    monkeypatch.setattr(Bundle, "_doctor", lambda _: '{"findings": []}')


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file system with /proc and /sys of a machine that has a stick."""
    root = tmp_path / "root"
    device = root / "sys/bus/usb/devices/1-1.2"
    device.mkdir(parents=True)
    for name, value in (("idVendor", "03e7"), ("idProduct", "f63b"), ("speed", "5000"), ("serial", "canary-serial")):
        (device / name).write_text(f"{value}\n")
    (root / "sys/bus/usb/devices/1-1.2:1.0").mkdir()
    proc = root / "proc" / str(os.getpid())
    proc.mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text('NAME=x\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    (root / "proc/meminfo").write_text("MemTotal:  3800 kB\nMemFree: 1 kB\nMemAvailable:  700 kB\n")
    config = root / "etc/given.toml"
    config.write_text(CONFIG.format(folder=root / "etc"))
    for name, text in (("token", "canary-token-0123456789"), ("viewer", "canary-viewer-0123456789"), ("mqtt", "canary-mqtt-file")):
        (root / "etc" / name).write_text(text + "\n")
        (root / "etc" / name).chmod(0o600)
    words = ["ncs-clusterd", "--config", str(config), "--set", "mqtt.password=canary-set", "--source", "rtsp://u:canary-flag@cam/"]
    (proc / "cmdline").write_bytes("\0".join([*words, ""]).encode())
    return root


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journalctl that prints what a careless program has logged."""
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    unlearned = ("canary-comment", "canary-serial", "canary-bearer")
    lines = [f"door: cannot open, password {canary}" for canary in CANARIES if canary not in unlearned]
    lines += ["Authorization: Bearer canary-bearer", "sim-1: is ready"]
    program.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(lines) + "\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_a_bundle_holds_status_settings_and_log_and_no_secret(root: Path, journal: None, tmp_path: Path) -> None:
    with control(tmp_path) as daemon:
        daemon.page = "http://127.0.0.1:8080/?token=canary-token-0123456789"
        detail = "rtsp://admin:canary-url-password@10.0.0.7 says 401, mqtt says canary-mqtt-file"
        camera = replace(some_camera("door"), detail=detail)
        daemon.status = replace(daemon.status, cameras=[camera])
        daemon.per_reply = 2
        for number in range(5):
            daemon.add_event(f"event {number}: canary-flag and canary-set are refused")
        files = Bundle(str(tmp_path), None, root).finished()
    whole = "\n".join(files.values())
    assert [line for line in whole.splitlines() if "canary" in line] == []
    settings = json.loads(files["settings.json"])["settings"]
    assert settings["source"] == ["door=rtsp://***@10.0.0.7:554/live/***", "yard=http://cam/img.jpg?x=***"]
    assert (settings["mqtt"]["broker"], settings["sinks"]["mine"]["api_key"]) == ("nas", "***")
    assert json.loads(files["status.json"])["cameras"][0]["name"] == "door"
    assert [json.loads(line)["text"].partition(":")[0] for line in files["events.jsonl"].splitlines()] == [
        f"event {number}" for number in range(5)
    ]
    assert json.loads(files["usb.json"]) == [{"port": "1-1.2", "idVendor": "03e7", "idProduct": "f63b", "speed": "5000"}]
    about = json.loads(files["machine.json"])
    assert (about["system"], about["memory"]) == ("Debian GNU/Linux 12 (bookworm)", ["MemTotal:  3800 kB", "MemAvailable:  700 kB"])
    assert json.loads(files["command-line.json"])[:2] == ["ncs-clusterd", "--config"]
    assert "sim-1: is ready" in files["log.txt"]


def test_without_a_daemon_it_collects_the_rest(root: Path, journal: None, tmp_path: Path) -> None:
    (root / "etc/given.toml").write_text('token = "canary-option\nbroken')
    files = Bundle(str(tmp_path), root / "etc/given.toml", root).finished()
    assert files["status.json"].startswith("cannot be collected: ncs-clusterd is not running")
    assert files["settings.json"].endswith("is no TOML file and is left out\n")
    assert "sim-1: is ready" in files["log.txt"]
    assert json.loads(files["usb.json"])


def test_every_file_is_bounded_and_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "_run", lambda *_: "a line\n" * (1 << 20) + "the end")
    monkeypatch.setattr(machine, "usb", lambda _: [{"port": "y" * (1 << 20)}])
    files = Bundle(str(tmp_path), None, tmp_path).finished()
    assert max(map(len, files.values())) < 300_000
    assert files["log.txt"].endswith("the end")


def test_a_program_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        collect._run([sys.executable, "-c", "import time; time.sleep(60)"], 0.5)


def test_the_command_writes_a_tar_that_only_its_owner_reads_and_lists_what_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"

    def ncsctl(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "ncs_cluster.cli.ncsctl",
            "--runtime-dir",
            str(tmp_path),
            "support-bundle",
            str(file),
            *argv,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    with control(tmp_path):
        done = ncsctl()
        assert (done.returncode, done.stderr) == (0, "")
        assert file.stat().st_mode & 0o777 == 0o600
        with tarfile.open(file) as tar:
            names = [entry.name for entry in tar.getmembers()]
            assert all(entry.isreg() and entry.mode == 0o600 for entry in tar.getmembers())
            status = tar.extractfile(next(name for name in names if name.endswith("/status.json")))
            assert status is not None
            assert json.load(status)["daemon"]["version"] == "0.1.0"
            doctor = tar.extractfile(next(name for name in names if name.endswith("/doctor.json")))
            assert doctor is not None
            assert json.load(doctor)["findings"]
        assert len({name.partition("/")[0] for name in names}) == 1
        assert all(name.partition("/")[2] in done.stdout for name in names)
        again = ncsctl()
        assert (again.returncode, again.stderr) == (1, f"ncsctl: '{file}' is there already: choose another name, or --force\n")
        assert ncsctl("--force").returncode == 0


@pytest.mark.parametrize("place", collect.CONFIGS)
def test_without_a_daemon_the_settings_are_those_of_the_service(place: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert Bundle(str(tmp_path), None, root).finished()["settings.json"].startswith("no settings file: neither --config nor /etc")
    (root / place).parent.mkdir(parents=True)
    (root / place).write_text("sticks = 3")
    document = json.loads(Bundle(str(tmp_path), None, root).finished()["settings.json"])
    assert document == {"file": str(root / place), "settings": {"sticks": 3}}
