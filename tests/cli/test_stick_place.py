"""Where a stick is plugged in, read from a made-up sysfs."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from ncs_cluster.cli.stick_place import lines
from ncs_cluster.status import StickStatus
from ncs_cluster.testing.control import some_stick

LAST = "A stick has no light to switch. To be sure which one it is, unplug it: `ncsctl events --follow` names it."


def stick(port: str, **fields: object) -> StickStatus:
    return replace(some_stick(f"ncs-{port}", "active", 40.0), port=port, **fields)


def device(sysfs: Path, name: str, **attributes: object) -> None:
    folder = sysfs / "bus/usb/devices" / name
    folder.mkdir(parents=True)
    for attribute, value in attributes.items():
        (folder / attribute).write_text(f"{value}\n")


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    device(tmp_path, "usb1", manufacturer="Linux", product="xHCI", maxchild=2)
    device(tmp_path, "1-1", manufacturer="VIA Labs", product="Hub", maxchild=4)
    device(tmp_path, "1-1.3", product="Mouse")
    return tmp_path


def test_a_stick_behind_a_hub_is_told_by_its_port_and_by_what_is_beside_it(sysfs: Path) -> None:
    me, other = stick("1-1.2", usb_mbps=480.0), stick("1-1.1", name="rear")
    assert lines(me, [other, me, stick("1-1.4", state="absent")], sysfs) == [
        "ncs-1-1.2 is at USB port 1-1.2: port 1 of bus 1, then port 2 of the hub there",
        "hub       VIA Labs Hub",
        "link      480 Mbit/s (USB 2: slower than the stick)",
        "port 1    ncs-1-1.1 (rear)",
        "port 2    ncs-1-1.2   <- this one",
        "port 3    Mouse",
        "port 4    nothing at this speed",
        LAST,
        'To give its port a name: [discovery.names] "1-1.2" = "rear left" in the settings.',
    ]


def test_a_named_stick_at_a_root_port_needs_no_name(sysfs: Path) -> None:
    me = stick("1-2", name="front", usb_mbps=5000.0)
    assert lines(me, [me], sysfs) == [
        "ncs-1-2 (front) is at USB port 1-2: port 2 of bus 1",
        "hub       Linux xHCI",
        "link      5000 Mbit/s (USB 3)",
        "port 1    VIA Labs Hub",
        "port 2    ncs-1-2 (front)   <- this one",
        LAST,
    ]


def test_where_the_kernel_tells_nothing_the_port_is_all_that_is_said(tmp_path: Path) -> None:
    me = stick("3-1.4.2", name="x")
    assert lines(me, [me], tmp_path) == [
        "ncs-3-1.4.2 (x) is at USB port 3-1.4.2: port 1 of bus 3, then port 4 of the hub there, then port 2 of the hub there",
        "hub       not known",
        LAST,
    ]


@pytest.mark.parametrize("port", ["simulated port 1", "", "1-1.2:1.0", "../1-1", "1-1/.."])
def test_a_stick_that_is_not_on_usb_has_no_place_and_no_path_is_made_of_its_port(port: str, sysfs: Path) -> None:
    me = replace(some_stick("sim-1", "active", 40.0), port=port)
    assert lines(me, [me], sysfs) == [f"sim-1 is at {port}: it is not found at a USB port"]


@pytest.mark.parametrize("maxchild", ["99999999999999999999", "-1", "²", ""])
def test_a_hub_of_absurd_size_is_not_listed_whole(maxchild: str, tmp_path: Path) -> None:
    device(tmp_path, "1-1", product="Hub", maxchild=maxchild)
    me = stick("1-1.2")
    assert len(lines(me, [me], tmp_path)) <= 40
