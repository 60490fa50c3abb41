"""Lines of `ncsctl status -o wide`."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from ncs_cluster.cli.show_wide import HEAD, wide
from ncs_cluster.cli.text import Cell
from ncs_cluster.testing.control import control, some_status, some_stick
from tests.cli.asking import ncsctl

STICK = replace(
    some_stick("ncs-1-1.2", "active", 51.26),
    port="1-1.2",
    backend="xlink",
    name="rear\x1b[2J",
    firmware="1.2.3.4",
    runtime="old",
    usb_mbps=480.0,
    limit_c=65.0,
    duty=0.755,
    max_in_flight=4,
    in_flight=3,
    failed=2,
    boots=5,
    resets=1,
    restarts=3,
)


def cells(name: str, number: int = 0, *sticks: object) -> Cell:
    status = replace(some_status(), sticks=list(sticks))
    rows = wide(status)
    assert [cell.text.strip() for cell in rows[0]] == HEAD
    found = rows[1 + number][HEAD.index(name)]
    return Cell(found.text.strip(), found.style)


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("STICK", Cell("ncs-1-1.2")),
        ("NAME", Cell("rear [2J")),
        ("PORT", Cell("1-1.2")),
        ("USB", Cell("480 Mb/s", "warn")),
        ("POOL", Cell("default")),
        ("BACKEND", Cell("xlink")),
        ("RUNTIME", Cell("old")),
        ("FIRMWARE", Cell("1.2.3.4")),
        ("STATE", Cell("active")),
        ("TEMP", Cell("51.3 °C")),
        ("LIMIT", Cell("65.0 °C")),
        ("DUTY", Cell("76 %")),
        ("FPS", Cell("9.9")),
        ("MS P50/P99", Cell("100/103")),
        ("IN FLIGHT", Cell("3/4")),
        ("INFERENCES", Cell("512")),
        ("FAILED", Cell("2", "warn")),
        ("BOOTS", Cell("5")),
        ("RESETS", Cell("1", "warn")),
        ("RESTARTS", Cell("3", "warn")),
        ("PID", Cell("101")),
    ],
)
def test_each_column_has_its_figure(column: str, cell: Cell) -> None:
    assert cells(column, 0, STICK) == cell


def test_what_is_not_known_is_a_dash_and_usb_3_is_no_warning() -> None:
    bare = replace(some_stick("sim-2", "absent", None), pid=None)
    for column in ("NAME", "USB", "FIRMWARE", "TEMP", "LIMIT", "DUTY", "MS P50/P99", "PID"):
        assert cells(column, 1, STICK, bare) == Cell("-")
    assert cells("USB", 0, replace(STICK, usb_mbps=5000.0)) == Cell("5000 Mb/s")


def test_a_daemon_without_a_stick_says_so() -> None:
    assert wide(replace(some_status(), sticks=[])) == [[Cell("no stick", "bad")]]


def test_the_command_prints_the_table_or_the_document_and_tells_the_state_by_its_exit_code(tmp_path: Path) -> None:
    with control(tmp_path) as daemon:
        daemon.status = replace(daemon.status, daemon=replace(daemon.status.daemon, state="degraded"))
        done = ncsctl("status", "-o", "wide", place=tmp_path)
        assert [line.split()[0] for line in done.stdout.splitlines()] == ["STICK", "sim-1", "sim-2", "sim-3", "sim-4"]
        assert (done.returncode, done.stderr) == (1, "")
        documents = [ncsctl("status", *form, place=tmp_path).stdout for form in (["-o", "json"], ["--json"])]
        assert documents[0] == documents[1]
        assert ncsctl("status", "-o", "narrow", place=tmp_path).returncode == 2
