"""The fan and the sensor of the air on files as the kernel has them, step by step; and a whole daemon with both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ncs_cluster.processes.climate import OLD_S, REWRITE_S, SILENT_S, AmbientSensor, Climate, FanDriver
from ncs_cluster.specs import AmbientSpec, FanSpec
from ncs_cluster.status import MachineStatus
from tests.processes.test_sysfs import chip

MACHINE = MachineStatus(0.5, 12.0, 4, 1000.0, 4000.0, 48.2)


class Fan:
    """A fan of a chip below `root`, driven step by step."""

    def __init__(self, root: Path, **files: str) -> None:
        self.said: list[tuple[str, str, str]] = []
        self.folder = chip(root, 3, "pwmfan", **files)
        self.driver = FanDriver(FanSpec("pwmfan", sysfs=os.fspath(root)), lambda *line: self.said.append(line), 0.0)

    def step(self, now_s: float, duty: float | None = None, *, ended: bool = False) -> str:
        """What its file says then."""
        if duty is not None:
            self.driver.tell(duty, now_s)
        self.driver.step(now_s, ended=ended)
        return (self.folder / "pwm1").read_text()


def test_the_duty_becomes_the_number_of_the_file_and_is_never_rounded_down(tmp_path: Path) -> None:
    fan = Fan(tmp_path, pwm1="0\n")
    assert [fan.step(at, duty) for at, duty in enumerate((0.0, 0.3, 0.302, 0.5, 0.9999, 1.0))] == [
        "0\n", "77\n", "78\n", "128\n", "255\n", "255\n",
    ]  # fmt: skip
    assert (fan.driver.shown, fan.said) == (1.0, [])


def test_it_is_at_full_speed_until_the_first_duty_comes(tmp_path: Path) -> None:
    fan = Fan(tmp_path, pwm1="0\n")
    assert (fan.step(0.0), fan.driver.shown) == ("255\n", 1.0)


def test_it_is_set_by_hand_where_the_chip_has_such_a_switch_and_the_switch_of_another_channel_is_left_alone(tmp_path: Path) -> None:
    fan = Fan(tmp_path, pwm1="0\n", pwm1_enable="2\n", pwm2="40\n", pwm2_enable="2\n")
    assert fan.step(0.0, 0.5) == "128\n"
    assert {file: (fan.folder / file).read_text() for file in ("pwm1_enable", "pwm2", "pwm2_enable")} == {
        "pwm1_enable": "1\n",
        "pwm2": "40\n",
        "pwm2_enable": "2\n",
    }


def test_what_another_program_has_written_is_written_over_in_time(tmp_path: Path) -> None:
    fan = Fan(tmp_path, pwm1="0\n", pwm1_enable="1\n")
    fan.step(0.0, 0.5)
    (fan.folder / "pwm1").write_text("3\n")
    (fan.folder / "pwm1_enable").write_text("2\n")
    assert fan.step(REWRITE_S - 0.1, 0.5) == "3\n"
    assert fan.step(REWRITE_S, 0.5) == "128\n"
    assert (fan.folder / "pwm1_enable").read_text() == "1\n"


def test_it_is_at_full_speed_when_the_loop_has_told_nothing_for_some_seconds_and_follows_again(tmp_path: Path) -> None:
    fan = Fan(tmp_path, pwm1="0\n")
    assert fan.step(0.0, 0.2) == "51\n"
    assert fan.step(SILENT_S) == "51\n"
    assert fan.step(SILENT_S + 0.1) == "255\n"
    assert fan.step(SILENT_S + 1.0, 0.2) == "51\n"


def test_it_is_at_full_speed_at_the_end_also_where_it_was_so_and_another_program_has_changed_it(tmp_path: Path) -> None:
    fan = Fan(tmp_path, pwm1="0\n")
    fan.step(0.0, 1.0)
    (fan.folder / "pwm1").write_text("0\n")
    assert fan.step(1.0, 0.1, ended=True) == "255\n"


def test_a_write_that_fails_is_said_once_tried_each_second_and_its_end_is_said_once(tmp_path: Path) -> None:
    fan = Fan(tmp_path, pwm1="0\n")
    (fan.folder / "pwm1").unlink()
    for at in range(5):
        fan.driver.tell(0.5, float(at))
        fan.driver.step(float(at))
    why = f"{tmp_path}/class/hwmon/hwmon3/pwm1 is not there (No such file or directory)"
    assert fan.said == [("warning", "fan", f"cannot be set: {why}; tried again until it works")]
    assert fan.driver.shown is None
    (fan.folder / "pwm1").write_text("0\n")
    assert fan.step(5.0, 0.5) == "128\n"
    assert fan.step(6.0, 0.6) == "153\n"
    assert fan.said[1:] == [("info", "fan", "works again")]
    assert fan.driver.shown == 0.6


def test_a_driver_that_is_loaded_again_is_found_under_its_new_number(tmp_path: Path) -> None:
    fan = Fan(tmp_path, pwm1="0\n")
    fan.step(0.0, 0.5)
    (tmp_path / "class/hwmon/hwmon3").unlink()
    other = chip(tmp_path, 7, "pwmfan", pwm1="0\n")
    fan.step(1.0, 0.2)
    assert ((other / "pwm1").read_text(), fan.said) == ("51\n", [])


class Air:
    """A sensor below `root`, read step by step."""

    def __init__(self, root: Path, spec: AmbientSpec) -> None:
        self.said: list[tuple[str, str, str]] = []
        self.sensor = AmbientSensor(spec, lambda *line: self.said.append(line))

    def step(self, now_s: float) -> float | None:
        self.sensor.step(now_s)
        return self.sensor.reading_c(now_s)


def test_the_air_is_read_from_a_file_or_from_a_chip_in_thousandths_of_a_degree(tmp_path: Path) -> None:
    file = tmp_path / "bus/w1/devices/28-0000055f1020/temperature"
    file.parent.mkdir(parents=True)
    file.write_text("23187\n")
    chip(tmp_path, 0, "cpu_thermal", temp1_input="48000\n")
    chip(tmp_path, 1, "sht3x", temp1_input="99000\n", temp2_input="-4060\n")
    by_file = AmbientSpec("bus/w1/devices/28-0000055f1020/temperature", sysfs=os.fspath(tmp_path))
    by_chip = AmbientSpec("", "sht3x", 2, os.fspath(tmp_path))
    assert [Air(tmp_path, spec).step(0.0) for spec in (by_file, by_chip)] == [23.2, -4.1]


def test_a_sensor_that_fails_has_no_reading_and_is_said_once_and_an_old_reading_is_none(tmp_path: Path) -> None:
    file = tmp_path / "air"
    file.write_text("21000\n")
    air = Air(tmp_path, AmbientSpec("air", sysfs=os.fspath(tmp_path)))
    assert air.step(0.0) == 21.0
    assert (air.sensor.reading_c(OLD_S), air.sensor.reading_c(OLD_S + 0.1)) == (21.0, None)
    file.write_text("23.4\n")
    assert [air.step(2.0), air.step(4.0)] == [None, None]
    why = f"{file} holds no whole number: '23.4'"
    assert air.said == [("warning", "ambient", f"cannot be read: {why}; tried again until it works")]
    file.write_text("22000\n")
    assert (air.step(6.0), air.said[1:]) == (22.0, [("info", "ambient", "works again")])


@pytest.mark.parametrize("text", ["127937\n", "-60000\n"])
def test_what_no_air_has_is_no_reading(tmp_path: Path, text: str) -> None:
    (tmp_path / "air").write_text(text)
    air = Air(tmp_path, AmbientSpec("air", sysfs=os.fspath(tmp_path)))
    assert air.step(0.0) is None
    assert [line[2] for line in air.said] == [
        f"says {int(text) / 1000:g} °C, which no air has; the file must hold thousandths of a degree; tried again until it works"
    ]


def test_both_are_shown_beside_the_machine_s_figures_and_the_fan_is_at_full_speed_after_the_end(tmp_path: Path) -> None:
    (tmp_path / "air").write_text("21000\n")
    folder = chip(tmp_path, 0, "pwmfan", pwm1="0\n")
    climate = Climate(FanSpec("pwmfan", sysfs=os.fspath(tmp_path)), AmbientSpec("air", sysfs=os.fspath(tmp_path)))
    climate.close()
    assert (folder / "pwm1").read_text() == "255\n"
    shown = climate.shown(MACHINE)
    assert shown is not None
    assert (shown.fan_duty, shown.temperature_c) == (1.0, 48.2)
    assert climate.shown(None) is None


def test_without_both_the_machine_s_figures_are_as_they_are_and_no_thread_runs() -> None:
    climate = Climate(None, None)
    climate.set_fan(0.5)
    climate.tick(lambda *line: pytest.fail(str(line)))
    assert climate.shown(MACHINE) == MACHINE
    climate.close()
