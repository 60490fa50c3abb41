"""Broken machines, each made of files, and each line that doctor says to it."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.cli.doctor.checks import autosuspend, packages, power, rights, runtimes, speed, voltage
from ncs_cluster.emulator import build
from ncs_cluster.provision import firmware
from tests.cli.doctor.tree import NCS, OWN, Tree
from tests.nats_server import nats_server
from tests.needs import need_compiler

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
JOIN = "; then log in again, or restart the service"
PLUG = "plug one in, into a powered hub; then: lsusb -d 03e7:"
RULE = 'SUBSYSTEM=="usb", ATTRS{idVendor}=="03e7", GROUP="%s", MODE="0660"\n'


def test_without_a_udev_rule_the_service_may_not_open_a_stick(tree: Tree) -> None:
    tree.stick("1-1.2")
    text = f"port 1-1.2: user ncs may not use /dev/bus/usb/001/001 (group {OWN}, mode 0660)"
    assert tree.said("rights") == [("FAIL", text, rights.INSTALL)]
    assert rights.RULE in (Path(__file__).parents[3] / "deploy/99-ncs-cluster.rules").read_text()


def test_a_user_that_is_not_in_the_rules_group_is_to_join_it(tree: Tree) -> None:
    tree.file("/usr/lib/udev/rules.d/97-myriad.rules", RULE % OWN)
    given = f"/usr/lib/udev/rules.d/97-myriad.rules gives sticks to group {OWN}: user ncs is not in it"
    assert tree.said("rights") == [("WARN", given, f"sudo usermod -aG {OWN} ncs{JOIN}")]
    tree.stick("1-1.2")
    text = f"port 1-1.2: user ncs may not use /dev/bus/usb/001/001 (group {OWN}, mode 0660)"
    assert tree.said("rights") == [("FAIL", text, f"sudo usermod -aG {OWN} ncs{JOIN}")]
    tree.group(OWN, ncs=NCS)
    assert tree.said("rights", everything=True) == [("PASS", "port 1-1.2: user ncs may use /dev/bus/usb/001/001", None)]


def test_a_rule_that_came_after_the_stick_has_not_been_applied(tree: Tree) -> None:
    tree.file("/etc/udev/rules.d/99-ncs-cluster.rules", RULE % "ncs")
    tree.stick("1-1.2", mode=0o600)
    text = f"port 1-1.2: user ncs may not use /dev/bus/usb/001/001 (group {OWN}, mode 0600)"
    rule = ", though /etc/udev/rules.d/99-ncs-cluster.rules has a rule"
    assert tree.said("rights") == [("FAIL", text + rule, rights.RELOAD)]


def test_no_stick_is_a_failure_where_the_settings_need_one_and_else_a_warning(tree: Tree) -> None:
    assert tree.said("sticks") == [("FAIL", "no neural compute stick is on the bus", PLUG)]
    tree.config("", backend="auto")
    assert tree.said("sticks") == [("WARN", "no neural compute stick is on the bus: backend auto works on this CPU", PLUG)]
    tree.config("", backend="simulated")
    assert tree.said("sticks", everything=True) == [("SKIP", "the settings use no stick of the bus", None)]


def test_foreign_devices_are_named_and_no_stick(tree: Tree) -> None:
    tree.usb("1-1.1", "03e7:2150")
    tree.usb("2-1", "03e7:f63b", product="Luxonis Device")
    tree.config('[discovery]\nexclude = ["1.4"]\n')
    tree.stick("1-1.4")
    first = "port 1-1.1 has a Neural Compute Stick of the first generation (03e7:2150), which cannot be driven: only a stick 2 can"
    assert tree.said("sticks", everything=True) == [
        ("WARN", first, "unplug it, or leave it out: ncs-clusterd --set 'discovery.exclude=[\"1-1.1\"]'"),
        ("PASS", "port 1-1.4 is left out by [discovery] exclude: left alone", None),
        ("PASS", "port 2-1 has an OAK camera that another program drives: left alone", None),
        ("FAIL", "no neural compute stick is on the bus", PLUG),
    ]


def test_a_stick_that_another_program_holds_names_that_program(tree: Tree) -> None:
    tree.stick("1-1.2", booted=True)
    tree.stick("1-1.3")
    tree.file("/proc/812/comm", "python3\n")
    tree.link("/proc/812/fd/5", tree.shown("/dev/bus/usb/001/001"))
    assert tree.said("sticks", everything=True) == [
        ("WARN", "port 1-1.2: python3 (pid 812) uses the stick", "ps -o user,pid,args -p 812; sudo kill 812"),
        ("PASS", "port 1-1.3: a neural compute stick (03e7:2485) waits for its boot", None),
    ]


def test_a_hub_without_a_supply_and_a_raspberry_pi_give_too_little_for_two_sticks(tree: Tree) -> None:
    tree.file("/proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    tree.usb("usb1", "1d6b:0002", bDeviceClass="09", bmAttributes="e0", bMaxPower="0mA")
    tree.usb("1-1", "2109:3431", bDeviceClass="09", bmAttributes="e0", bMaxPower="100mA")
    tree.usb("1-1.3", "05e3:0610", bDeviceClass="09", bmAttributes="80", bMaxPower="100mA")
    tree.stick("1-1.3.1")
    tree.stick("1-1.3.4")
    hub = "the hub at 1-1.3, which has no supply of its own: 2 sticks and what else is there may draw 1800 mA of 400 mA"
    board = "Raspberry Pi 4 Model B: 2 sticks and what else is there may draw 1800 mA of 1200 mA"
    assert tree.said("power") == [("WARN", hub, power.POWERED), ("WARN", board, power.POWERED)]
    tree.file("/sys/bus/usb/devices/1-1.3/bmAttributes", "e0")
    assert tree.said("power", everything=True) == [("PASS", "each stick is at a hub with a supply of its own", None)]


def test_a_port_that_was_cut_off_for_its_current(tree: Tree) -> None:
    tree.stick("1-1.2")
    tree.file("/sys/bus/usb/devices/1-1:1.0/1-1-port2/over_current_count", "3\n")
    tree.file("/sys/bus/usb/devices/1-1:1.0/1-1-port1/over_current_count", "0\n")
    assert tree.said("power") == [("WARN", "too much current was drawn at 1-1-port2, 3 times", power.POWERED)]


def test_a_raspberry_pi_5_gives_more_with_a_strong_supply(tree: Tree) -> None:
    tree.file("/proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    tree.usb("usb1", "1d6b:0002", bDeviceClass="09", bmAttributes="e0", bMaxPower="0mA")
    tree.stick("1-1")
    text = "Raspberry Pi 5 Model B: 1 stick and what else is there may draw 900 mA of %d mA"
    assert tree.said("power") == [("WARN", text % 600, power.POWERED)]
    tree.program("vcgencmd", "echo usb_max_current_enable=1")
    assert tree.said("power", everything=True) == [("PASS", text % 1600, None)]


def test_a_booted_stick_at_usb_2_and_one_at_a_speed_that_is_too_low(tree: Tree) -> None:
    tree.stick("1-1.1", speed=480)
    tree.stick("1-1.2", booted=True, speed=480)
    tree.stick("1-1.3", speed=12)
    tree.stick("2-1.4", booted=True, speed=5000)
    assert tree.said("speed", everything=True) == [
        ("PASS", "port 1-1.1: 480 Mbit/s in its boot ROM; its own speed shows after the boot", None),
        ("WARN", "port 1-1.2: runs at USB 2 (480 Mbit/s): large pictures take longer to it", speed.MOVE),
        ("FAIL", "port 1-1.3: connected at 12 Mbit/s: no firmware can be loaded at that speed", speed.MOVE),
        ("PASS", "port 2-1.4: runs at USB 3 (5000 Mbit/s)", None),
    ]


def test_sticks_that_the_kernel_puts_to_sleep(tree: Tree) -> None:
    asleep: dict[str, Any] = {"power/control": "auto"}
    tree.stick("1-1.1", **asleep)
    tree.stick("1-1.2", **{**asleep, "power/autosuspend_delay_ms": "-1000"})
    remedy = f"echo on | sudo tee /sys/bus/usb/devices/1-1.1/power/control; for ever: echo '{autosuspend.RULE}' | sudo tee "
    text = "the kernel may put the stick at port 1-1.1 to sleep"
    assert tree.said("autosuspend") == [("WARN", text, remedy + autosuspend.FILE)]


def test_too_little_memory_for_usb_transfers(tree: Tree) -> None:
    file = "/sys/module/usbcore/parameters/usbfs_memory_mb"
    for port in ("1-1.1", "1-1.2", "1-1.3", "1-1.4"):
        tree.stick(port)
    assert tree.said("usbfs", everything=True) == [("SKIP", f"this kernel has no {file}", None)]
    tree.file(file, "16\n")
    remedy = f"echo 40 | sudo tee {file}; for ever: usbcore.usbfs_memory_mb=40 in the kernel's command line"
    assert tree.said("usbfs") == [("WARN", "the kernel gives 16 MB to USB transfers; 4 sticks need 20 MB", remedy)]
    tree.file(file, "0\n")
    assert tree.said("usbfs", everything=True) == [("PASS", "unlimited MB for USB transfers; 4 sticks need 20 MB", None)]


def test_a_raspberry_pi_with_a_weak_supply(tree: Tree) -> None:
    tree.file("/proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    tree.file("/sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    tree.file("/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    low = ("FAIL", "the board's voltage is too low now", voltage.SUPPLY)
    assert tree.said("voltage") == [low]
    tree.program("vcgencmd", "echo throttled=0x50005")
    assert tree.said("voltage") == [low, ("WARN", "the board is slowed now, by heat or low voltage", voltage.COOL)]
    tree.program("vcgencmd", "echo throttled=0x50000")
    assert tree.said("voltage") == [
        ("WARN", "the board's voltage has been too low since it booted", voltage.SUPPLY),
        ("WARN", "the board has been slowed since it booted, by heat or low voltage", voltage.COOL),
    ]


def test_firmware_that_is_missing_or_damaged(tree: Tree) -> None:
    path = "/var/lib/ncs-cluster/firmware/usb-ma2x8x.mvcmd"
    install = "sudo -u ncs ncsctl firmware install --state-dir /var/lib/ncs-cluster"
    assert tree.said("firmware") == [("FAIL", f"there is no firmware {path}", install)]
    tree.file(path, b"MA2x" + bytes(1000))
    assert tree.said("firmware") == [("FAIL", f"{path} is not the firmware of OpenVINO 2021.4.2", install)]
    tree.config("", backend="simulated")
    assert tree.said("firmware", everything=True) == [("SKIP", "no stick is booted by backend xlink", None)]


def test_whole_firmware_passes(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor's file may not be part of the tests: another one is taken for it."""
    data = b"MA2x" + bytes(100)
    monkeypatch.setattr("ncs_cluster.xlink.firmware.SIZE", len(data))
    monkeypatch.setattr("ncs_cluster.xlink.firmware.SHA256", hashlib.sha256(data).hexdigest())
    path = "/var/lib/ncs-cluster/firmware/usb-ma2x8x.mvcmd"
    tree.file(path, data)
    assert tree.said("firmware", everything=True) == [("PASS", f"{path}: of OpenVINO {firmware.VERSION}, intact", None)]


def test_a_graph_that_is_not_compiled_and_one_whose_blob_is_damaged(tree: Tree) -> None:
    demo = Path(__file__).parents[3] / "graphs/demo"
    for name in ("graph.toml", "labels.txt", "demo.xml", "demo.bin"):
        tree.file(f"/srv/mine/{name}", (demo / name).read_bytes())
    tree.config(f'[graphs.mine]\npath = "{tree.root}/srv/mine"\n')
    tree.file("/etc/ncs-cluster.toml", (tree.root / "etc/ncs-cluster.toml").read_text().replace('["demo"]', '["mine"]'))
    text = "/etc/ncs-cluster.toml: graph: mine: its blob for a stick is not there; make it with: ncsctl graphs compile mine"
    assert tree.said("graphs") == [("FAIL", text, "ncsctl graphs compile mine")]
    for name in ("demo.blob", "demo.blob.json"):
        tree.file(f"/srv/mine/{name}", (demo / name).read_bytes())
    assert tree.said("graphs", everything=True) == [("PASS", "mine: loaded for backend xlink", None)]
    tree.file("/srv/mine/demo.blob", (demo / "demo.blob").read_bytes()[:4000])
    ((level, said, remedy),) = tree.said("graphs")
    assert (level, remedy) == ("FAIL", "ncsctl graphs check mine")
    assert said.startswith("backend xlink: graph mine: /srv/mine/demo.blob: ")


def test_libusb_that_is_missing_or_crashes(tree: Tree) -> None:
    tree.config(f'xlink.libusb = "{tree.root}/lib/none.so"\n')
    none = "/lib/none.so cannot be used: /lib/none.so: cannot open shared object file: No such file or directory"
    assert tree.said("libusb") == [("FAIL", none, "sudo apt install -y libusb-1.0-0")]
    need_compiler()
    compiler = build.compiler()
    assert compiler is not None
    crash = tree.root / "lib/crash.so"
    crash.parent.mkdir()
    source = "#include <stdlib.h>\n__attribute__((constructor)) static void begin(void) { abort(); }\n"
    subprocess.run([*compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", crash], input=source.encode(), check=True)
    tree.config(f'xlink.libusb = "{crash}"\n')
    died = "whether libusb can be loaded: the process that tried it died (SIGABRT)"
    assert tree.said("libusb") == [("FAIL", died, "sudo apt install --reinstall libusb-1.0-0")]


def test_interpreters_that_cannot_serve(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "LIMIT_S", 0.25)
    slow = tree.file("/opt/slow", "#!/bin/sh\nexec sleep 60\n", 0o755)
    old = tree.file("/opt/old", "#!/bin/sh\necho 'AssertionError: 3.6.9' >&2\nexit 1\n", 0o755)
    tree.config(f'[runtimes.slow]\npython = "{slow}"\n[runtimes.old]\npython = "{old}"\n')
    assert tree.said("runtimes") == [
        ("FAIL", "runtime slow: /opt/slow cannot serve: it does not answer", "/opt/slow -m pip install msgspec"),
        ("FAIL", "runtime old: /opt/old cannot serve: AssertionError: 3.6.9", "/opt/old -m pip install msgspec"),
    ]


def test_a_python_package_whose_binary_kills_the_process(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.file("/broken/cv2.py", "import os\nos.abort()\n")
    missing = "libGL.so.1: cannot open shared object file: No such file or directory"
    tree.file("/broken/rich.py", f"raise ImportError({missing!r})\n")
    path = os.pathsep.join([f"{tree.root}/broken", os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path.rstrip(os.pathsep))
    dies = "cv2 cannot be imported: the process that imports it dies (SIGABRT)"
    assert sorted(tree.said("packages")) == [
        ("FAIL", dies, f"{packages.PIP} --force-reinstall --no-deps opencv-python"),
        ("FAIL", "rich cannot be imported: libGL.so.1 is missing", "sudo apt install -y libgl1"),
    ]


def test_cameras_that_are_missing_or_belong_to_a_group_that_the_user_is_not_in(tree: Tree) -> None:
    tree.file("/dev/video2", "", 0o660)
    tree.config('[cameras.desk]\nsource = "usb:0"\n[cameras.door]\nsource = "/dev/video2"\n[cameras.deep]\nsource = "realsense"\n')
    assert tree.said("cameras") == [
        ("FAIL", "desk: there is no /dev/video0: there are /dev/video2", "ls -l /dev/video*; v4l2-ctl --list-devices"),
        ("FAIL", f"door: user ncs may not use /dev/video2 (group {OWN}, mode 0660)", f"sudo usermod -aG {OWN} ncs{JOIN}"),
        ("FAIL", "deep: no RealSense camera is on the bus", "plug it in, into a USB 3 port; then: lsusb -d 8086:"),
    ]
    tree.unit(f"SupplementaryGroups={OWN}\n")
    tree.usb("2-2", "8086:0b07", product="Intel(R) RealSense(TM) Depth Camera 435", speed=480)
    tree.file("/proc/77/comm", "motion\n")
    tree.link("/proc/77/fd/3", "/dev/video2")
    slow = "deep: the RealSense camera at port 2-2 runs at USB 2: smaller pictures, fewer of them"
    assert tree.said("cameras")[1:] == [
        ("WARN", "door: motion (pid 77) uses /dev/video2 too", "fuser -v /dev/video2"),
        ("WARN", slow, "plug it into a USB 3 port (blue), with a USB 3 cable; then: lsusb -t"),
    ]


def test_a_pi_camera_without_its_program(tree: Tree) -> None:
    program = tree.root / "rpicam-vid"
    tree.config(f'[cameras.yard]\nsource = "picamera:1"\noptions.program = "{program}"\n')
    assert tree.said("cameras") == [("FAIL", "yard: rpicam-vid is not installed", "sudo apt install rpicam-apps-lite")]
    program.write_text("")
    program.chmod(0o755)
    found = "yard: /rpicam-vid is there; rpicam-hello --list-cameras lists what it sees"
    assert tree.said("cameras", everything=True) == [("PASS", found, None)]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_network_camera_and_a_broker_that_do_not_listen(tree: Tree) -> None:
    port = closed_port()
    tree.config(f'[cameras.door]\nsource = "rtsp://u:pw@127.0.0.1:{port}/live"\n[mqtt]\nbroker = "127.0.0.1:{port}"\n', 0o600)
    assert tree.said("cameras", "broker") == [
        ("FAIL", f"door: rtsp://***@127.0.0.1:{port}/live cannot be reached: Connection refused", "ping -c 3 127.0.0.1"),
        (
            "FAIL",
            f"mqtt://127.0.0.1:{port} cannot be reached: Connection refused",
            f"nc -vz 127.0.0.1 {port}; on the broker: systemctl status mosquitto",
        ),
    ]
    with socket.create_server(("127.0.0.1", port)):
        assert tree.said("cameras", "broker", everything=True) == [
            ("PASS", f"door: rtsp://***@127.0.0.1:{port}/live answers", None),
            ("PASS", f"mqtt://127.0.0.1:{port} answers", None),
        ]


def test_a_nats_server_that_does_not_listen(tree: Tree) -> None:
    port = closed_port()
    tree.config(f'[nats]\nurl = "nats://127.0.0.1:{port}"\n')
    ((level, said, remedy),) = tree.said("nats")
    assert (level, remedy) == ("FAIL", f"nc -vz 127.0.0.1 {port}; on the server: systemctl status nats-server")
    assert said.startswith(f"nats://127.0.0.1:{port} cannot be used: ")


def test_a_nats_server_that_wants_another_password(tree: Tree, tmp_path: Path) -> None:
    users = 'authorization { users: [{ user: "onlooker", password: "unobtrusive-4711" }] }'
    with nats_server(tmp_path, users) as server:
        password = tree.file("/etc/ncs-cluster/nats-password", "wrong", 0o600)
        table = f'[nats]\nurl = "{server.url}"\nuser = "onlooker"\npassword-file = "{password}"\n'
        tree.config(table)
        remedy = "set user and password_file, or the key, in [nats] as the server has them (docs/fleet.md)"
        assert tree.said("nats") == [("FAIL", f"{server.url}: it does not accept the user and password", remedy)]
        password.write_text("unobtrusive-4711")
        assert tree.said("nats", everything=True) == [("PASS", f"{server.url} lets this daemon in", None)]


def test_a_fallback_that_cannot_load_the_graph(tree: Tree, small_graph_folder: Path) -> None:
    shutil.copytree(small_graph_folder, tree.root / "srv/small")
    settings = tree.config(f'graphs.small.path = "{tree.root}/srv/small"\n[fallback]\nbackend = "openvino"\n', backend="simulated")
    settings.write_text(settings.read_text().replace('["demo"]', '["small"]'))
    assert tree.said("fallback", everything=True) == [
        ("PASS", "the CPU can take over: small loaded for backend openvino", None),
    ]
    (tree.root / "srv/small/small.xml").write_text("<net/>")
    ((level, said, remedy),) = tree.said("fallback")
    assert (level, remedy) == ("FAIL", "leave out --fallback and [fallback], or replace the graph: ncsctl graphs list")
    assert said.startswith("the CPU cannot take over: ")
    tree.config("")
    assert tree.said("fallback", everything=True) == [("SKIP", "no fallback is configured", None)]
