"""What deploy/ holds is what the tools it is for understand."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ncs_cluster.config import load
from tests.conftest import ROOT
from tests.needs import need_program

DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "ncs-clusterd.service").read_text()
PROGRAMS = {"ncs-clusterd": "/opt/ncs-cluster/bin/ncs-clusterd", "ncs-frigate": "/opt/ncs-cluster/bin/python"}
"""What each unit starts."""


def systemd_analyze(*asked: str) -> subprocess.CompletedProcess[str]:
    command = [need_program("systemd-analyze", "systemd"), *asked]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_systemd_has_nothing_to_say_about_the_unit(tmp_path: Path, name: str) -> None:
    """It wants the program to be there, so one that is here stands in for it."""
    unit = tmp_path / f"{name}.service"
    text = (DEPLOY / unit.name).read_text()
    for program in (PROGRAMS[name], "/opt/ncs-cluster/bin/ncsctl"):
        text = text.replace(program, "/usr/bin/true")
    unit.write_text(text)
    done = systemd_analyze("verify", str(unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_would_have_something_to_say_about_a_misspelt_unit(tmp_path: Path) -> None:
    unit = tmp_path / "ncs-clusterd.service"
    unit.write_text(UNIT.replace("/opt/ncs-cluster/bin/ncs-clusterd", "/usr/bin/true").replace("Restart=", "Restrat="))
    done = systemd_analyze("verify", str(unit))
    assert "Restrat" in done.stderr


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_the_unit_is_exposed_to_little(tmp_path: Path, name: str) -> None:
    """`systemd-analyze security` adds up what a service may do, 0 (nothing) to 10 (all); the threshold is in tenths."""
    unit = tmp_path / f"{name}.service"
    unit.write_text((DEPLOY / unit.name).read_text())
    done = systemd_analyze("security", "--no-pager", "--offline=true", "--threshold=18", str(unit))
    assert done.returncode == 0, done.stdout
    print(done.stdout.splitlines()[-1])


def test_the_unit_restarts_the_daemon_unless_a_setting_is_wrong() -> None:
    keys = dict(re.findall(r"^([A-Z]\w+)=(.*)$", UNIT, re.MULTILINE))
    assert keys["Type"] == "notify"
    assert keys["NotifyAccess"] == "main"
    assert keys["RestartPreventExitStatus"] == "78"
    assert (keys["Restart"], keys["StartLimitIntervalSec"]) == ("always", "0")
    # with control-group every child would be told to end behind the daemon's back
    assert keys["KillMode"] == "mixed"
    # with stop, systemd's default, one child killed for its memory would end them all
    assert keys["OOMPolicy"] == "continue"


def test_udev_understands_the_rule() -> None:
    udevadm = need_program("udevadm", "udev")
    usage = subprocess.run([udevadm, "verify", "--help"], capture_output=True, text=True, timeout=60, check=False)
    if usage.returncode != 0:
        pytest.skip("this udevadm has no verify (systemd 254)")
    done = subprocess.run(
        [udevadm, "verify", "--resolve-names=never", str(DEPLOY / "99-ncs-cluster.rules")],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_rule_gives_sticks_to_the_unit_s_group_and_not_to_everybody() -> None:
    (rule,) = [line for line in (DEPLOY / "99-ncs-cluster.rules").read_text().splitlines() if not line.startswith("#")]
    assert 'ATTR{idVendor}=="03e7"' in rule
    assert 'GROUP="ncs"' in rule
    assert 'MODE="0660"' in rule
    assert "\nGroup=ncs\n" in UNIT


def test_the_example_configuration_is_one(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    token.chmod(0o640)
    example = (DEPLOY / "ncs-cluster.toml").read_text()
    asked = load(["--config", str(write(tmp_path, example)), "--token-file", str(token)], {})
    assert [camera.name for camera in asked.cameras] == ["scene"]
    assert asked.gateway is not None
    assert asked.gateway.host == "0.0.0.0"
    everything = re.sub(r"^# (?=[a-z-]+ = |\[)", "", example, flags=re.MULTILINE)
    everything = everything.replace('graph = ["demo"]\n', "", 1).replace("/var/lib/ncs-cluster/", f"{tmp_path}/")
    everything = everything.replace("/opt/graphs/ssd_mobilenet_v1_coco", "demo")
    viewer = tmp_path / "viewer-token"
    viewer.write_text("fedcba9876543210")
    viewer.chmod(0o640)
    flags = ["--backend", "simulated", "--sticks", "4", "--token-file", str(token), "--viewer-token-file", str(viewer)]
    asked = load(["--config", str(write(tmp_path, everything)), *flags], {})
    assert [camera.name for camera in asked.cameras] == ["scene", "door", "desk"]
    assert asked.gateway is not None
    assert asked.gateway.viewer_token == "fedcba9876543210"
    assert asked.pools[0].clusters.cluster_size == 2
    assert [sink.kind for sink in asked.sinks] == ["jsonl"]


def write(folder: Path, text: str) -> Path:
    (folder / "ncs-cluster.toml").write_text(text)
    return folder / "ncs-cluster.toml"
