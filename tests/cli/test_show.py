"""Lines of `ncsctl status`, made of a status document."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ncs_cluster.cli import show
from ncs_cluster.status import MachineStatus, Status
from ncs_cluster.testing.control import some_status

MACHINE = MachineStatus(0.5, 12.0, 4, 1000.0, 4000.0, 48.2)


def line(status: Status) -> str:
    return "".join(cell.text for cell in show.machine(status))


@pytest.mark.parametrize(
    ("machine", "shown"),
    [
        (MACHINE, ", 48 °C"),
        (replace(MACHINE, ambient_c=23.52, fan_duty=0.302), ", 48 °C, air 23.5 °C; fan at 30 %"),
        (replace(MACHINE, fan_duty=0.0), ", 48 °C; fan off"),
        (replace(MACHINE, temperature_c=None, ambient_c=-4.0), ", air -4.0 °C"),
    ],
)
def test_the_air_and_the_fan_stand_behind_the_machine_s_own_temperature(machine: MachineStatus, shown: str) -> None:
    assert line(replace(some_status(), machine=machine)) == f"machine   CPU 12 % of 4 cores, load 0.50, memory 1.0 of 4.0 GB{shown}"
