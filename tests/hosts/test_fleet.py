"""Daemons on three hosts, and a NATS server on a fourth: what `ncsctl fleet status` there shows while a link is cut."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from ncs_cluster.config import load
from ncs_cluster.specs import Settings
from ncs_cluster.testing.daemon import Daemon, running
from tests.hosts.rig import Rig, hosts
from tests.nats_server import NatsServer, nats_server
from tests.waiting import until

NAMES = ("attic", "cellar", "shed")


class Fleet(NamedTuple):
    rig: Rig
    server: NatsServer
    daemons: dict[str, Daemon]

    def listed(self) -> dict[str, Any]:
        """Node -> host, as `ncsctl fleet status` has it on the host of the server."""
        shown = self.rig["server"].ncsctl("fleet", "status", "--json", "--nats", self.server.url)
        assert shown.stderr == ""
        return {host["node"]: host for host in json.loads(shown.stdout)["hosts"]}

    def until(self, holds: Callable[[dict[str, Any]], object], what: str) -> None:
        until(lambda: holds(self.listed()), what, pause_s=0.2)


def settings(folder: Path, place: NatsServer, node: str, sticks: int) -> Settings:
    words = ["--backend", "simulated", "--sticks", str(sticks), "--no-web", "--nats", place.url, "--set", f"nats.node={node}"]
    words += ["--runtime-dir", str(folder / node / "run"), "--state-dir", str(folder / node / "state")]
    return replace(load(words, {}), cameras=[], graphs=[])


@contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """attic has one stick, cellar two, shed three."""
    with hosts(*NAMES, "server") as rig, nats_server(folder, host=rig["server"]) as place, ExitStack() as stack:
        daemons = {
            name: stack.enter_context(running(settings(folder, place, name, sticks), before=rig[name].enter))
            for sticks, name in enumerate(NAMES, 1)
        }
        yield Fleet(rig, place, daemons)


def usable(found: dict[str, Any]) -> dict[str, int]:
    return {name: host["entry"]["sticks_usable"] for name, host in found.items()}


@pytest.mark.slow
def test_what_changes_on_a_host_whose_link_is_cut_is_shown_once_it_is_back(tmp_path: Path) -> None:
    with fleet(tmp_path) as made:
        made.until(lambda found: usable(found) == {"attic": 1, "cellar": 2, "shed": 3}, "all sticks of all hosts")
        made.rig["cellar"].cut()
        for name in ("cellar", "shed"):
            with made.daemons[name].client() as client:
                client.change_stick("sim-1", "rest")
        made.until(lambda found: usable(found) == {"attic": 1, "cellar": 2, "shed": 2}, "the change on the host that is reached")
        made.rig["cellar"].join()
        made.until(lambda found: usable(found) == {"attic": 1, "cellar": 1, "shed": 2}, "the change on the host that is back")


@pytest.mark.slow
def test_a_host_whose_link_is_cut_for_20_s_is_gone_alone_and_returns(tmp_path: Path) -> None:
    with fleet(tmp_path) as made:
        made.until(lambda found: usable(found) == {"attic": 1, "cellar": 2, "shed": 3}, "all sticks of all hosts")
        made.rig["cellar"].cut()
        cut_s = time.monotonic()
        made.until(lambda found: found["cellar"]["gone"], "that it is gone")
        made.until(lambda found: list(found) == ["attic", "shed"], "that it is listed no more")
        time.sleep(max(0.0, cut_s + 20.0 - time.monotonic()))
        assert [made.daemons[name].status()["daemon"]["state"] for name in NAMES] == ["ok", "degraded", "ok"]
        made.rig["cellar"].join()
        made.until(lambda found: usable(found) == {"attic": 1, "cellar": 2, "shed": 3}, "that it is back")
        made.daemons["cellar"].until(lambda status: status["daemon"]["state"] == "ok", "is well again")
        assert not any(host["gone"] for host in made.listed().values())
