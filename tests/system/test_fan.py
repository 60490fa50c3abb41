"""A whole daemon with a fan and a sensor of the air, both files as the kernel has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ncs_cluster.specs import AmbientSpec, ClusterSpec, FanSpec
from ncs_cluster.testing.daemon import Status, running, settings, sticks, synthetic
from tests.cli.asking import ncsctl
from tests.processes.test_sysfs import chip


def test_the_fan_follows_the_headroom_and_is_at_full_speed_when_the_daemon_ends(tmp_path: Path) -> None:
    root = tmp_path / "sys"
    folder = chip(root, 2, "pwmfan", pwm1="0\n", pwm1_enable="2\n")
    (root / "air").write_text("24300\n")
    spec = FanSpec("pwmfan", sysfs=os.fspath(root), off_above_k=60.0, full_below_k=0.0, hysteresis_k=1.0)
    clusters = ClusterSpec(0, "predictive", switch_temp_c=70.0, time_scale=10.0)
    ambient = AmbientSpec("air", sysfs=os.fspath(root))
    with running(settings(tmp_path, sticks(2), [synthetic()], clusters, fan=spec, ambient=ambient)) as daemon:

        def follows(status: Status) -> bool:
            """Between off and full, as the headroom of a fraction of a second ago asks."""
            headrooms = [stick["headroom_c"] for stick in status["sticks"]]
            duty = status["machine"]["fan_duty"]
            if None in headrooms or duty is None:
                return False
            air = status["machine"]["ambient_c"] == 24.3
            return bool(air and duty < 1.0 and duty == pytest.approx(1.0 - 0.7 * min(headrooms) / 60.0, abs=0.05))

        daemon.until(follows, "sets the fan by the smallest headroom")
        # on a busy machine a reading may be missing for a while, and the fan be at full speed
        daemon.until(lambda _: 0 < int((folder / "pwm1").read_text() or 255) < 255, "has told the chip")
        assert (folder / "pwm1_enable").read_text() == "1\n"
        shown = ncsctl("status", place=daemon.runtime_dir).stdout
        (line,) = [line for line in shown.splitlines() if line.startswith("machine")]
        assert ", air 24.3 °C; fan at " in line
        (root / "air").write_text("no number\n")
        daemon.until(lambda status: status["machine"]["ambient_c"] is None, "has no reading of the air")
        daemon.until(lambda _: daemon.story("ambient"), "says so")
        assert daemon.stop() == 0
        assert (folder / "pwm1").read_text() == "255\n"


def test_a_fan_that_cannot_be_set_is_an_event_and_the_daemon_works(tmp_path: Path) -> None:
    (tmp_path / "sys").mkdir()
    spec = FanSpec("pwmfan", sysfs=os.fspath(tmp_path / "sys"))
    with running(settings(tmp_path, sticks(1), [synthetic()], fan=spec)) as daemon:
        status = daemon.well()
        daemon.until(lambda _: daemon.story("fan"), "says that there is no fan")
        why = f"no hwmon chip below {tmp_path}/sys is called pwmfan: there is none at all"
        assert daemon.story("fan")[:1] == [f"cannot be set: {why}; tried again until it works"]
        assert status["machine"]["fan_duty"] is None
