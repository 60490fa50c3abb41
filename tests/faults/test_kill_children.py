"""kill -9 and SIGSTOP of any child: all is well again soon, the events tell the story, and nobody else is disturbed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from ncs_cluster.specs import ClusterSpec, GatewaySpec
from ncs_cluster.testing.daemon import Daemon, Status, running, settings, sticks, synthetic

pytestmark = pytest.mark.slow

WELL_AGAIN_S = 3.0
"""Contract, after a kill."""
SILENT_S = 5.0
"""The deadline of a stopped childwithout a heartbeat."""

KINDS = {"worker sim-1": "at work", "worker sim-2": "resting", "camera cam0": "", "sink": "", "gateway": ""}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One stick works and one rests, for ever."""
    folder = tmp_path_factory.mktemp("daemon")
    asked = settings(
        folder,
        sticks(2, latency_ms=40.0, heat=False),
        [synthetic()],
        ClusterSpec(1, "ring", switch_interval_s=0.0),
        results=folder / "results.jsonl",
        gateway=GatewaySpec("127.0.0.1", 0),
    )
    with running(asked) as daemon:
        yield daemon


def restarts(status: Status) -> dict[str, int]:
    return {process["name"]: process["restarts"] for process in status["processes"]}


@pytest.mark.parametrize("who", KINDS)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_well_again_after(daemon: Daemon, who: str, how: signal.Signals) -> None:
    """It is started again, it alone, and results flow."""
    before = restarts(daemon.well())
    heard = len(daemon.events())
    os.kill(daemon.child(who), how)
    deadline_s = WELL_AGAIN_S if how is signal.SIGKILL else SILENT_S + WELL_AGAIN_S
    daemon.until(lambda status: restarts(status)[who] > before[who], f"has started {who} again", 4 * deadline_s)
    after = daemon.well(4 * WELL_AGAIN_S)
    assert restarts(after) == {**before, who: before[who] + 1}
    assert after["counters"]["frames_lost"] == after["counters"]["frames_doubled"] == after["counters"]["out_of_order"] == 0
    story = [event["text"] for event in daemon.events()[heard:] if event["who"] == who]
    if how is signal.SIGKILL:
        assert story[0] == "ended (killed by SIGKILL), restarting"
    else:
        assert story[0] in (
            f"killed: no heartbeat for {3 if who == 'gateway' else 5} s",
            "killed: no result in time: stick hangs",
            "killed: no answer for 5 s: camera hangs",
        )
