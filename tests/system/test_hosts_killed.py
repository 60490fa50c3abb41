"""Kills of whole hosts and of the command in a job over hosts: the outputs are those of one machine."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.jobs.schema import LedgerError
from ncs_cluster.testing.daemon import running
from tests.jobs.making import picture
from tests.nats_server import nats_server
from tests.system.test_run_over_hosts import done, ncsctl, results, settings
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

PICTURES = 300


def written(out: Path) -> int:
    try:
        return Ledger(os.fspath(out / "ledger.sqlite")).written
    except (OSError, LedgerError):
        return 0


def send(processes: list[psutil.Process], number: int) -> None:
    """To those that have not ended."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def test_a_killed_host_a_frozen_one_a_restarted_server_and_a_killed_command_cost_no_item(
    tmp_path: Path, small_graph_folder: Path
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    for number in range(PICTURES):
        picture(photos / f"{number}.png", number % 256)
    graph = ("--graph", str(small_graph_folder))
    code, _, err = done(ncsctl("run", str(photos), *graph, "--out", str(tmp_path / "serial"), "--backend", "simulated"))
    assert (code, err) == (0, [])
    with (
        nats_server(tmp_path) as place,
        running(settings(tmp_path, small_graph_folder, place, "attic", photos)) as attic,
        running(settings(tmp_path, small_graph_folder, place, "cellar", photos)) as cellar,
    ):
        words = ("run", str(photos), *graph, "--out", str(out), "--nats", place.url, "--mount", f"photos={photos}")
        first = ncsctl(*words, "--host-timeout", "5")
        until(lambda: written(out) >= 40, "some is written", 120)
        first.kill()
        first.communicate()
        place.kill()
        place.start()
        second = ncsctl(*words, "--host-timeout", "5")
        # as a power cut: nothing of it can say goodbye
        send(cellar.tree(), signal.SIGKILL)
        with running(settings(tmp_path, small_graph_folder, place, "cellar", photos)):
            frozen = attic.tree()
            try:
                send(frozen, signal.SIGSTOP)
                code, said, err = done(second)
            finally:
                send(frozen, signal.SIGCONT)
    told = [line for line in err if "cannot be used" not in line]
    assert (code, told) == (0, [])
    assert said.startswith(f"{PICTURES} frames, 0 failed")
    assert results(out) == results(tmp_path / "serial")
