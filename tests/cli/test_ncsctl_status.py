"""`ncsctl status` against a control socket: what it shows of each status, and what of one of another version."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ncs_cluster.status import LatencyStatus, LoadStatus, PoolStatus, ShadowStatus
from ncs_cluster.testing.control import FakeControl, control, some_status
from tests.cli.asking import ncsctl


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeControl]:
    with control(tmp_path) as fake:
        yield fake


def change(daemon: FakeControl, part: str, **fields: object) -> None:
    daemon.status = msgspec.structs.replace(
        daemon.status, **{part: msgspec.structs.replace(getattr(daemon.status, part), **fields)}
    )


def test_a_healthy_daemon_is_shown_in_full_and_exits_0(daemon: FakeControl, tmp_path: Path) -> None:
    done = ncsctl("status", place=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "ncs-clusterd 0.1.0  ok",
        "ring, 2 at a time: switch at 65 °C or after 10 s",
        "▶ sim-1 sim-2 · sim-3 sim-4",
        "next switch in 4 s; 7 switches so far\n  last switch at ",
        "STICK  PORT          STATE       TEMP  TO 65 °C  FPS  MS P50/P99  RESTARTS",
        "sim-1  simul…port 1  active   45.0 °C      14 s  9.9     100/103         0",
        "cam0    synthetic  running  320x240  30.0     19.8     104/111    1800      610",
        "frames lost 0, doubled 0, out of order 0, throttled 0 s",
        "CPU 18 % of 4 cores, load 0.42, memory 0.6 of 3.8 GB, 52 °C",
        "worker sim-1  101  running  0.6 %   31 MB         0",
    ):
        assert words in done.stdout
    assert "\x1b" not in done.stdout


def test_real_sticks_show_firmware_resets_and_what_their_firmware_does_about_heat(daemon: FakeControl, tmp_path: Path) -> None:
    sticks = [
        msgspec.structs.replace(
            stick,
            id=f"ncs-1-1.{at}",
            port=f"1-1.{at}",
            backend="xlink",
            firmware="2021.4",
            resets=at,
            throttle_level=at,
            name="rear" if at == 2 else None,
        )
        for at, stick in enumerate(daemon.status.sticks[:3])
    ]
    daemon.status = msgspec.structs.replace(daemon.status, sticks=sticks)
    change(daemon, "daemon", simulated=False)
    said = ncsctl("status", place=tmp_path).stdout
    assert ", backend xlink\n" in said
    assert "TO 65 °C  FPS  MS P50/P99  RESETS  RESTARTS" in said
    assert re.search(r"ncs-1-1.1  1-1.1  active   45.0 °C  slowed 1 .* 1         0\n", said)
    assert re.search(r"ncs-1-1.2  rear  .* slowed 2", said)
    assert "firmware  2021.4\n" in said
    assert max(len(line) for line in said.splitlines()) <= 80


def test_no_line_is_wider_than_80_columns(daemon: FakeControl, tmp_path: Path) -> None:
    many = some_status(sticks=40)
    daemon.status = msgspec.structs.replace(daemon.status, clusters=many.clusters, sticks=many.sticks)
    done = ncsctl("status", place=tmp_path)
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


def test_trouble_is_told_with_its_reasons_and_exits_1(daemon: FakeControl, tmp_path: Path) -> None:
    change(daemon, "daemon", state="degraded", reasons=["1 of 4 sticks is away"])
    first = msgspec.structs.replace(
        daemon.status.sticks[0],
        state="backoff",
        temperature_c=None,
        headroom_s=None,
        restarts=3,
        last_error="stick did not\x1b[2J answer",
    )
    daemon.status = msgspec.structs.replace(daemon.status, sticks=[first, *daemon.status.sticks[1:]])
    done = ncsctl("status", place=tmp_path)
    assert done.returncode == 1
    assert "\n  1 of 4 sticks is away\n" in done.stdout
    assert re.search(r"sim-1 .* backoff +- +- .* 3\n", done.stdout)
    assert "last errors\n  sim-1: stick did not [2J answer\n" in done.stdout


def test_an_error_of_a_stick_that_works_again_is_told_as_past(daemon: FakeControl, tmp_path: Path) -> None:
    first = msgspec.structs.replace(daemon.status.sticks[0], last_error="unplugged", recovered_s=40.4)
    daemon.status = msgspec.structs.replace(daemon.status, sticks=[first, *daemon.status.sticks[1:]])
    assert "last errors\n  sim-1: recovered, 40 s ago: unplugged\n" in ncsctl("status", place=tmp_path).stdout


def test_the_time_for_which_an_ordered_source_is_read_ahead_is_called_so(daemon: FakeControl, tmp_path: Path) -> None:
    camera = msgspec.structs.replace(daemon.status.cameras[0], ordered=True, latency_ms=LatencyStatus(3433.4, 10219.0))
    daemon.status = msgspec.structs.replace(daemon.status, cameras=[camera])
    assert " 3433 ahead " in ncsctl("status", place=tmp_path).stdout


@pytest.mark.parametrize(
    ("limit_c", "celsius", "hot"),
    [(67.0, 65.5, False), (67.0, 67.0, True), (62.0, 61.9, False), (62.0, 62.5, True), (None, 65.5, True), (None, 64.5, False)],
)
def test_a_stick_is_called_hot_where_it_gets_no_frame(
    limit_c: float | None, celsius: float, hot: bool, daemon: FakeControl, tmp_path: Path
) -> None:
    stick = msgspec.structs.replace(
        daemon.status.sticks[0], temperature_c=celsius, limit_c=limit_c, throttle_level=0, headroom_c=0.7, headroom_s=None
    )
    daemon.status = msgspec.structs.replace(daemon.status, sticks=[stick])
    row = next(line for line in ncsctl("status", place=tmp_path).stdout.splitlines() if f"{celsius} °C" in line)
    assert ("  hot  " in row, " 1 K  " in row) == (hot, not hot)


def test_sticks_that_are_all_too_hot_are_told(daemon: FakeControl, tmp_path: Path) -> None:
    change(daemon, "clusters", shedding=True)
    assert "every stick is too hot: no frame is processed" in ncsctl("status", place=tmp_path).stdout
    unread = msgspec.structs.replace(daemon.status.sticks[0], state="resting", temperature_c=None)
    daemon.status = msgspec.structs.replace(daemon.status, sticks=[unread, *daemon.status.sticks[1:]])
    shown = ncsctl("status", place=tmp_path).stdout
    assert "every stick rests: no frame is processed" in shown
    assert "too hot" not in shown


@pytest.mark.parametrize(
    ("policy", "size", "told"),
    [
        ("all", 0, "all sticks are active; one that reaches 65 °C rests"),
        ("predictive", 0, "predictive: each stick works as hard as 65 °C allows"),
        ("predictive", 2, "predictive: each stick works as hard as 65 °C allows, together as hard as 2"),
        ("coolest", 0, "the coolest sticks are active, under 65 °C"),
        ("coolest", 2, "the coolest sticks are active, 2 at a time, under 65 °C"),
    ],
)
def test_each_policy_is_told_in_its_own_words(daemon: FakeControl, tmp_path: Path, policy: str, size: int, told: str) -> None:
    change(daemon, "daemon", policy=policy, cluster_size=size)
    assert f"clusters  {told}\n" in ncsctl("status", place=tmp_path).stdout


def test_what_predictive_would_do_and_what_is_unusual_about_a_sticks_heat_are_told(daemon: FakeControl, tmp_path: Path) -> None:
    shadow = ShadowStatus(True, 40.0, 65.4, 38.2, ["predictive would sustain 65/s, not 38:\x1b[2J --cluster-size costs 27/s"])
    pool = PoolStatus("default", "ring", 2, 65.0, 10.0, ["sim-1", "sim-2"], 4.2, 7, False, shadow)
    sticks = [
        msgspec.structs.replace(stick, headroom_c=20.3, sustainable_fps=15.0 + at / 10)
        for at, stick in enumerate(some_status(sticks=9).sticks)
    ]
    sticks[2] = msgspec.structs.replace(sticks[2], remarks=["cools 30 % worse than its peers"])
    daemon.status = msgspec.structs.replace(daemon.status, sticks=sticks, pools=[pool])
    said = ncsctl("status", place=tmp_path).stdout
    assert "  predictive would sustain 65/s, not 38: [2J --cluster-size costs 27/s\n" in said
    assert re.search(r"sim-1 .* active   45.0 °C  20 K, 14 s  ", said)
    assert re.search(r"sim-3 .* standby  38.0 °C        20 K  ", said)
    assert "\nsustains  sim-1 15.0/s  sim-2 15.1/s  sim-3 15.2/s  sim-4 15.3/s  sim-5 15.4/s\n          sim-6 15.5/s" in said
    assert "\n  sim-3: cools 30 % worse than its peers\n" in said
    assert max(len(line) for line in said.splitlines()) <= 80
    daemon.status = msgspec.structs.replace(daemon.status, pools=[pool, msgspec.structs.replace(pool, name="cpu", shadow=None)])
    assert "  default: predictive would sustain" in ncsctl("status", place=tmp_path).stdout


def test_sticks_that_do_not_keep_up_are_told(daemon: FakeControl, tmp_path: Path) -> None:
    said = "the cameras ask for 60/s, the sticks sustain 41/s (limited by heat)"
    load = LoadStatus(60.0, 41.0, overloaded=True, limited_by="heat", retry_after_s=1, said=said)
    daemon.status = msgspec.structs.replace(daemon.status, load=load)
    assert f"\n  {said}\n" in ncsctl("status", place=tmp_path).stdout


def test_json_is_the_status_document(daemon: FakeControl, tmp_path: Path) -> None:
    done = ncsctl("status", "--json", place=tmp_path)
    assert done.stdout == json.dumps(json.loads(msgspec.json.encode(daemon.status)), indent=2, ensure_ascii=False) + "\n"


def document(daemon: FakeControl) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(daemon.status)
    return made


def test_fields_of_a_newer_daemon_are_ignored_and_printed_as_json(daemon: FakeControl, tmp_path: Path) -> None:
    shown = ncsctl("status", place=tmp_path).stdout
    newer = {**document(daemon), "nights": [{"name": "night"}]}
    newer["sticks"][0]["duty"] = 0.5
    daemon.document = newer
    assert ncsctl("status", place=tmp_path).stdout == shown
    printed = ncsctl("status", "--json", place=tmp_path)
    assert (printed.returncode, json.loads(printed.stdout)) == (0, json.loads(msgspec.json.encode(daemon.document)))


def test_a_field_an_older_daemon_lacks_is_named_in_one_line(daemon: FakeControl, tmp_path: Path) -> None:
    older = document(daemon)
    del older["clusters"]["shedding"]
    daemon.document = older
    for command in (["status"], ["status", "--watch"], ["top"]):
        done = ncsctl(*command, place=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "ncsctl: ncs-clusterd is of another version: Object missing required field `shedding` - at `$.clusters`;"
            " restart it, or use the ncsctl it was installed with\n"
        )
    printed = ncsctl("status", "--json", place=tmp_path)
    assert (printed.returncode, printed.stderr.count("\n")) == (1, 1), "the document is printed whole, and the missing field named"
    assert json.loads(printed.stdout) == json.loads(msgspec.json.encode(daemon.document))
