"""New settings are applied to a running daemon as a difference: what did not change notices nothing."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from ncs_cluster.specs import ClusterSpec, Settings
from ncs_cluster.testing.daemon import Daemon, running, settings, sticks, synthetic


def configure(daemon: Daemon, new: Settings) -> None:
    """Give the daemon new settings, as `ncsctl reload` will."""
    daemon.runtime_dir.with_suffix(".settings").write_bytes(msgspec.msgpack.encode(new))
    os.kill(daemon.pid, signal.SIGHUP)


def pids(status: dict[str, Any]) -> dict[str, int]:
    return {process["name"]: process["pid"] for process in status["processes"]}


def test_cameras_weights_sticks_and_turns_change_while_the_rest_works_on(tmp_path: Path) -> None:
    results = tmp_path / "out.jsonl"
    clusters = ClusterSpec(1, "ring", switch_interval_s=60.0)
    old = settings(tmp_path, sticks(2), [synthetic("a"), synthetic("b")], clusters, results=results)
    with running(old) as daemon:
        before = daemon.until(lambda s: all(c["results"] > 10 for c in s["cameras"]), "results of both cameras")
        pool = replace(old.pools[0], clusters=replace(clusters, switch_temp_c=55.0, switch_interval_s=1.0), sticks=sticks(3))
        new = replace(old, cameras=[replace(old.cameras[0], weight=3.0), synthetic("c")], pools=[pool])
        configure(daemon, new)
        after = daemon.until(
            lambda s: (
                [c["name"] for c in s["cameras"]] == ["a", "c"]
                and s["cameras"][1]["results"] > 10
                and len(s["sticks"]) == 3
                and s["clusters"]["switches"] > 0
            ),
            "the new camera, the new stick and a switch by the new interval",
        )
        kept = {"supervisor", "worker sim-1", "worker sim-2", "camera a", "sink"}
        assert {name: pids(after)[name] for name in kept} == {name: pids(before)[name] for name in kept}
        assert "camera b" not in pids(after)
        assert (after["daemon"]["switch_temp_c"], after["daemon"]["switch_interval_s"]) == (55.0, 1.0)
        assert after["cameras"][0]["results"] > before["cameras"][0]["results"]
        assert (after["counters"]["frames_lost"], after["counters"]["out_of_order"], after["counters"]["frames_doubled"]) == (
            0,
            0,
            0,
        )
        assert daemon.story("a") == [text for text in daemon.story("a") if "restarting" not in text]
        assert any(text.startswith("new settings are applied: camera b removed; ") for text in daemon.story("daemon"))
    frames: dict[str, list[int]] = {}
    for line in results.read_text().splitlines():
        record = json.loads(line)
        frames.setdefault(record["camera"], []).append(record["frame"])
    assert set(frames) == {"a", "b", "c"}
    assert all(numbers == sorted(set(numbers)) for numbers in frames.values())


def test_settings_that_need_a_new_start_are_refused_whole(tmp_path: Path) -> None:
    old = settings(tmp_path, sticks(1), [synthetic("a")])
    with running(old) as daemon:
        daemon.until(lambda s: s["cameras"][0]["results"] > 5, "results")
        configure(daemon, replace(old, state_dir=os.fspath(tmp_path / "other"), cameras=[synthetic("b")]))
        daemon.until(lambda s: any("not applied" in text for text in daemon.story("daemon")), "the refusal")
        assert [camera["name"] for camera in daemon.status()["cameras"]] == ["a"]
        (refusal,) = [text for text in daemon.story("daemon") if "not applied" in text]
        assert "state_dir" in refusal


def test_settings_that_cannot_be_read_change_nothing(tmp_path: Path) -> None:
    old = settings(tmp_path, sticks(1), [synthetic("a")])
    with running(old) as daemon:
        daemon.until(lambda s: s["cameras"][0]["results"] > 5, "results")
        daemon.runtime_dir.with_suffix(".settings").unlink()
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.until(lambda s: any("not applied" in text for text in daemon.story("daemon")), "the refusal")
        before = daemon.status()["cameras"][0]["results"]
        daemon.until(lambda s: s["cameras"][0]["results"] > before, "results after it")
