"""A machine made of files: what its kernel, systemd and users would show below /. Tests break one thing of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# imported once, by this process, and not by each that reads settings
import ncs_cluster.config.parts  # noqa: F401
from ncs_cluster.cli.doctor import command
from ncs_cluster.cli.doctor.checks import CHECKS
from ncs_cluster.cli.doctor.finding import PASS, SKIP

PATIENCE = 20.0
"""The machine of the tests may be busy."""
NCS = 990
"""User and group of the service; tests do not run as this user."""
OWN = "root" if os.getegid() == 0 else "testers"
"""The group of every file of the tree: the one of the user that runs the tests."""


class Tree:
    """Root of the machine. A service with User=ncs is installed; its settings are `config`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "sys").mkdir()
        self.file("/etc/passwd", f"root:x:0:0::/root:/bin/sh\nncs:x:{NCS}:{NCS}::/nonexistent:/usr/sbin/nologin\n")
        self.group(ncs=NCS)
        self.config("")
        self.unit()

    def file(self, path: str, text: str | bytes = "", mode: int = 0o644) -> Path:
        made = self.root / path.lstrip("/")
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(text.encode() if isinstance(text, str) else text)
        made.chmod(mode)
        return made

    def link(self, path: str, target: str) -> None:
        made = self.root / path.lstrip("/")
        made.parent.mkdir(parents=True, exist_ok=True)
        made.symlink_to(target)

    def group(self, *member: str, **groups: int) -> None:
        """/etc/group; user ncs is in the groups that `member` names."""
        rows = [
            f"{name}:x:{gid}:{'ncs' if name in member else ''}\n" for name, gid in {"root": 0, OWN: os.getegid(), **groups}.items()
        ]
        self.file("/etc/group", "".join(rows))

    def unit(self, extra: str = "") -> None:
        lines = "[Service]\nExecStart=/opt/ncs-cluster/bin/ncs-clusterd --config /etc/ncs-cluster.toml\nUser=ncs\nGroup=ncs\n"
        self.file("/etc/systemd/system/ncs-clusterd.service", lines + extra)

    def config(self, text: str, mode: int = 0o640, backend: str = "xlink") -> Path:
        """Settings whose folders are inside the tree."""
        places = f'state-dir = "{self.root}/var/lib/ncs-cluster"\nruntime-dir = "{self.root}/run/ncs-cluster"\n'
        return self.file("/etc/ncs-cluster.toml", f'backend = "{backend}"\ngraph = ["demo"]\n{places}{text}', mode)

    def program(self, name: str, script: str) -> None:
        self.file(f"/usr/bin/{name}", f"#!/bin/sh\n{script}\n", 0o755)

    def usb(self, port: str, ids: str, **attributes: object) -> None:
        """A device in sysfs, and its node. `mode`: of the node, which the user that runs the tests owns."""
        mode = attributes.pop("mode", 0o660)
        number = len(list((self.root / "sys/bus/usb/devices").glob("*"))) + 1
        bus = int(port.removeprefix("usb").partition("-")[0])
        vendor, _, product = ids.partition(":")
        words = {"idVendor": vendor, "idProduct": product, "busnum": bus, "devnum": number, "speed": 480, "bMaxPower": "500mA"}
        words |= {"bmAttributes": "80", "bDeviceClass": "00", "power/control": "on", "power/autosuspend_delay_ms": "2000"}
        for name, value in {**words, **attributes}.items():
            self.file(f"/sys/bus/usb/devices/{port}/{name}", f"{value}\n")
        self.file(f"/dev/bus/usb/{bus:03d}/{number:03d}", "", int(str(mode)))

    def stick(self, port: str, *, booted: bool = False, **attributes: object) -> None:
        self.usb(port, "03e7:f63b" if booted else "03e7:2485", **attributes)

    def said(self, *names: str, everything: bool = False) -> list[tuple[str, str, str | None]]:
        """Level, text and remedy of what these checks find; only what is wrong, unless `everything`. The root is written as /."""
        checks = [check for check in CHECKS if check.name in names]
        assert len(checks) == len(names)
        _, found = command.examine(None, None, self.root, PATIENCE, checks)
        return [
            (each.level, self.shown(each.text), each.remedy and self.shown(each.remedy))
            for each in found
            if everything or each.level not in (PASS, SKIP)
        ]

    def shown(self, text: str) -> str:
        return text.replace(str(self.root), "")


@pytest.fixture
def tree() -> Iterator[Tree]:
    """In a folder that every user may enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        yield Tree(root)
