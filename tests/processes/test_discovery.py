"""What is plugged in, as a made-up sysfs lists it."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from msgspec import structs

from ncs_cluster.backends.sysfs import scan
from ncs_cluster.core.events import DeviceIgnored, StickFound, StickGone, StickListed
from ncs_cluster.processes.discovery import SCAN_PERIOD_S, UsbBus
from ncs_cluster.specs import DiscoverySpec
from ncs_cluster.types import StickId
from ncs_cluster.usb_ids import MYRIAD_X


class Tree:
    """A sysfs with nothing but what is looked at."""

    def __init__(self, root: Path) -> None:
        self.root, self.number = root, 0
        self.devices = root / "bus/usb/devices"
        for name, vendor, product in (("usb1", "1d6b", "0002"), ("1-1", "2109", "3431"), ("1-1.3", "046d", "c52b")):
            self.plug(name, product, vendor)
        (self.devices / "1-1.2:1.0").mkdir()

    def plug(self, port: str, product: str = "2485", vendor: str = "03e7") -> None:
        device = self.devices / port
        self.number += 1
        device.mkdir(parents=True)
        (device / "idVendor").write_text(vendor + "\n")
        (device / "idProduct").write_text(product + "\n")
        (device / "devnum").write_text(f"{self.number}\n")

    def pull(self, port: str) -> None:
        shutil.rmtree(self.devices / port)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "sys")


def bus(tree: Tree, **options: object) -> UsbBus:
    return UsbBus(DiscoverySpec("xlink", dict(options), "old", sysfs=str(tree.root)), tree.root / "state")


def test_sticks_are_told_from_everything_else_on_the_bus(tree: Tree) -> None:
    tree.plug("1-1.2")
    tree.plug("2-1.4", "f63b")
    tree.plug("1-1.1", "2150")
    assert scan(tree.root, MYRIAD_X).devices == {"1-1.2": (False, "4"), "2-1.4": (True, "5")}


def test_entries_that_vanish_or_cannot_be_read_are_left_out(tree: Tree) -> None:
    tree.plug("1-1.2")
    (tree.devices / "1-1.2/idProduct").unlink()
    (tree.devices / "1-1.4").symlink_to("nowhere")
    (tree.devices / "1-1.5").mkdir()
    (tree.devices / "1-1.5/idVendor").write_bytes(b"\xff\xfe\x00")
    assert scan(tree.root, MYRIAD_X).devices == {}
    assert scan(tree.root / "none", MYRIAD_X).devices == {}


def test_a_stick_found_is_driven_as_asked_for_and_called_by_its_port(tree: Tree) -> None:
    tree.plug("1-1.2")
    usb = bus(tree, firmware="/f.mvcmd")
    found, listed = usb.wake(10.0, ())
    assert isinstance(found, StickFound)
    assert listed == StickListed(StickId("ncs-1-1.2"), "rom")
    stick = found.stick
    assert (stick.id, stick.port, stick.backend, stick.runtime) == ("ncs-1-1.2", "1-1.2", "xlink", "old")
    assert stick.options == {"firmware": "/f.mvcmd"}
    assert stick.exclusive_boot, "where it comes back is not known yet"
    assert usb.wake(10.1, ()) == [], "it is looked for now and then"
    assert usb.deadline_s == 10.0 + SCAN_PERIOD_S


def test_a_stick_at_work_that_is_pulled_is_gone_and_one_that_boots_is_not(tree: Tree) -> None:
    tree.plug("1-1.1")
    tree.plug("1-1.2")
    usb = bus(tree)
    usb.wake(0.0, ())
    tree.pull("1-1.1")
    tree.pull("1-1.2")
    said = [change for step in range(1, 6) for change in usb.wake(step * SCAN_PERIOD_S, {StickId("ncs-1-1.1")})]
    away = [StickListed(StickId(f"ncs-{port}"), "missing") for port in ("1-1.1", "1-1.2")]
    assert said == [*away, StickGone(StickId("ncs-1-1.1"))]
    tree.plug("2-1.2", "f63b")
    learned, listed = usb.wake(10.0, ())
    assert listed == StickListed(StickId("ncs-1-1.2"), "booted")
    assert isinstance(learned, StickFound)
    assert (learned.stick.id, learned.stick.options, learned.stick.exclusive_boot) == ("ncs-1-1.2", {"booted_port": "2-1.2"}, False)


@pytest.mark.parametrize(
    ("text", "mbps"),
    [("5000\n", 5000.0), ("480\n", 480.0), ("1.5\n", 1.5), ("unknown\n", None), ("inf", None), ("", None), (None, None)],
)
def test_the_speed_of_a_booted_sticks_link_is_told_where_the_kernel_knows_it(
    tree: Tree, text: str | None, mbps: float | None
) -> None:
    tree.plug("2-1.2", "f63b")
    if text is not None:
        (tree.devices / "2-1.2/speed").write_text(text)
    _, listed = bus(tree).wake(0.0, ())
    assert listed == StickListed(StickId("ncs-2-1.2"), "booted", mbps)


def test_the_speed_of_the_boot_rom_is_not_that_of_the_stick(tree: Tree) -> None:
    tree.plug("1-1.2")
    (tree.devices / "1-1.2/speed").write_text("480\n")
    assert bus(tree).wake(0.0, ())[1] == StickListed(StickId("ncs-1-1.2"), "rom", None)


def test_without_a_descriptor_to_look_no_stick_is_gone(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.plug("1-1.1")
    usb = bus(tree)
    usb.wake(0.0, ())

    def full(_: object) -> list[str]:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", full)
        assert [usb.wake(step * SCAN_PERIOD_S, {StickId("ncs-1-1.1")}) for step in range(1, 6)] == [[]] * 5
    assert usb.wake(10.0, {StickId("ncs-1-1.1")}) == []


def test_a_stick_left_booted_by_another_process_has_one_name_once_its_home_shows(tree: Tree) -> None:
    tree.plug("2-2", "f63b")
    usb = bus(tree)
    usb.wake(0.0, ())
    tree.pull("2-2")
    tree.plug("1-1.2")
    gone, found, _ = usb.wake(1.0, ())
    assert gone == StickGone(StickId("ncs-2-2"), renamed=True)
    assert isinstance(found, StickFound)
    assert found.stick.id == "ncs-1-1.2"


def test_what_was_learned_of_ports_is_kept_and_a_damaged_file_says_nothing(tree: Tree) -> None:
    tree.plug("1-1.2")
    usb = bus(tree)
    usb.wake(0.0, ())
    tree.pull("1-1.2")
    tree.plug("2-2", "f63b")
    usb.wake(1.0, ())
    kept = tree.root / "state/ports.json"
    assert json.loads(kept.read_text()) == {"2-2": "1-1.2"}
    assert [change.stick.id for change in bus(tree).wake(0.0, ()) if isinstance(change, StickFound)] == ["ncs-1-1.2"]
    for damage in (b"", b"{", b"[1]", b"\xff", b'{"2-2": 3}', b"[" * 5000):
        kept.write_bytes(damage)
        assert [change.stick.id for change in bus(tree).wake(0.0, ()) if isinstance(change, StickFound)] == ["ncs-2-2"]


def test_a_state_directory_that_cannot_be_written_is_no_reason_to_stop(tree: Tree) -> None:
    tree.plug("1-1.2")
    (tree.root / "state").write_text("in the way")
    usb = bus(tree)
    usb.wake(0.0, ())
    tree.pull("1-1.2")
    tree.plug("2-2", "f63b")
    assert [type(change) for change in usb.wake(1.0, ())] == [StickFound, StickListed], "what was learned is used all the same"


def test_a_stick_that_is_plugged_in_again_within_a_scan_is_listed_anew_and_one_that_stays_is_not(tree: Tree) -> None:
    tree.plug("1-1.1")
    tree.plug("1-1.2")
    usb = bus(tree)
    usb.wake(0.0, ())
    assert usb.wake(1.0, ()) == []
    tree.pull("1-1.2")
    tree.plug("1-1.2")
    assert usb.wake(2.0, ()) == [StickListed(StickId("ncs-1-1.2"), "rom")]


def test_a_port_has_the_name_that_the_operator_gave_it_or_its_chain(tree: Tree) -> None:
    for port in ("1-1.2", "3-1.2", "1-1.4"):
        tree.plug(port)
    named = DiscoverySpec("xlink", sysfs=str(tree.root), names={"1.2": "left", "3-1.2": "rear"})
    found = [each.stick for each in UsbBus(named, tree.root / "state").wake(0.0, ()) if isinstance(each, StickFound)]
    assert {stick.port: stick.name for stick in found} == {"1-1.2": "left", "1-1.4": None, "3-1.2": "rear"}


def test_new_names_are_told_of_the_sticks_that_are_called_otherwise(tree: Tree) -> None:
    for port in ("1-1.1", "1-1.2", "1-1.4"):
        tree.plug(port)
    named = DiscoverySpec("xlink", sysfs=str(tree.root), names={"1.1": "front", "1.2": "left"})
    usb = UsbBus(named, tree.root / "state")
    before = {each.stick.port: each.stick for each in usb.wake(0.0, ()) if isinstance(each, StickFound)}
    again = usb.configure(structs.replace(named, names={"1.1": "front", "1.4": "rear"}))
    assert again == [
        StickFound(structs.replace(before["1-1.2"], name=None)),
        StickFound(structs.replace(before["1-1.4"], name="rear")),
    ]
    assert usb.wake(1.0, ()) == []
    assert usb.configure(structs.replace(named, names={"1.1": "front", "1.4": "rear"})) == []


def test_an_excluded_port_has_no_stick_before_and_after_a_boot(tree: Tree) -> None:
    (tree.root / "state").mkdir()
    (tree.root / "state/ports.json").write_text('{"2-3": "1-1.4"}')
    tree.plug("1-1.4")
    tree.plug("1-1.2")
    usb = UsbBus(DiscoverySpec("xlink", sysfs=str(tree.root), exclude=["1.4"]), tree.root / "state")
    ignored = DeviceIgnored("1-1.4", "is left out by [discovery] exclude")
    said = usb.wake(0.0, ())
    assert said[0] == ignored
    assert [each.stick.port for each in said if isinstance(each, StickFound)] == ["1-1.2"]
    tree.pull("1-1.4")
    assert usb.wake(1.0, ()) == [DeviceIgnored("1-1.4", "")]
    tree.plug("2-3", "f63b")
    assert usb.wake(2.0, ()) == [DeviceIgnored("2-3", "is left out by [discovery] exclude")]
    assert usb.wake(3.0, ()) == [], "once"


@pytest.mark.parametrize(
    ("product", "name", "why"),
    [
        ("2150", "Movidius MA2X5X", "has a Neural Compute Stick of the first generation (03e7:2150), which cannot be driven"),
        ("f63c", "Luxonis Bootloader", "has an OAK camera in its bootloader (03e7:f63c)"),
        ("f63b", "Luxonis Device", "has an OAK camera that another program drives"),
    ],
)
def test_a_device_that_is_no_stick_is_told_and_left_alone(tree: Tree, product: str, name: str, why: str) -> None:
    tree.plug("1-1.4", product)
    (tree.devices / "1-1.4/product").write_text(name + "\n")
    (ignored,) = bus(tree).wake(0.0, ())
    assert isinstance(ignored, DeviceIgnored)
    assert ignored.port == "1-1.4"
    assert ignored.why.startswith(why)


def test_a_port_that_is_forgotten_is_learned_again_in_a_boot_alone(tree: Tree) -> None:
    (tree.root / "state").mkdir()
    kept = tree.root / "state/ports.json"
    kept.write_text('{"2-1": "1-1.1", "2-2": "1-1.2"}')
    tree.plug("1-1.1")
    tree.plug("1-1.2")
    usb = bus(tree)
    usb.wake(0.0, ())
    usb.forget(StickId("ncs-1-1.2"))
    usb.forget(StickId("ncs-9-9"))
    (again,) = usb.wake(1.0, ())
    assert isinstance(again, StickFound)
    assert (again.stick.id, again.stick.options, again.stick.exclusive_boot) == ("ncs-1-1.2", {}, True)
    assert json.loads(kept.read_text()) == {"2-1": "1-1.1"}
    usb.forget(StickId("ncs-1-1.2"))
    assert usb.wake(2.0, ()) == [], "there is nothing left to forget"


def test_the_learned_port_of_a_stick_that_is_gone_is_forgotten_on_disk_too(tree: Tree) -> None:
    tree.plug("1-1.2")
    usb = bus(tree)
    usb.wake(0.0, ())
    tree.pull("1-1.2")
    tree.plug("2-1.2", "f63b")
    usb.wake(1.0, ())
    kept = tree.root / "state/ports.json"
    assert json.loads(kept.read_text()) == {"2-1.2": "1-1.2"}
    tree.pull("2-1.2")
    for step in range(4, 30):
        usb.wake(step * SCAN_PERIOD_S, ())
    usb.forget(StickId("ncs-1-1.2"))
    assert usb.wake(20.0, ()) == []
    assert json.loads(kept.read_text()) == {}
