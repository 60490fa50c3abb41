"""`ncsctl fleet drain`, `fleet return` and `fleet top` at a real NATS server."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

import pytest
from msgspec.structs import replace

from ncs_cluster.cli import show_fleet
from ncs_cluster.fleet.bucket import Host, Hosts
from ncs_cluster.fleet.entry import Other, entry_of
from ncs_cluster.status import Event
from tests.cli.asking import ncsctl
from tests.cli.test_fleet import text
from tests.nats_server import NatsServer, nats_server
from tests.sinks.onebroker import ONE, Told
from tests.sinks.onefleet import PASSWORD, USERS, Core, announced

FLEET = (sys.executable, "-m", "ncs_cluster.cli.ncsctl", "fleet")


def fleet(place: NatsServer, *words: str) -> tuple[int, str, str]:
    done = ncsctl("fleet", *words, "--nats", place.url)
    return done.returncode, done.stdout, done.stderr


def state(place: NatsServer) -> str:
    return re.split("  +", fleet(place, "status")[1].splitlines()[1])[2]


@pytest.mark.slow
def test_a_host_says_that_it_is_drained_also_after_a_restart_of_itself_and_of_the_server_until_it_is_returned(
    tmp_path: Path,
) -> None:
    with nats_server(tmp_path) as place:
        with announced(place):
            place.until(lambda found: "pi" in found, "the entry")
            done = fleet(place, "drain", "pi")
            assert done == (0, "pi is drained: it takes no chunks of jobs and no frames of other hosts\n", "")
            assert state(place) == "ok, drained"
        place.kill()
        place.start()
        with announced(place):
            place.until(lambda found: found.get("pi", {}).get("drained"), "that it is drained still")
            assert fleet(place, "return", "pi") == (0, "pi takes work of the fleet again\n", "")
            assert state(place) == "ok"
            assert fleet(place, "return", "pi") == (0, "pi was not drained\n", "")


@pytest.mark.slow
def test_a_drain_waits_for_the_chunks_that_the_host_has_and_says_so(tmp_path: Path) -> None:
    core = Core(Told(), "pi")
    core.chunks = 2
    with nats_server(tmp_path) as place, announced(place, core=core):
        place.until(lambda found: "pi" in found, "the entry")
        late = fleet(place, "drain", "pi", "--timeout", "0.5")
        assert late == (
            1,
            "pi still has 2 chunks after 0 s, and takes no more; give the command again to wait on, or restart the host: it goes "
            "on with its chunks\n",
            "ncsctl: pi still has 2 chunks\n",
        )
        assert state(place) == "ok, draining"
        assert fleet(place, "drain", "pi", "--no-wait") == (
            0,
            "pi is draining: it takes no chunks of jobs and no frames of other hosts; it still has 2 chunks\n",
            "",
        )
        waits = subprocess.Popen([*FLEET, "drain", "pi", "--nats", place.url], stdout=PIPE, stderr=PIPE, text=True)
        assert waits.stderr is not None
        said = [waits.stderr.readline()]
        core.chunks = 1
        core.wake()
        said.append(waits.stderr.readline())
        core.chunks = 0
        core.wake()
        done = waits.communicate(timeout=120)[0]
        assert (waits.returncode, done) == (0, "pi is drained: it takes no chunks of jobs and no frames of other hosts\n")
        assert said == ["ncsctl: pi still has 2 chunks\n", "ncsctl: pi still has 1 chunk\n"]


@pytest.mark.slow
def test_a_host_that_is_not_there_is_drained_for_later_and_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    with nats_server(tmp_path) as place:
        assert fleet(place, "drain", "attic") == (
            0,
            "attic is drained: it takes no chunks of jobs and no frames of other hosts, once it is there: no host of this name is "
            "announced at present\n",
            "",
        )
        assert fleet(place, "drain", "a.>") == (
            1,
            "",
            "ncsctl: a.> is no name of a host: letters, digits, _ and - only, 64 at most\n",
        )
        with announced(place, node="attic"):
            place.until(lambda found: found.get("attic", {}).get("drained"), "that it knows")


@pytest.mark.slow
def test_the_rights_of_the_page_let_an_operator_drain_and_a_reader_look_on_only(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    login = ("--password-file", str(secret), "--user")
    with nats_server(tmp_path, *USERS) as place, announced(place, user="pi", password=PASSWORD):
        place.until(lambda found: "pi" in found, "the entry")
        done = [fleet(place, word, "pi", *login, "operator")[:2] for word in ("drain", "return", "drain")]
        refused = fleet(place, "return", "pi", *login, "reader")
        shown = fleet(place, "status", *login, "reader")[1]
    drained, returned = (
        "pi is drained: it takes no chunks of jobs and no frames of other hosts\n",
        "pi takes work of the fleet again\n",
    )
    assert done == [(0, drained), (0, returned), (0, drained)]
    assert refused[0] == 1
    assert refused[2].startswith(f"ncsctl: the NATS server {place.url} cannot be used: permissions violation for publish to")
    assert re.split("  +", shown.splitlines()[1])[2] == "ok, drained"


def test_a_host_that_may_neither_know_whether_it_is_drained_nor_tell_of_events_is_announced(tmp_path: Path) -> None:
    # the rights of the first version
    older = tuple(line.replace('"$JS.API.DIRECT.GET.ncs_drained.ncs.drained.pi", "ncs.event.pi", ', "") for line in USERS)
    assert older != USERS
    daemon = Told()
    daemon.happened = [Event(1, time.time(), "info", "sim-1", "lost")]
    with nats_server(tmp_path, *older) as place, announced(place, daemon, user="pi", password=PASSWORD) as opened:
        assert place.until(lambda found: "pi" in found, "the entry")["pi"]["drained"] is None
        assert opened.trouble() is None


def test_a_drain_that_a_host_has_not_confirmed_is_shown_as_such() -> None:
    entry = entry_of(ONE, "pi", None)
    states = [
        re.split("  +", text(show_fleet.hosts(Hosts([Host("pi", 1.0, replace(entry, drained=told))], 0, frozenset(wanted))))[1])[2]
        for told, wanted in ((None, []), (None, ["pi"]), (False, ["pi"]), (True, ["pi"]), (True, []))
    ]
    assert states == ["ok", "ok, draining", "ok, draining", "ok, drained", "ok, drained"]


def test_top_has_the_sums_of_those_that_are_there_and_the_busiest_first() -> None:
    entry = entry_of(ONE, "pi", None)
    busy, warm = replace(entry, node="busy", fps=30.0), replace(entry, node="warm", fps=5.5, hottest_c=61.0)
    gone = replace(entry, node="gone", fps=99.0)
    shown = text(
        show_fleet.top(
            Hosts([Host("odd", 1.0, Other()), Host("gone", 12.0, gone), Host("warm", 1.0, warm), Host("busy", 1.0, busy)], 0)
        )
    )
    assert shown[0] == "2 hosts, 2/2 sticks, 35.5/s, 61.0 °C at most, 2 cameras, 0 jobs"
    assert [line.split()[0] for line in shown[3:5]] == ["busy", "warm"]
    assert text(show_fleet.top(Hosts([], 0)))[-1] == "no host is announced at this server"


@pytest.mark.slow
def test_top_prints_the_hosts_once_where_nobody_looks(tmp_path: Path) -> None:
    with nats_server(tmp_path) as place, announced(place):
        place.until(lambda found: "pi" in found, "the entry")
        code, shown, complaint = fleet(place, "top")
    assert (code, complaint) == (0, "")
    assert [line.split()[0] for line in shown.splitlines() if line] == ["1", "HOST", "pi"]
