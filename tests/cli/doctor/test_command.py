"""The real `ncsctl doctor`: with and without a daemon, exit codes, the document."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import msgspec
import pytest

import ncs_cluster
from ncs_cluster.cli.doctor.checks import CHECKS
from ncs_cluster.cli.doctor.machine import Machine
from ncs_cluster.testing.control import control
from ncs_cluster.testing.daemon import running, settings, sticks, synthetic
from ncs_cluster.types import IntakeClient
from tests.cli.asking import ncsctl
from tests.cli.doctor.test_judgements import intake
from tests.cli.doctor.tree import NCS, PATIENCE, Tree
from tests.conftest import ROOT


def doctor(*argv: object) -> CompletedProcess[str]:
    return ncsctl("doctor", "--patience", str(PATIENCE), *map(str, argv), timeout_s=300.0)


def healthy(tree: Tree) -> None:
    """A machine on which simulated sticks would work."""
    tree.config("", 0o644, backend="simulated")
    tree.group("video", ncs=NCS, video=44)
    tree.file("/proc/meminfo", "MemAvailable: 8000000 kB\n")
    tree.program("systemctl", "echo ActiveState=active; echo UnitFileState=enabled; echo NRestarts=0")
    state = tree.root / "var/lib/ncs-cluster"
    state.mkdir(parents=True)
    state.chmod(0o777)


def test_every_check_has_its_word_and_a_healthy_machine_exits_0(tree: Tree) -> None:
    healthy(tree)
    done = doctor("--json", "--root", tree.root)
    document: dict[str, Any] = json.loads(done.stdout)
    bad = [each for each in document["findings"] if each["level"] not in ("PASS", "SKIP")]
    assert (bad, done.returncode, done.stderr) == ([], 0, "")
    assert document["level"] == "PASS"
    assert document["for"] == {
        "what": "the service ncs-clusterd",
        "user": "ncs",
        "unit": "/etc/systemd/system/ncs-clusterd.service",
        "pid": None,
    }
    assert [each["check"] for each in document["findings"]] == [check.name for check in CHECKS]
    said = {each["check"]: each["text"] for each in document["findings"]}
    assert said["graphs"] == "demo: loaded for backend simulated"
    assert said["cameras"] == "cam0: no device is needed"


def test_a_warning_exits_1_a_failure_2_and_each_has_its_remedy_below_it(tree: Tree) -> None:
    healthy(tree)
    tree.file("/proc/meminfo", "MemAvailable: 8000 kB\n")
    warned = doctor("--root", tree.root)
    assert (warned.returncode, warned.stderr) == (1, "")
    first, *rest, last = warned.stdout.splitlines()
    assert first == "for the service ncs-clusterd, user ncs"
    at = next(at for at, line in enumerate(rest) if line.startswith("WARN"))
    assert rest[at].split(None, 2)[:2] == ["WARN", "memory"]
    assert rest[at + 1] == " " * 19 + "→ ps -eo pmem,rss,pid,comm --sort=-rss | head -n 15"
    assert last.startswith("0 failed, 1 warning, ")
    tree.stick("1-1.2", speed=12)
    failed = doctor("--root", tree.root)
    assert failed.returncode == 2
    assert "FAIL  speed        port 1-1.2: connected at 12 Mbit/s: no firmware can be loaded at that speed\n" in failed.stdout


def test_a_running_daemon_is_asked_and_its_sticks_are_not_touched(tree: Tree, tmp_path: Path) -> None:
    healthy(tree)
    place = tmp_path / "run"
    place.mkdir()
    client = IntakeClient("10.0.0.7 yolo", handshakes=3)
    with control(place) as daemon:
        daemon.status = msgspec.structs.replace(daemon.status, intakes=[intake(client)])
        pid = daemon.status.daemon.pid
        # its command line, user and groups are those of the process
        tree.file(
            f"/proc/{pid}/status",
            f"Name:\tncs-clusterd\nUid:\t{NCS}\t{NCS}\t{NCS}\t{NCS}\nGid:\t{NCS}\t{NCS}\t{NCS}\t{NCS}\nGroups:\t44 \n",
        )
        config = tree.config('[cameras.desk]\nsource = "usb:7"\n', backend="simulated")
        words = ["/opt/ncs-cluster/bin/python", "/opt/ncs-cluster/bin/ncs-clusterd", "--config", str(config)]
        tree.file(f"/proc/{pid}/cmdline", "\0".join(words) + "\0")
        done = doctor("--json", "--root", tree.root, "--runtime-dir", place)
        asked = [type(request).__name__ for request in daemon.requests]
    document = json.loads(done.stdout)
    assert (document["for"]["what"], document["for"]["user"]) == (f"the running daemon, pid {pid}", "ncs")
    said = {each["check"]: (each["level"], each["text"]) for each in document["findings"]}
    assert said["daemon"] == ("PASS", f"ncs-clusterd 0.1.0, pid {pid}: ok")
    assert said["graphs"] == ("PASS", "the daemon has loaded shapes")
    assert said["cameras"] == ("FAIL", "desk: there is no /dev/video7: this machine has no /dev/video at all")
    told = "frigate client 10.0.0.7 yolo: 3 handshakes, 0 frames, 0 answered, 0 late: it has never sent a frame"
    assert said["clients"] == ("WARN", told)
    assert (asked, done.returncode) == (["AskStatus"], 2)


def test_a_real_daemon_is_judged_by_its_process(tmp_path: Path) -> None:
    with running(settings(tmp_path, sticks(2), [synthetic()])) as daemon:
        daemon.until(lambda status: status["daemon"]["state"] == "ok", "is well")
        pid = daemon.status()["daemon"]["pid"]
        document = json.loads(doctor("--json", "--runtime-dir", tmp_path / "run").stdout)
    said = {each["check"]: (each["level"], each["text"]) for each in document["findings"]}
    assert said["daemon"] == ("PASS", f"ncs-clusterd {ncs_cluster.__version__}, pid {pid}: ok")
    assert said["sticks"] == ("SKIP", "the daemon drives no stick of the bus")
    assert {check.name for check in CHECKS} == set(said)


def test_a_long_file_of_the_kernel_is_read_whole() -> None:
    """/proc gives a page at a time."""
    whole = Path("/proc/kallsyms").read_bytes()[:900_000]
    assert len(whole) > 200_000
    assert (Machine().text("/proc/kallsyms") or "").encode().startswith(whole)


def test_some_checks_alone(tree: Tree) -> None:
    healthy(tree)
    done = doctor("--json", "--root", tree.root, "speed", "service")
    assert [each["check"] for each in json.loads(done.stdout)["findings"]] == ["service", "speed"]
    unknown = doctor("spede")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith("ncsctl: there is no check spede; known: daemon, service, ")


def test_a_root_that_is_no_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    done = doctor("--root", tmp_path / "none")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"ncsctl: --root {tmp_path}/none: there is no such folder\n"


@pytest.mark.parametrize("text", ["0", "nan", "-1", "1e9", "long"])
def test_a_patience_that_is_no_sensible_number_is_refused(text: str) -> None:
    done = ncsctl("doctor", f"--patience={text}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "argument --patience: " in done.stderr.splitlines()[-1]


def test_text_of_devices_cannot_control_the_terminal(tree: Tree) -> None:
    healthy(tree)
    tree.config("", backend="auto")
    tree.stick("1-1.2")
    tree.file("/proc/9/comm", "evil\x1b[2J\n")
    tree.link("/proc/9/fd/3", "/dev/bus/usb/001/001")
    assert "evil [2J (pid 9) uses the stick" in doctor("--root", tree.root).stdout


def test_the_page_lists_every_check() -> None:
    page = (ROOT / "docs/operate.md").read_text()
    for check in CHECKS:
        assert f"| `{check.name}` | {check.about} |" in page


def test_no_check_imports_another() -> None:
    names = {check.probe.__module__.rpartition(".")[2] for check in CHECKS}
    assert names == {check.name for check in CHECKS}
    folder = ROOT / "ncs_cluster/cli/doctor/checks"
    assert names == {file.stem for file in folder.glob("*.py")} - {"__init__"}
    for file in folder.glob("*.py"):
        assert file.stem == "__init__" or "cli.doctor.checks" not in file.read_text()
