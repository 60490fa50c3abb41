"""The tables [fan] and [ambient]: exact specs, and one line for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncs_cluster.specs import AmbientSpec, FanSpec
from tests.oneconfig import Write, refusal, simulated

CHIP = "name the fan's hwmon chip, as the file `name` in its folder says"
RELATIVE = "give it relative to that, without .."


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return Write(tmp_path / "c.toml")


def test_without_the_tables_there_is_neither() -> None:
    assert (simulated().fan, simulated().ambient) == (None, None)


def test_every_key_reaches_its_field_and_a_relative_root_is_relative_to_the_file(write: Write, tmp_path: Path) -> None:
    (tmp_path / "sys").mkdir()
    given = simulated(
        *write(
            '[fan]\nchip = "pwmfan"\nchannel = 2\nsysfs = "sys"\noff-above = 30\nfull-below = 5.5\nhysteresis = 1\n'
            'least-run-s = 10\nleast-duty = 0.2\n[ambient]\nchip = "sht3x"\nchannel = 3\nsysfs = "sys"\n'
        )
    )
    root = str(tmp_path / "sys")
    assert given.fan == FanSpec("pwmfan", 2, root, 30.0, 5.5, 1.0, 10.0, 0.2)
    assert given.ambient == AmbientSpec("", "sht3x", 3, root)


def test_a_name_is_enough() -> None:
    given = simulated("--set", "fan.chip=gpio_fan", "--set", "ambient.file=bus/w1/devices/28-0000055f1020/temperature")
    assert given.fan == FanSpec("gpio_fan")
    assert given.ambient == AmbientSpec("bus/w1/devices/28-0000055f1020/temperature")


@pytest.mark.parametrize(
    ("sets", "line"),
    [
        (["fan.chip=a", "fan.full_below=20"], "--set fan.full_below: full_below (20 K) must be less than off_above (20 K)"),
        (["fan.off_above=30"], f"--set fan.off_above: chip is missing; {CHIP}"),
        (["ambient.channel=2"], "--set ambient.channel: file and chip are missing; give one of them"),
        (["fan.chip=a", "fan.sysfs=/nowhere"], "--set fan.sysfs: /nowhere is not a folder; leave it out for /sys"),
        (["ambient.file=a", "ambient.chip=b"], "--set ambient.chip: file and chip name two sensors; leave one of them out"),
        (["ambient.file=/etc/passwd"], f"--set ambient.file: '/etc/passwd' must lie inside sysfs; {RELATIVE}"),
        (["ambient.file=a/../../b"], f"--set ambient.file: 'a/../../b' must lie inside sysfs; {RELATIVE}"),
        (["ambient.file="], '--set ambient.file: String should have at least 1 character, not ""'),
    ],
)
def test_what_is_wrong_is_said_in_one_line(sets: list[str], line: str) -> None:
    assert refusal(*[word for each in sets for word in ("--set", each)]) == line
