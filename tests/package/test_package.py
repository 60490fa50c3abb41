"""The package on a machine made from nothing, without a network: `make test-package`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.deploy.container import need_container
from tests.needs import need_program
from tests.package import machine
from tests.package.repacked import repacked

pytestmark = pytest.mark.package

FOLDER = ROOT / "build/deb"
SUITES = {"bookworm": "12", "trixie": "13"}
CHOSEN = os.environ.get("NCS_CLUSTER_PACKAGE_SUITES", " ".join(SUITES)).split()


def earlier(package: Path) -> Path:
    """The package that is upgraded: that of the folder NCS_CLUSTER_PACKAGE_BEFORE, else the same one."""
    before = os.environ.get("NCS_CLUSTER_PACKAGE_BEFORE")
    return package if before is None else Path(before) / package.name


@pytest.fixture(scope="module", params=[suite for suite in SUITES if suite in CHOSEN])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened on the machine."""
    need_container()
    need_program("mmdebstrap", "mmdebstrap")
    suite = request.param
    built = sorted(FOLDER.glob(f"ncs-cluster_*~deb{SUITES[suite]}_amd64.deb"), key=lambda path: path.stat().st_mtime)
    if not built:
        pytest.skip(f"no package for {suite} in build/deb: make deb")
    folder = tmp_path_factory.mktemp(suite)
    (folder / "out").mkdir()
    (folder / "rig").mkdir()
    version = built[-1].name.split("_")[1]
    shutil.copy(earlier(built[-1]), folder / "rig/first.deb")
    repacked(built[-1], version.replace("~deb", "+next~deb"), folder / "rig").rename(folder / "rig/second.deb")
    shutil.copy(Path(__file__).with_name("inside.py"), folder / "rig")
    machine.make(suite, ROOT / "build/package-roots", folder / "root")
    command = "python3 /rig/inside.py /rig/first.deb /rig/second.deb /out/story.json"
    try:
        said = machine.boot(folder / "root", folder, command, [f"--bind-ro={folder / 'rig'}:/rig"])
    finally:
        shutil.rmtree(folder / "root", ignore_errors=True)
    log = folder / "out/log"
    story = folder / "out/story.json"
    assert story.exists(), f"{said[-2000:]}\n{log.read_text()[-4000:] if log.exists() else 'no log'}"
    found: dict[str, Any] = json.loads(story.read_text())
    shutil.copy(story, FOLDER / f"story-{suite}.json")
    return {**found, "version before": version}


def test_it_installs_without_a_network_and_is_ready_by_itself(told: dict[str, Any]) -> None:
    assert told["install"][0] == 0, told["install"][1]
    assert told["installed"] == "active enabled loaded"
    assert told["ready"] == "200"
    assert told["user"] == "ncs"


def test_configuration_and_token_are_closed_to_others(told: dict[str, Any]) -> None:
    assert told["owners"] == {
        "/etc/ncs-cluster": "root:ncs 750",
        "/etc/ncs-cluster/ncs-cluster.toml": "root:ncs 640",
        "/etc/ncs-cluster/token": "root:ncs 640",
        "/var/lib/ncs-cluster": "ncs:ncs 750",
    }
    assert told["url"][0] == 0
    assert told["own token"] in told["url"][1]


def test_every_file_is_dpkgs_and_every_module_is_compiled(told: dict[str, Any]) -> None:
    assert told["verify"] == [0, ""]
    assert told["uncompiled"] == []


def test_manual_pages_and_completions_are_found(told: dict[str, Any]) -> None:
    assert {name: code for name, (code, _) in told["man"].items()} == {"ncsctl": 0, "ncs-clusterd": 0}
    assert told["completion"] == [0, ""]


def test_a_changed_configuration_counts(told: dict[str, Any]) -> None:
    assert told["ready when simulated"] == "200"
    sticks = json.loads(told["status"][1])["sticks"]
    assert [stick["backend"] for stick in sticks] == ["simulated"] * 3


def test_an_upgrade_keeps_configuration_token_and_state_and_starts_the_daemon_anew(told: dict[str, Any]) -> None:
    assert told["upgrade"][0] == 0, told["upgrade"][1]
    assert told["version"] == [0, told["version before"].replace("~deb", "+next~deb")]
    assert told["kept by the upgrade"] == [True, True, True]
    assert told["owner after the upgrade"] == "root:ncs 640"
    assert told["ready after the upgrade"] == "200"
    assert told["pid after the upgrade"] != told["pid"]


def test_an_upgrade_keeps_the_history_row_by_row(told: dict[str, Any]) -> None:
    before, after = told["history"], told["history after the upgrade"]
    assert {kind for kind, *_ in before["minutes"]} >= {"temperature", "camera"}
    assert before["events"]
    for table, rows in before.items():
        assert [row for row in after[table] if row in rows] == rows
    assert len(after["events"]) > len(before["events"])
    code, shown = told["history shown after the upgrade"]
    assert code == 0, shown
    document = json.loads(shown)
    names = {(each["kind"], each["name"]) for each in document["series"]}
    assert names >= {("temperature", name) for kind, name, *_ in before["minutes"] if kind == "temperature"}
    assert document["events"][: len(before["events"])] == [
        {"id": id, "at": at, "level": level, "who": who, "text": text, "name": name}
        for id, at, level, who, name, text in before["events"]
    ]


def test_a_disabled_service_stays_so(told: dict[str, Any]) -> None:
    assert told["reinstall while disabled"][0] == 0, told["reinstall while disabled"][1]
    assert told["disabled"] == "disabled inactive loaded"
    assert told["still disabled"] == "disabled inactive loaded"


def test_remove_keeps_configuration_and_state_and_nothing_else(told: dict[str, Any]) -> None:
    assert told["remove"][0] == 0, told["remove"][1]
    kept = ("/etc/ncs-cluster", "/var/lib/ncs-cluster", "/var/lib/systemd/deb-systemd-helper-enabled")
    assert [path for path in told["left by remove"] if not path.startswith(kept)] == []
    assert told["kept by remove"] == [True, True]


def test_purge_leaves_nothing(told: dict[str, Any]) -> None:
    assert told["purge"][0] == 0, told["purge"][1]
    assert told["left by purge"] == []
    assert told["taken by purge"] == []
    assert told["users left"] == [2, 2]
