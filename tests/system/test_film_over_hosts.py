"""One film done by two daemons in parts, its command killed in the middle: the records are those of one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.jobs.schema import LedgerError
from tests.jobs.making import film
from tests.nats_server import nats_server
from tests.system.test_run_over_hosts import done, ncsctl, results, running, settings
from tests.waiting import until

pytestmark = pytest.mark.slow

FRAMES = 1300


def written(out: Path) -> int:
    """Frames, durably; none before the ledger is made."""
    try:
        return Ledger(str(out / "ledger.sqlite")).written
    except (OSError, LedgerError):
        return 0


def test_a_film_is_divided_over_hosts_and_finished_without_them(tmp_path: Path, small_graph_folder: Path) -> None:
    film(tmp_path / "films" / "long.avi", [number * 7 % 240 for number in range(FRAMES)], fps=30)
    words = ("run", str(tmp_path / "films"), "--graph", str(small_graph_folder), "--format", "jsonl")
    sticks = ("--backend", "simulated", "--sticks", "2", "--set", "simulated.latency_ms=2", "--set", "simulated.heat=false")
    out = tmp_path / "out"
    with (
        nats_server(tmp_path) as place,
        running(settings(tmp_path, small_graph_folder, place, "attic", tmp_path / "films")) as attic,
        running(settings(tmp_path, small_graph_folder, place, "cellar", tmp_path / "films")) as cellar,
    ):
        killed = ncsctl(*words, "--out", str(out), "--nats", place.url, "--mount", f"photos={tmp_path / 'films'}")
        until(lambda: written(out) >= 300, "a part is written")
        killed.kill()
        killed.communicate()
        assert not Ledger(str(out / "ledger.sqlite")).complete
        until(lambda: all(daemon.status()["jobs"] for daemon in (attic, cellar)), "both hosts have parts")
        code, said, _ = done(ncsctl(*words, "--out", str(out), *sticks))
    assert code == 0
    assert said.startswith(f"{FRAMES:,} frames, 0 failed; ")
    assert not said.startswith(f"{FRAMES:,} frames, 0 failed; {FRAMES:,} of them now")
    assert done(ncsctl(*words, "--out", str(tmp_path / "serial"), *sticks))[0] == 0
    assert results(out) == results(tmp_path / "serial")
    assert [each["item_frame"] for each in results(out)] == list(range(FRAMES))
