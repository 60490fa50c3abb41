"""What `ncsctl status` and `ncsctl jobs` show of the work of the fleet that this host has."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from ncs_cluster.cli import show, show_fleet_work
from ncs_cluster.cli.parser import make
from ncs_cluster.cli.text import Cell
from ncs_cluster.status import FleetJobStatus, FleetStatus
from ncs_cluster.testing.control import control, full_status, some_job

BEGAN = time.mktime((2026, 11, 29, 9, 43, 0, 0, 0, -1))
OVER = FleetJobStatus("1f2e", "photos/2024", "running", 14, 2, 0, 2800, 3, 41.26, BEGAN, None)
FLEET = FleetStatus("attic", "nats://192.168.1.5:4222", "no", 2, 0, [OVER])


def lines(found: list[list[Cell]]) -> list[str]:
    return ["".join(cell.text for cell in line).rstrip() for line in found]


def test_a_job_over_hosts_is_one_row_and_its_chunks_are_none() -> None:
    chunk = replace(some_job("7"), chunk_of="1f2e")
    document = replace(full_status(), jobs=[chunk], fleet=FLEET)
    assert show.jobs(document) == []
    assert lines(show.fleet(document)) == [
        "JOB OVER HOSTS  STATE    CHUNKS  IN HAND  FRAMES  FAILED   FPS  BEGAN",
        "photos/2024     running      14        2   2,800       3  41.3  2026-11-29 09:43:00",
    ]
    ended = replace(OVER, state="ended", running=0, ended_at=BEGAN + 60.0)
    assert show.fleet(replace(document, fleet=replace(FLEET, jobs=[ended]))) == []
    assert show.fleet(replace(document, fleet=None)) == []


def test_a_host_that_is_drained_or_draining_says_so_with_what_it_still_has_and_the_way_back() -> None:
    back = "; ncsctl fleet return attic ends that"
    takes = "this host takes no chunks of jobs and no frames of other hosts"
    shown = [
        lines(show.fleet(replace(full_status(), fleet=FleetStatus("attic", "nats://server", drain, chunks, frames))))
        for drain, chunks, frames in (("draining", 2, 0), ("draining", 1, 3), ("draining", 0, 0), ("drained", 0, 0), (None, 0, 0))
    ]
    assert shown == [
        [f"fleet     draining: {takes}; it still has 2 chunks{back}"],
        [f"fleet     draining: {takes}; it still has 1 chunk and 3 frames{back}"],
        [f"fleet     draining: {takes}{back}"],
        [f"fleet     drained: {takes}{back}"],
        [],
    ]


def test_a_chunk_that_could_not_be_done_here_is_told_and_no_name_controls_the_terminal() -> None:
    shown = lines(show_fleet_work.jobs([replace(OVER, name="\x1b[2J", failed_chunks=1)]))
    assert shown[-1] == "   [2J: 1 chunk could not be done here; another host was asked"
    assert "\x1b" not in "".join(shown)


def test_the_list_of_jobs_has_the_jobs_over_hosts_below_those_of_this_host(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with control(tmp_path) as fake:
        for own in ([some_job("1")], []):
            fake.status = replace(fake.status, jobs=[*own, replace(some_job("7"), chunk_of="1f2e")], fleet=FLEET)
            given = make().parse_args(["jobs", "list", "--runtime-dir", str(tmp_path)])
            assert given.run(given) == 0
    shown = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["JOB", "1", "", "JOB OVER HOSTS", "photos/2024", "JOB OVER HOSTS", "photos/2024"]
