"""Lines of `ncsctl status`, made of a status document."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ncs_cluster.cli import show, show_clusters
from ncs_cluster.status import FallbackStatus, MachineStatus, OriginalStatus, PoolStatus, Status
from ncs_cluster.testing.control import some_status, some_stick

POOL = PoolStatus("default", "ring", 2, 65.0, 10.0, ["sim-1", "sim-2"], 4.2, 7, False)
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


def clusters(status: Status) -> list[str]:
    return ["".join(cell.text for cell in line) for line in show_clusters.clusters(status) if "last switch" not in line[0].text]


def test_each_of_several_pools_has_its_own_policy_limit_and_turns() -> None:
    usb = PoolStatus("usb", "ring", 2, 62.0, 10.0, ["sim-1", "sim-2"], 4.2, 7, False)
    cpu = PoolStatus("cpu", "all", 0, 80.0, 0.0, ["cpu-1"], None, 0, False)
    status = some_status()
    assert clusters(replace(status, pools=[usb])) == [
        "clusters  ring, 2 at a time: switch at 65 °C or after 10 s",
        "  ▶ sim-1 sim-2 · sim-3 sim-4",
        "  next switch in 4 s; 7 switches so far",
    ]
    assert clusters(replace(status, pools=[usb, replace(cpu, shedding=True)])) == [
        "clusters  usb: ring, 2 at a time: switch at 62 °C or after 10 s",
        "            next switch in 4 s; 7 switches so far",
        "          cpu: all sticks are active; one that reaches 80 °C rests",
        "            every stick of it rests",
        "  ▶ sim-1 sim-2 · sim-3 sim-4",
    ]


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        (FallbackStatus("fallback", True, False, None, 0.0, 0, 0.0), "fallback  cpu-1 stands by"),
        (FallbackStatus("fallback", False, False, None, 0.0, 0, 0.0), "fallback  cpu-1 is not running"),
        (
            FallbackStatus("fallback", False, False, "no stick can work", 0.0, 1, 61.0),
            "fallback  cpu-1 is not ready; 1 time so far, 1 min 1 s together",
        ),
        (
            FallbackStatus("fallback", True, True, "no stick can work", 11.6, 2, 90.0),
            "fallback  cpu-1 works at 11.6/s in place of the sticks; 2 times so far, 1 min 30 s together",
        ),
    ],
)
def test_the_fallback_is_a_line_of_its_own_and_no_pool_beside_the_others(known: FallbackStatus, shown: str) -> None:
    usb = PoolStatus("usb", "ring", 2, 65.0, 10.0, ["sim-1", "sim-2"], 4.2, 7, False)
    own = PoolStatus("fallback", "all", 0, 65.0, 10.0, [], None, 0, False, fallback=True)
    worker = replace(some_stick("cpu-1", "standby", None), pool="fallback")
    status = some_status()
    status = replace(status, pools=[usb, own], fallback=known, sticks=[worker, *status.sticks])
    assert clusters(status) == [
        "clusters  ring, 2 at a time: switch at 65 °C or after 10 s",
        "  ▶ sim-1 sim-2 · sim-3 sim-4",
        "  next switch in 4 s; 7 switches so far",
        shown,
    ]


def test_the_original_script_s_twin_is_one_line() -> None:
    twin = OriginalStatus([71.34, 68.0], 12.34, 34.4, 18, latched=False)
    shown = "  the original script on such sticks (simulated): 71.3 °C at most, 12.3/s, throttled 34 s, 18 switches"
    assert clusters(replace(some_status(), original=twin))[-1] == shown
    latched = replace(some_status(), original=replace(twin, latched=True))
    assert clusters(latched)[-1] == f"{shown}; latched: all its sticks work, and stay hot"


def test_a_stick_is_near_the_limit_of_its_own_pool() -> None:
    """40 °C is warm under a limit of 44 °C and cool under one of 65 °C."""
    cool = replace(POOL, name="cool", switch_temp_c=44.0)
    sticks = [replace(some_stick(f"sim-{at}", "standby", 40.0), pool=name) for at, name in enumerate(("default", "cool"))]
    head, first, second = show.sticks(replace(some_status(), sticks=sticks, pools=[POOL, cool]))
    assert "TO LIMIT" in "".join(cell.text for cell in head)
    styles = [[cell.style for cell in row if "40.0" in cell.text] for row in (first, second)]
    assert styles == [[""], ["warn"]]
    (head, _) = show.sticks(replace(some_status(), sticks=sticks[:1], pools=[POOL]))
    assert "TO 65 °C" in "".join(cell.text for cell in head)
