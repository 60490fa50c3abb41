"""Settings of real sticks: which backend drives them, what that needs, and what is said where it is missing."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from ncs_cluster.config import load
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import Settings
from ncs_cluster.xlink import firmware

FIRMWARE = artificial_firmware(1000)


class Machine:
    """A made-up one: its USB ports, its state directory, a graph of somebody's."""

    def __init__(self, root: Path) -> None:
        self.sysfs, self.state, self.graph = root / "sys", root / "state", root / "shapes"
        self.sysfs.mkdir()
        self.graph.mkdir()
        (self.graph / "graph.toml").write_text('model = "m.xml"\ndecoder = "ssd"\n')
        (self.graph / "m.xml").write_text("<net/>")

    def plug(self, port: str, vendor: str = "03e7", product: str = "2485") -> None:
        device = self.sysfs / "bus/usb/devices" / port
        device.mkdir(parents=True)
        (device / "idVendor").write_text(vendor + "\n")
        (device / "idProduct").write_text(product + "\n")

    def install_firmware(self) -> Path:
        file = self.state / "firmware/usb-ma2x8x.mvcmd"
        file.parent.mkdir(parents=True)
        file.write_bytes(FIRMWARE)
        return file

    def compile(self) -> Path:
        blob = self.graph / "m.blob"
        blob.write_bytes(b"what is in it is looked at later")
        return blob

    def load(self, *argv: str) -> Settings:
        known = ["--graph", str(self.graph), "--state-dir", str(self.state), "--set", f"discovery.sysfs={self.sysfs}"]
        return load([*known, *argv], dict(os.environ))

    def refusal(self, *argv: str) -> str:
        with pytest.raises(ConfigError) as caught:
            self.load(*argv)
        line = str(caught.value)
        assert "\n" not in line
        return line


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(firmware, "SIZE", len(FIRMWARE))
    monkeypatch.setattr(firmware, "SHA256", hashlib.sha256(FIRMWARE).hexdigest())
    return Machine(tmp_path)


def test_sticks_are_found_not_counted_and_may_be_none_at_the_start(machine: Machine) -> None:
    boots, blob = machine.install_firmware(), machine.compile()
    asked = machine.load("--backend", "xlink", "--cluster-size", "2")
    assert asked.sticks == []
    assert asked.pools[0].discovery is not None
    found = asked.pools[0].discovery
    assert (found.backend, found.pool, found.sysfs, found.stagger_s) == ("xlink", "xlink", str(machine.sysfs), 0.3)
    assert asked.pools[0].discovery.options == {"firmware": str(boots)}
    assert asked.graphs[0].blob == str(blob)
    assert (asked.pools[0].clusters.policy, asked.pools[0].clusters.cluster_size) == ("ring", 2)
    assert not asked.simulated
    assert asked.notices == ["no neural compute stick is plugged in yet: waiting for one"]
    machine.plug("1-1.2")
    assert machine.load("--backend", "xlink", "--cluster-size", "2").notices == []


def test_firmware_of_another_place_is_named_relative_to_the_file_that_names_it(machine: Machine, tmp_path: Path) -> None:
    machine.compile()
    (tmp_path / "fw.mvcmd").write_bytes(artificial_firmware(1000))
    file = tmp_path / "ncs.toml"
    file.write_text('backend = "xlink"\n[xlink]\nfirmware = "fw.mvcmd"\nexecutors = 1\n[discovery]\nstagger_s = 1\n')
    asked = machine.load("--config", str(file))
    assert asked.pools[0].discovery is not None
    assert asked.pools[0].discovery.options == {"firmware": str(tmp_path / "fw.mvcmd"), "executors": 1}
    assert asked.pools[0].discovery.stagger_s == 1


def test_what_xlink_cannot_do_without_is_named_with_the_command_that_gets_it(machine: Machine) -> None:
    get = f"get it with: ncsctl firmware install --state-dir {machine.state}"
    assert machine.refusal("--backend", "xlink").endswith(get)
    boots = machine.install_firmware()
    boots.write_bytes(FIRMWARE[:500] + b"?" + FIRMWARE[501:])
    assert machine.refusal("--backend", "xlink") == f"--backend: {boots} is not the firmware of OpenVINO 2021.4.2; {get}"
    boots.write_bytes(FIRMWARE)
    line = machine.refusal("--backend", "xlink")
    assert line == f"--graph: shapes: its blob for a stick is not there; make it with: ncsctl graphs compile {machine.graph}"
    machine.compile()
    assert "there is no firmware /nowhere" in machine.refusal("--backend", "xlink", "--set", "xlink.firmware=/nowhere")
    (machine.state / "cut.mvcmd").write_bytes(artificial_firmware(1000)[:-1])
    line = machine.refusal("--backend", "xlink", "--set", f"xlink.firmware={machine.state}/cut.mvcmd")
    assert line.startswith(f"--set xlink.firmware: {machine.state}/cut.mvcmd is not a firmware for a Myriad X")
    assert machine.refusal("--backend", "xlink", "--sticks", "3").startswith("--sticks: sticks of backend xlink are found")
    assert machine.refusal("--backend", "xlink", "--set", "xlink.executors=9").startswith("--set xlink.executors: ")
    line = machine.refusal("--backend", "xlink", "--set", "xlink.libusb=/nope.so")
    assert line == "--set xlink.libusb: /nope.so is no file; leave it out for the system's own libusb-1.0"


def test_a_plugin_that_is_not_there_is_told_before_anything_starts(machine: Machine) -> None:
    line = machine.refusal("--backend", "myriad")
    assert line.startswith("--set myriad.runtime: ")
    assert "openvino 2021.4.2" in line
    assert machine.refusal("--backend", "myriad", "--set", "myriad.runtime=old").startswith("--set myriad.runtime: there is no")


def test_auto_without_a_stick_is_this_cpu(machine: Machine) -> None:
    machine.plug("1-1", "8087", "0024")
    machine.plug("1-2", "03e7", "0001")
    machine.plug("1-3", "", "2485")
    (machine.sysfs / "bus/usb/devices/1-3/idVendor").write_bytes(b"\xff\xfe")
    asked = machine.load()
    assert asked.sticks[0].backend == "openvino"
    assert asked.notices[0].startswith("no neural compute stick is plugged in")
    line = machine.refusal("--cluster-size", "2")
    assert line == (
        "--cluster-size: no neural compute stick is plugged in: working on this CPU (--backend simulated shows sticks), which "
        "counts as 1 stick: at most half may work while the others cool; use --sticks 4, or --backend xlink for real ones"
    )


def test_devices_that_are_no_sticks_are_named_in_place_of_a_stick_that_is_missing(machine: Machine) -> None:
    machine.plug("1-1.4", product="2150")
    machine.plug("1-1.3")
    assert machine.load("--set", "discovery.exclude=1.3").notices == [
        "port 1-1.3 is left out by [discovery] exclude; port 1-1.4 has a Neural Compute Stick of the first generation (03e7:2150), "
        "which cannot be driven: only a stick 2 can: working on this CPU (--backend simulated shows sticks)"
    ]
    machine.install_firmware()
    machine.compile()
    assert machine.load("--backend", "xlink", "--set", "discovery.exclude=1.3").notices == [], "the daemon says what is there"
    asked = machine.load("--set", 'discovery.names={"1.3"="left", "2-1"="right"}')
    assert asked.notices == ["1 neural compute stick is plugged in (port 1-1.3): driven by backend xlink"]
    assert asked.discoveries[0].names == {"1.3": "left", "2-1": "right"}
    file = machine.state.parent / "names.toml"
    file.write_text('[discovery]\nexclude = ["2-4"]\n[discovery.names]\n"1-1.3" = "front-left"\n')
    found = machine.load("--config", str(file)).discoveries[0]
    assert (found.exclude, found.names) == (["2-4"], {"1-1.3": "front-left"})


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("discovery.exclude=front", '"front" is no USB port; a port is written "1-1.3" (bus 1), or "1.3" for any bus'),
        ('discovery.names={"1.2.x"="left"}', '"1.2.x" is no USB port'),
        ('discovery.names={"1.2"="front left"}', '"front left": a name is made of a-z'),
        ('discovery.names={"1.2"="left", "1.3"="left"}', "two ports have one name"),
    ],
)
def test_a_wrong_port_or_name_is_refused(machine: Machine, setting: str, said: str) -> None:
    line = machine.refusal("--set", setting)
    assert line.startswith(f"--set {setting.partition('=')[0]}: ")
    assert said in line


def test_a_folder_of_devices_is_relative_to_the_file_that_names_it_and_must_be_there(machine: Machine, tmp_path: Path) -> None:
    machine.plug("1-1.2")
    file = tmp_path / "ncs.toml"
    file.write_text('[discovery]\nsysfs = "sys"\n')
    base = ["--graph", str(machine.graph), "--state-dir", str(machine.state), "--config", str(file)]
    assert "1 neural compute stick is plugged in (port 1-1.2)" in load(base, dict(os.environ)).notices[0]
    machine.install_firmware()
    for name in ("auto", "xlink"):
        line = machine.refusal("--backend", name, "--set", "discovery.sysfs=/nowhere")
        assert line.startswith("--set discovery.sysfs: /nowhere is no folder")


def test_auto_drives_sticks_by_xlink_where_the_firmware_is_installed(machine: Machine) -> None:
    machine.plug("1-1.2")
    machine.plug("2-1.3", product="f63b")
    asked = machine.load()
    assert asked.sticks[0].backend == "openvino"
    assert "2 neural compute sticks are plugged in (port 1-1.2, 2-1.3), but" in asked.notices[0]
    assert "ncsctl firmware install" in asked.notices[0]
    assert "ncsctl firmware install" in machine.refusal("--cluster-size", "1"), "that is why there is but one: this CPU"
    machine.install_firmware()
    machine.compile()
    asked = machine.load()
    assert asked.pools[0].discovery is not None
    assert asked.pools[0].discovery.backend == "xlink"
    assert asked.notices == ["2 neural compute sticks are plugged in (port 1-1.2, 2-1.3): driven by backend xlink"]


def test_auto_prefers_the_vendors_plugin_where_its_runtime_is_set_and_has_it(machine: Machine, tmp_path: Path) -> None:
    machine.plug("1-1.2")
    machine.install_firmware()
    machine.compile()
    runtime = ["--set", f"runtimes.old.python={sys.executable}", "--set", "myriad.runtime=old"]
    why, decided = machine.load(*runtime).notices
    assert "has no plugin for sticks" in why
    assert "driven by backend xlink" in decided
    plugin = tmp_path / "python/openvino"
    plugin.mkdir(parents=True)
    (plugin / "__init__.py").touch()
    (plugin / "inference_engine.py").write_text("class IECore:\n    def get_metric(self, device, metric): return []\n")
    asked = machine.load(*runtime, "--set", f"runtimes.old.env={{PYTHONPATH = '{plugin.parent}'}}")
    assert asked.pools[0].discovery is not None
    assert (asked.pools[0].discovery.backend, asked.pools[0].discovery.runtime) == ("myriad", "old")
    assert asked.graphs[0].blob is None
