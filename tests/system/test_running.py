"""The whole daemon with simulated sticks: frames flow, clusters take turns, and it ends when told to, leaving nothing behind."""

from __future__ import annotations

import re
import signal
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from ncs_cluster.specs import ClusterSpec, RuntimeSpec
from ncs_cluster.testing.daemon import Daemon, Status, gone, read_results, running, settings, sticks, synthetic

END_S = 5.0
"""Contract: SIGTERM and Ctrl-C drain and end within this time."""


def files(processes: list[psutil.Process]) -> set[str]:
    """Every file these processes have open or mapped."""
    found: set[str] = set()
    for process in processes:
        found |= {opened.path for opened in process.open_files()} | {area.path for area in process.memory_maps()}
    return found


def left_behind(daemon: Daemon) -> set[str]:
    return {path.name for path in daemon.runtime_dir.iterdir()} - {"daemon.lock"}


def test_frames_flow_and_clusters_take_turns_by_the_clock(tmp_path: Path) -> None:
    """Two clusters of two share the work; what must stay zero stays zero."""
    with running(settings(tmp_path, sticks(4), [synthetic()], ClusterSpec(2, "ring", 5.0, 65.0, time_scale=10.0))) as daemon:
        daemon.well()

        def took_turns(status: Status) -> bool:
            return bool(status["clusters"]["switches"] >= 5 and all(stick["inferences"] for stick in status["sticks"]))

        status = daemon.until(took_turns, "switched five times by the clock, and every stick has worked")
        assert sorted(status["clusters"]["ring"]) == [["sim-1", "sim-2"], ["sim-3", "sim-4"]]
        assert len(status["clusters"]["active"]) == 2
        assert status["counters"] == {"frames_lost": 0, "frames_doubled": 0, "out_of_order": 0, "throttled_s": 0.0}
        turns = [text.partition(":")[0] for text in daemon.story("clusters") if text.startswith("switch to")][-4:]
        assert sorted(set(turns)) == ["switch to sim-1, sim-2", "switch to sim-3, sim-4"]
        assert all(turn != following for turn, following in pairwise(turns))


def test_clusters_take_turns_by_temperature(tmp_path: Path) -> None:
    """With the clock turned off, a stick that comes near the switch temperature ends its cluster's turn before it is too hot."""
    clusters = ClusterSpec(1, "ring", switch_interval_s=0.0, switch_temp_c=45.0, time_scale=20.0)
    # at full work it warms to 12.1 + 18 x 1.8 = 44.5 °C and stays there, however long the machine stands still
    pool = sticks(2, latency_ms=100.0, ambient_c=12.1, initial_c=40.0, plant={"case_air_k_w": 0.01})
    with running(settings(tmp_path, pool, [synthetic()], clusters)) as daemon:
        daemon.until(lambda status: status["clusters"]["switches"] >= 2, "has switched there and back")
        turns = [text for text in daemon.story("clusters") if text.startswith("switch to")][:2]
        soon = r"would be too hot soon \(4[0-4]\.\d °C\)"
        assert re.fullmatch(f"switch to sim-2: sim-1 {soon}", turns[0])
        assert re.fullmatch(f"switch to sim-1: sim-2 {soon}", turns[1])
        told = [event["text"] for event in daemon.events()]
        assert not [text for text in told if "is too hot" in text or "no frame" in text]
        assert daemon.status()["counters"]["throttled_s"] == 0.0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_drains_and_ends_in_time_and_leaves_nothing(tmp_path: Path, how: signal.Signals) -> None:
    """Exit code 0, no process, no socket; and at no time a file in shared memory that could be left there."""
    results = tmp_path / "results.jsonl"
    with running(settings(tmp_path, sticks(3), [synthetic()], results=results)) as daemon:
        daemon.well()
        tree = daemon.tree()
        assert len(tree) == 1 + 3 + 1 + 1 + 1, "supervisor, workers, their fork server, camera and sink"
        assert not [path for path in files(tree) if path.startswith("/dev/shm")]
        daemon.process.send_signal(how)
        assert daemon.wait(4 * END_S) == 0
        assert gone(tree, timeout_s=0.0)
        assert left_behind(daemon) == set()
        frames = [record["frame"] for record in read_results(results)]
        assert frames == sorted(set(frames))
        assert frames


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """While a stick keeps it waiting for its answer, asked again it does not wait."""
    with running(settings(tmp_path, sticks(1, latency_ms=600_000.0), [synthetic()])) as daemon:
        daemon.until(lambda status: status["sticks"][0]["in_flight"], "has a frame on its stick")
        tree = daemon.tree()
        daemon.process.terminate()
        daemon.until(lambda status: not status["daemon"]["ready"], "is ending")
        daemon.process.terminate()
        assert daemon.wait(4 * END_S) == 0
        assert gone(tree, timeout_s=2.0)
        assert "second stop request: exiting now" in daemon.log_end()


def test_it_ends_in_time_though_nothing_has_started_yet(tmp_path: Path) -> None:
    """A signal in the first moments, before any child has said a word, is heard too."""
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    asked = settings(tmp_path, sticks(2, runtime="slow"), [synthetic()], runtimes={"slow": RuntimeSpec(str(slow))})
    with running(asked) as daemon:
        tree = daemon.tree()
        assert daemon.stop(4 * END_S) == 0
        assert gone(tree, timeout_s=2.0)


def test_a_finite_source_plays_once_and_the_daemon_ends(tmp_path: Path) -> None:
    """Exit code 0, and every frame has its record, in order."""
    results = tmp_path / "results.jsonl"
    camera = synthetic(ordered=True, frames=200, paced=False)
    with running(settings(tmp_path, sticks(3, latency_ms=5.0), [camera], results=results)) as daemon:
        assert daemon.wait(60.0) == 0
        assert [record["frame"] for record in read_results(results)] == list(range(200))
