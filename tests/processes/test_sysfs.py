"""Numbers in files below a sysfs root: chips by name, and nothing outside the root or that is no file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from ncs_cluster.processes import sysfs
from ncs_cluster.processes.sysfs import SysfsError


def chip(root: Path, number: int, name: str, **files: str) -> Path:
    """A hwmon chip as the kernel shows it: a folder below devices, and a link to it. Returns the folder."""
    folder = root / f"devices/platform/chip{number}/hwmon/hwmon{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    for file, text in files.items():
        (folder / file).write_text(text)
    links = root / "class/hwmon"
    links.mkdir(parents=True, exist_ok=True)
    (links / f"hwmon{number}").symlink_to(os.path.relpath(folder, links))
    return folder


def refusal(error: pytest.ExceptionInfo[SysfsError]) -> str:
    line = str(error.value)
    assert "\n" not in line
    return line


def test_a_chip_is_found_by_its_name_wherever_the_kernel_has_numbered_it(tmp_path: Path) -> None:
    chip(tmp_path, 0, "cpu_thermal", temp1_input="48000\n")
    fan = chip(tmp_path, 11, "pwmfan", pwm1="128\n")
    found = sysfs.chip_file(tmp_path, "pwmfan", "pwm1")
    assert found == (fan / "pwm1").resolve()
    assert sysfs.read_number(found) == 128
    sysfs.write_number(found, 7)
    assert (fan / "pwm1").read_text() == "7\n"


def test_a_chip_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(SysfsError) as none:
        sysfs.chip_file(tmp_path, "pwmfan", "pwm1")
    assert refusal(none) == f"no hwmon chip below {tmp_path} is called pwmfan: there is none at all"
    chip(tmp_path, 1, "rpi_volt")
    chip(tmp_path, 0, "cpu\nthermal")
    with pytest.raises(SysfsError) as other:
        sysfs.chip_file(tmp_path, "pwmfan", "pwm1")
    assert refusal(other) == f"no hwmon chip below {tmp_path} is called pwmfan: there are cpu\\nthermal, rpi_volt"


def test_two_chips_of_one_name_are_refused_and_named(tmp_path: Path) -> None:
    chip(tmp_path, 0, "pwmfan", pwm1="0\n")
    chip(tmp_path, 1, "pwmfan", pwm1="0\n")
    with pytest.raises(SysfsError) as error:
        sysfs.chip_file(tmp_path, "pwmfan", "pwm1")
    both = ", ".join(str(tmp_path / f"class/hwmon/hwmon{number}") for number in (0, 1))
    assert refusal(error) == f"several hwmon chips are called pwmfan: {both}"


def test_a_file_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    folder = chip(tmp_path, 0, "pwmfan")
    with pytest.raises(SysfsError, match=re.escape("pwm1 is not there (No such file or directory)")):
        sysfs.chip_file(tmp_path, "pwmfan", "pwm1")
    with pytest.raises(SysfsError, match="cannot be written"):
        sysfs.write_number(folder / "pwm1", 255)
    assert os.listdir(folder) == ["name"]


def test_a_link_out_of_the_root_is_not_followed_and_what_it_means_not_touched(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine\n")
    root = tmp_path / "sys"
    folder = chip(root, 0, "pwmfan")
    (folder / "pwm1").symlink_to(outside)
    with pytest.raises(SysfsError) as error:
        sysfs.chip_file(root, "pwmfan", "pwm1")
    assert refusal(error) == f"{root}/class/hwmon/hwmon0/pwm1 leads out of {root}; it is not touched"
    with pytest.raises(SysfsError, match="is not a regular file"):
        sysfs.write_number(folder / "pwm1", 255)
    assert outside.read_text() == "mine\n"


@pytest.mark.parametrize("above", ["../outside", "a/../../outside"])
def test_a_path_with_dots_does_not_leave_the_root(tmp_path: Path, above: str) -> None:
    (tmp_path / "sys/a").mkdir(parents=True)
    (tmp_path / "outside").write_text("1\n")
    with pytest.raises(SysfsError, match="leads out of"):
        sysfs.inside(tmp_path / "sys", tmp_path / "sys" / above)


def test_a_root_that_is_a_link_is_a_root(tmp_path: Path) -> None:
    chip(tmp_path / "real", 0, "pwmfan", pwm1="1\n")
    (tmp_path / "link").symlink_to("real")
    assert sysfs.read_number(sysfs.chip_file(tmp_path / "link", "pwmfan", "pwm1")) == 1


def test_a_pipe_is_neither_waited_for_nor_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pwm1")
    for use in (lambda: sysfs.read_number(tmp_path / "pwm1"), lambda: sysfs.write_number(tmp_path / "pwm1", 1)):
        with pytest.raises(SysfsError, match="is not a regular file"):
            use()


@pytest.mark.parametrize(("text", "number"), [("23125\n", 23125), ("-4500\n", -4500), ("+0", 0), (" 12 \n", 12)])
def test_a_number_is_read_with_its_sign(tmp_path: Path, text: str, number: int) -> None:
    (tmp_path / "file").write_text(text)
    assert sysfs.read_number(tmp_path / "file") == number


@pytest.mark.parametrize(
    ("text", "shown"), [(b"", "''"), (b"23.1", "'23.1'"), (b"a\n1", "'a\\\\n1'"), (b"\xff\n", "'�'"), (b"9" * 64, f"'{'9' * 20}'")]
)
def test_what_is_no_number_is_refused_in_one_line(tmp_path: Path, text: bytes, shown: str) -> None:
    (tmp_path / "file").write_bytes(text)
    with pytest.raises(SysfsError) as error:
        sysfs.read_number(tmp_path / "file")
    assert refusal(error) == f"{tmp_path}/file holds no whole number: {shown}"


def test_a_file_without_the_right_to_write_names_the_remedy() -> None:
    # the kernel refuses it also to root
    with pytest.raises(SysfsError) as error:
        sysfs.write_number(Path("/proc/self/stat"), 1)
    assert refusal(error).startswith("/proc/self/stat cannot be written (")
