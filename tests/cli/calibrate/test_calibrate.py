"""ncsctl calibrate on simulated and emulated sticks: what becomes of readings, interruptions and errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from tests.cli import asking
from tests.system.test_run_sticks import CHIP
from tests.tied import TIED
from tests.waiting import until

NCSCTL = [*TIED, sys.executable, "-m", "ncs_cluster.cli.ncsctl"]
PLANT = {"die_case_k_w": 21.0, "die_j_k": 2.2, "case_air_k_w": 11.0, "case_j_k": 36.0, "work_w": 1.5}
DONE_S = 240.0


def simulated(folder: Path, *more: str, scale: float = 60.0) -> list[str]:
    words = ["calibrate", "--backend", "simulated", "--stick", "sim-1", "--time-scale", str(scale)]
    for name, value in {"latency_ms": 5, "infer": "false", "noise_c": 0.4, "step_c": 1.0}.items():
        words += ["--set", f"simulated.{name}={value}"]
    for name, value in PLANT.items():
        words += ["--set", f"simulated.plant.{name}={value}"]
    return [*words, "--state-dir", str(folder / "state"), *more]


def done(words: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    return asking.ncsctl_in({**os.environ, **env}, *words, timeout_s=DONE_S)


def last_worked_s(part: Path) -> float:
    """How long the stick has worked, by the last whole line; 0 before there is one."""
    lines = part.read_bytes().split(b"\n")[1:-1] if part.exists() else []
    return float(json.loads(lines[-1])[3]) if lines else 0.0


@pytest.mark.slow
def test_an_interrupted_calibration_goes_on_and_its_file_has_all_readings_and_nothing_private(tmp_path: Path) -> None:
    words = simulated(tmp_path, "--idle", "8", "--load", "10", "--plot", str(tmp_path / "plot.png"), scale=60.0)
    part, file = tmp_path / "state/thermal/sim-1.part", tmp_path / "state/thermal/sim-1.json"
    with subprocess.Popen([*NCSCTL, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        until_s = time.monotonic() + DONE_S
        while last_worked_s(part) < 150.0:
            assert time.monotonic() < until_s
            assert first.poll() is None
            time.sleep(0.1)
        first.send_signal(signal.SIGINT)
        _, told = first.communicate(timeout=DONE_S)
    assert first.returncode == 130
    assert "are kept; the same command goes on" in told
    assert not file.exists()
    kept = [json.loads(line) for line in part.read_bytes().split(b"\n")[1:] if line]
    again = done(words)
    assert again.returncode == 0, again.stderr
    assert "goes on after" in again.stderr
    assert not part.exists()
    document = json.loads(file.read_text())
    assert document["samples"][: len(kept)] == kept
    assert {sample[0] for sample in document["samples"]} == {0, 1}
    assert document["hottest_c"] == max(sample[2] for sample in document["samples"]) <= 65.0
    assert document["throttled_c"] is None
    # 10 ms of a busy machine are a second of this stick: that figures are right is tested on a virtual clock
    assert document["figures"]["die_rise_k"] == pytest.approx(31.5, rel=0.25)
    assert f"die over case, at full work       {document['fit']['die_rise_k']['value']:.1f} ± " in again.stdout
    picture = cv2.imread(str(tmp_path / "plot.png"))
    assert picture is not None
    # readings are blue, the fit is vermilion
    for colour in ((178, 114, 0), (0, 94, 213)):
        assert (np.abs(picture.astype(int) - colour).max(axis=2) < 30).sum() > 150
    text = file.read_text()
    assert not any(private in text for private in (os.uname().nodename, str(tmp_path), os.path.expanduser("~")))


@pytest.mark.slow
def test_an_emulated_stick_warms_up_by_its_work_and_stays_under_the_limit(
    start_emulators: Callable[..., Emulator], tmp_path: Path
) -> None:
    bus = start_emulators()
    bus.add("1-1.1", **CHIP, heat_scale=20.0, plant=PLANT, ambient_c=25.0)
    firmware = tmp_path / "firmware.mvcmd"
    firmware.write_bytes(artificial_firmware(40_000))
    words = ["calibrate", "--backend", "xlink", "--graph", "demo", "--time-scale", "20", "--idle", "1", "--load", "4"]
    words += ["--set", f"discovery.sysfs={bus.sysfs}", "--set", f"xlink.firmware={firmware}", "--set", "xlink.check_s=0"]
    ended = done([*words, "--state-dir", str(tmp_path / "state")], **bus.env)
    # so short a time may be too short for a fit
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 0 or "not certain to a quarter" in ended.stderr
    (file,) = (tmp_path / "state/thermal").iterdir()
    assert file.stem == "ncs-1-1.1"
    if ended.returncode == 0:
        samples = json.loads(file.read_text())["samples"]
    else:
        samples = [json.loads(line) for line in file.read_bytes().split(b"\n")[1:] if line]
    rested_c = [sample[2] for sample in samples if sample[3] == 0.0]
    hottest_c = max(sample[2] for sample in samples)
    assert max(rested_c) < 40.0
    assert 60.0 < hottest_c < 65.0
    assert samples[-1][2] < hottest_c - 8.0
    assert 60.0 < samples[-1][3] < 240.0


@pytest.mark.slow
def test_an_emulated_stick_whose_calibration_fails_is_back_in_its_rom_under_its_own_name(
    start_emulators: Callable[..., Emulator], tmp_path: Path
) -> None:
    bus = start_emulators()
    # its watchdog would bring it back too
    bus.add("1-1.1", **{**CHIP, "graphs": "zero", "watchdog_s": 600.0}, heat=False)
    firmware = tmp_path / "firmware.mvcmd"
    firmware.write_bytes(artificial_firmware(40_000))
    words = ["calibrate", "--backend", "xlink", "--graph", "demo", "--time-scale", "100", "--idle", "1", "--load", "4"]
    words += ["--set", f"discovery.sysfs={bus.sysfs}", "--set", f"xlink.firmware={firmware}", "--set", "xlink.check_s=0"]
    ended = done([*words, "--state-dir", str(tmp_path / "state")], **bus.env)
    assert ended.returncode == 1
    assert "its sensor reads 25.0 °C after 120 s of" in ended.stderr
    product = bus.sysfs / "bus/usb/devices/1-1.1/idProduct"
    until(product.exists, "the stick to return to its ROM")
    assert product.read_text().strip() == "2485"


@pytest.mark.parametrize(
    ("flags", "told", "code"),
    [
        (["--set", "simulated.sensor=false"], "stick sim-1: it has no temperature sensor", 1),
        (["--stick", "sim-9"], "--stick sim-9: there is no such stick, but sim-1, sim-2, sim-3, sim-4", 2),
        (["--stick", "sim"], "--stick sim: there is no such stick, but sim-1, sim-2, sim-3, sim-4", 2),
        (["--set", "simulated.plant.colour=3"], "plant: there is no 'colour'", 78),
        (["--set", "simulated.plant.die_j_k=0"], "plant: die_j_k must be more than 0", 78),
        (["--idle", "0"], "argument --idle: is minutes from 1 to 240, not '0'", 2),
        (["--time-scale", "nan"], "argument --time-scale: is a factor from 0.1 to 1000, not 'nan'", 2),
    ],
)
def test_a_wrong_command_line_costs_one_line(flags: list[str], told: str, code: int, tmp_path: Path) -> None:
    ended = done(simulated(tmp_path, *flags))
    assert ended.returncode == code
    assert told in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_sensor_that_does_not_see_the_work_ends_it_with_a_reason(tmp_path: Path) -> None:
    ended = done(simulated(tmp_path, "--set", "simulated.heat=false", "--idle", "1", "--load", "10", scale=120.0))
    assert ended.returncode == 1
    assert "of work: it does not warm up" in ended.stderr
    assert not (tmp_path / "state/thermal/sim-1.json").exists()


def test_readings_of_other_flags_are_not_mixed(tmp_path: Path) -> None:
    part = tmp_path / "state/thermal/sim-1.part"
    part.parent.mkdir(parents=True)
    part.write_text('{"stick":"sim-1","backend":"simulated","graph":"demo","idle_s":60,"load_s":60,"limit_c":65,"time_scale":1}\n')
    ended = done(simulated(tmp_path))
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].endswith(
        "was begun with another idle, load, time_scale; give the same flags, or begin anew with --again"
    )
