"""The unit under a real systemd, booted in a container (systemd-nspawn) over this machine's own files, which it cannot change."""

from __future__ import annotations

import json
import re
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

import ncs_cluster
from tests.deploy.container import booted, need_container
from tests.needs import need_program

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
backend = "simulated"
graph = "none"
sticks = 4
cluster_size = 2
size = "160x120"
fps = 5
listen = "0.0.0.0:8080"
token_file = "/etc/ncs-cluster/token"
"""
# faster than the unit, so that the test is short; the interpreter lies elsewhere than where it was built
DROP_IN = "[Service]\nWatchdogSec=3\nTimeoutAbortSec=1\nRestartSec=1\nEnvironment=LD_LIBRARY_PATH=/rig/python/lib\n"
# as docs/install.md, but for pip: packages are those the tests run with
INSTALL = """
/rig/python/bin/{python} -m venv --without-pip /opt/ncs-cluster
printf '/rig/source\\n/rig/packages\\n' > /opt/ncs-cluster/lib/{python}/site-packages/rig.pth
for each in ncs-clusterd:daemon ncsctl:ncsctl; do
    to=/opt/ncs-cluster/bin/${{each%:*}}
    printf '#!/opt/ncs-cluster/bin/python\\nfrom ncs_cluster.cli.%s import main\\nmain()\\n' ${{each#*:}} > $to
    chmod +x $to
done
export LD_LIBRARY_PATH=/rig/python/lib
/opt/ncs-cluster/bin/ncsctl service install --no-start
cat /rig/ncs-cluster.toml > /etc/ncs-cluster/ncs-cluster.toml
install -D /rig/drop-in.conf /etc/systemd/system/ncs-clusterd.service.d/rig.conf
systemctl daemon-reload
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened inside."""
    need_container()
    # the container is this machine's own files: what README's block for a Pi uses must be here
    for program, package in (("systemctl", "systemd"), ("udevadm", "udev"), ("systemd-sysusers", "systemd")):
        need_program(program, package)
    folder = tmp_path_factory.mktemp("systemd")
    for name in ("out", "rig"):
        (folder / name).mkdir()
    python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    rig = folder / "rig"
    for name in ("python", "source", "packages"):
        (rig / name).mkdir()
    (rig / "ncs-cluster.toml").write_text(CONFIG)
    (rig / "drop-in.conf").write_text(DROP_IN)
    (rig / "install.sh").write_text(INSTALL.format(python=python))
    shutil.copy(Path(__file__).with_name("inside.py"), rig)
    binds = [
        *(f"--bind={folder / 'out'}:/out", f"--bind-ro={rig}:/rig", f"--bind-ro={sys.base_prefix}:/rig/python"),
        *(f"--bind-ro={ROOT}:/rig/source", f"--bind-ro={sysconfig.get_path('purelib')}:/rig/packages"),
    ]
    story = folder / "out" / "story.json"
    said = booted(folder, ["sh -eux /rig/install.sh", "/opt/ncs-cluster/bin/python /rig/inside.py /out/story.json"], binds)
    log = (folder / "out" / "log").read_text()
    assert story.exists(), f"{said}\n{log[-3000:]}"
    found: dict[str, Any] = json.loads(story.read_text())
    return found


def test_starting_returns_when_the_daemon_says_that_it_is_ready(told: dict[str, Any]) -> None:
    assert told["start"] == [0, ""]
    assert told["started"]["ActiveState"] == "active"
    assert told["started"]["SubState"] == "running"


def test_status_text_says_which_sticks_are_at_work(told: dict[str, Any]) -> None:
    # which ones depends on who is ready first
    assert re.fullmatch(r"active: sim-\d(, sim-\d)?; sticks present: 4", told["at work"]["StatusText"])
    code, said = told["status"]
    assert code in (0, 1), said
    status = json.loads(said)
    assert status["daemon"]["pid"] == int(told["at work"]["MainPID"])
    assert len(status["sticks"]) == 4


def test_it_runs_as_its_own_user_without_privileges(told: dict[str, Any]) -> None:
    assert told["user"] == "ncs"
    assert told["no new privileges"]
    assert told["seccomp"]
    assert told["core size"].split()[-3:-1] == ["0", "0"]
    # a worker per stick, a camera and the page at least
    assert told["children"] >= 6


def test_only_its_group_may_ask_it(told: dict[str, Any]) -> None:
    assert told["runtime directory"] == "0o750"
    code, said = told["a stranger asks"]
    assert code == 3
    assert "usermod -aG ncs" in said


def test_the_page_wants_the_token(told: dict[str, Any]) -> None:
    assert told["page"] == 200
    assert told["page to a stranger"] == 401


def test_a_reload_returns_when_the_settings_are_in_effect_and_fails_where_they_are_wrong(told: dict[str, Any]) -> None:
    assert told["reload"] == [0, ""]
    assert told["reload with a wrong setting"] != 0
    assert told["after reloads"]["ActiveState"] == "active"
    assert told["after reloads"]["MainPID"] == told["at work"]["MainPID"]
    assert "new settings are applied: pool simulated: switch_temp_c 65 -> 61" in told["events"]
    assert "new settings are not applied: /etc/ncs-cluster/ncs-cluster.toml:10: stiks: " in told["events"]


def findings(told: list[Any]) -> dict[str, list[str]]:
    """Of a doctor: level and text by check."""
    code, document = told[0], json.loads(told[1])
    assert code == {"PASS": 0, "SKIP": 0, "WARN": 1, "FAIL": 2}[document["level"]]
    assert (document["for"]["user"], document["for"]["unit"]) == ("ncs", "/etc/systemd/system/ncs-clusterd.service")
    return {each["check"]: [each["level"], each["text"]] for each in document["findings"]}


def test_doctor_sees_the_service_at_work_and_why_it_has_stopped(told: dict[str, Any]) -> None:
    well, pid = findings(told["doctor at work"]), told["at work"]["MainPID"]
    assert well["service"] == ["PASS", "ncs-clusterd is active, enabled, 0 restarts"]
    # a camera that is not open yet makes it degraded
    assert well["daemon"][1].startswith((f"ncs-clusterd {ncs_cluster.__version__}, pid {pid}: ok", "the daemon is degraded: "))
    assert json.loads(told["doctor at work"][1])["for"]["what"] == f"the running daemon, pid {pid}"
    assert well["settings"] == ["PASS", "/etc/ncs-cluster/ncs-cluster.toml is right"]
    assert well["files"] == ["PASS", "user ncs may read what the settings name, 2 files"]
    assert well["ports"] == ["PASS", "the page is at 0.0.0.0:8080"]
    assert well["locks"] == ["PASS", "/run/ncs-cluster is in use"]
    refused = findings(told["doctor when refused"])
    assert refused["service"] == ["FAIL", "the service has stopped: it refuses a setting (exit code 78)"]
    assert refused["settings"][0] == "FAIL"
    assert "/etc/ncs-cluster/ncs-cluster.toml: stiks: " in refused["settings"][1]


def test_killed_it_is_started_again(told: dict[str, Any]) -> None:
    assert told["killed"]["ActiveState"] == "active"
    assert told["killed"]["NRestarts"] == "1"
    assert told["killed"]["MainPID"] != told["at work"]["MainPID"]


def test_when_it_hangs_the_watchdog_ends_it_and_it_is_started_again(told: dict[str, Any]) -> None:
    assert told["stopped by a signal"]["ActiveState"] == "active"
    assert told["stopped by a signal"]["NRestarts"] == "2"
    assert "Watchdog timeout" in told["journal"]


def test_stopping_is_clean_and_leaves_nothing(told: dict[str, Any]) -> None:
    assert told["stop"] == [0, ""]
    assert told["stop took"] < 20
    assert told["stopped"]["Result"] == "success"
    assert told["stopped"]["ExecMainStatus"] == "0"
    assert told["left"] == []
    assert not told["runtime directory left"]


def test_a_refused_setting_is_not_tried_again(told: dict[str, Any]) -> None:
    assert told["start with a wrong setting"][0] != 0
    assert told["refused"]["ExecMainStatus"] == "78"
    assert told["refused"]["SubState"] == "failed"
