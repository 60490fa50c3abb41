"""The emulator from a shell: sticks for one command, and commands to a running one."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.emulator.faults import CallFault, Pace, Pull
from ncs_cluster.emulator.port import PROFILE
from ncs_cluster.emulator.server import Server
from ncs_cluster.emulator.stick import FAULTS, Stick
from tests.conftest import ROOT
from tests.emulator.libusb import Usb

COMMAND = [sys.executable, "-m", "ncs_cluster.emulator"]
LISTS = """
import os, sys
from tests.emulator.libusb import Usb
usb = Usb("libusb-1.0.so.0", os.environ["NCS_EMULATOR_SOCKET"])
print([(found.name, found.product) for found in usb.sticks()])
print(os.listdir(os.environ["NCS_CLUSTER_DISCOVERY__SYSFS"] + "/bus/usb/devices"))
sys.exit(7)
"""


def test_a_command_runs_with_sticks_plugged_in_and_its_exit_code_is_kept(emulated_libusb: Path) -> None:
    command = [*COMMAND, "--add", "1-1.2,boot_s=0.1", "--add", "1-1.3", "--", sys.executable, "-c", LISTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
    assert done.returncode == 7, done.stderr
    assert "[('1-1.2', '2485'), ('1-1.3', '2485')]" in done.stdout
    assert "usb1" in done.stdout


def test_its_page_names_everything_a_stick_is_given_and_what_goes_wrong() -> None:
    named = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "emulator.md").read_text()))
    given = {name for name in inspect.signature(Stick).parameters if name != "watchdog"} | PROFILE
    faults = {field.name for kind in (CallFault, Pull, Pace) for field in fields(kind)} | set(FAULTS)
    assert (given | faults) - named == set()


def test_a_running_emulator_is_asked_and_told_from_elsewhere(bus: Emulator) -> None:
    bus.add("1-1.2")

    def do(**what: object) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, "--socket", str(bus.socket), "--do", json.dumps(what)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)

    assert do(do="pull", port="1-1.2").returncode == 0
    assert json.loads(do(do="state", port="1-1.2").stdout)["state"] == "absent"
    wrong = do(do="pull", port="9-9")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (1, 1)


def test_a_time_that_stands_still_and_a_chip_that_is_none_are_one_line(tmp_path: Path) -> None:
    for wrong in (["--time-scale", "0"], ["--time-scale", "nan"], ["--chip", "nonsense"], ["--chip", "os:nothing"]):
        command = [*COMMAND, "--socket", str(tmp_path / "usb"), "--until-eof", *wrong]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT, stdin=subprocess.DEVNULL)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr


def test_a_socket_that_is_served_is_left_alone_and_one_a_killed_emulator_left_is_taken(
    emulated_libusb: Path, tmp_path: Path
) -> None:
    first = Emulator(tmp_path, emulated_libusb)
    first.add("1-1.2")
    usb = Usb(emulated_libusb, first.socket)
    with pytest.raises(OSError, match="another emulator serves this socket"):
        Server(first.socket)
    assert usb.one().name == "1-1.2"
    first.pull("1-1.2")
    assert usb.sticks() == [], "its page still tells of changes"
    first.process.kill()
    first.process.wait()
    assert first.socket.exists()
    second = Emulator(tmp_path / "next", emulated_libusb, socket=first.socket)
    assert usb.sticks() == [], "the page of the old one did not shrink under its client"
    second.close()
    usb.exit()
    first.close()
