"""The drop-in for [fan] under a real systemd: the unit's own protection, but for the files of the chip."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.deploy.container import booted, need_container

pytestmark = pytest.mark.slow

CHANGED = {
    "ExecStart=/opt/ncs-cluster/bin/ncs-clusterd --config /etc/ncs-cluster/ncs-cluster.toml": (
        "ExecStart=-sh -c 'echo 99 > /sys/devices/platform/pwm1'\nExecStart=-sh -c 'echo 99 > /sys/devices/virtual/pwm1'"
    ),
    "Type=notify": "Type=oneshot",
    "Restart=always": "Restart=no",
    "User=ncs\nGroup=ncs": "User=nobody\nGroup=nogroup",
}
"""The shipped unit writes to two files of sysfs instead, and ends."""
SCRIPT = """
for folder in platform virtual; do
    mount -t tmpfs none /sys/devices/$folder
    echo 0 > /sys/devices/$folder/pwm1
    chmod 0666 /sys/devices/$folder/pwm1
done
systemctl start fan
cat /sys/devices/platform/pwm1 /sys/devices/virtual/pwm1 > /out/written
"""


@pytest.mark.parametrize(("drop_in", "written"), [(False, ["0", "0"]), (True, ["99", "0"])])
def test_the_drop_in_opens_the_chip_s_files_and_no_others(tmp_path: Path, drop_in: bool, written: list[str]) -> None:
    need_container()
    unit = (ROOT / "deploy/ncs-clusterd.service").read_text()
    for before, after in CHANGED.items():
        assert before in unit
        unit = unit.replace(before, after)
    (tmp_path / "fan.service").write_text(unit)
    (tmp_path / "script").write_text(SCRIPT)
    (tmp_path / "out").mkdir()
    binds = [
        f"--bind={tmp_path / 'out'}:/out",
        f"--bind-ro={tmp_path / 'script'}:/script",
        f"--bind-ro={tmp_path / 'fan.service'}:/etc/systemd/system/fan.service",
    ]
    if drop_in:
        binds.append(f"--bind-ro={ROOT / 'deploy/ncs-clusterd.service.d'}:/etc/systemd/system/fan.service.d")
    said = booted(tmp_path, ["sh -eux /script"], binds, {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"})
    assert (tmp_path / "out/written").exists(), f"{said}\n{(tmp_path / 'out/log').read_text()}"
    assert (tmp_path / "out/written").read_text().split() == written
