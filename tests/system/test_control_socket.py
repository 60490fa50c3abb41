"""Clients of the control socket that mean harm, or know no better: the daemon and its other clients are not disturbed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
from collections.abc import Iterator

import msgspec
import psutil
import pytest

from ncs_cluster.client import Refused
from ncs_cluster.ipc.control_socket import CONTROL_SOCKET
from ncs_cluster.messages import AskEvents, AskStatus
from ncs_cluster.processes.control import MAX_CLIENTS, MAX_SILENT
from ncs_cluster.testing.daemon import Daemon, running, settings, sticks, synthetic
from tests.hostile import attack

TRIES = 10
"""Measurements under attack."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(settings(tmp_path_factory.mktemp("daemon"), sticks(2), [synthetic()])) as daemon:
        yield daemon
        assert daemon.stop() == 0


@pytest.fixture(autouse=True)
def undisturbed(daemon: Daemon) -> Iterator[None]:
    """Before and after each test the same processes run, and results come."""
    before = daemon.well()
    supervisor = psutil.Process(daemon.pid)
    yield
    after = daemon.well()
    assert [process["pid"] for process in after["processes"]] == [process["pid"] for process in before["processes"]]
    assert [after["counters"][key] for key in ("frames_lost", "frames_doubled", "out_of_order")] == [0, 0, 0]
    assert supervisor.num_fds() < 60
    assert supervisor.memory_info().rss < 300e6


def connect(daemon: Daemon) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(os.fspath(daemon.runtime_dir / CONTROL_SOCKET))
    sock.settimeout(60)
    return sock


def test_its_group_may_use_the_socket_and_nobody_else(daemon: Daemon) -> None:
    """0660 in a directory of 0750."""
    assert (daemon.runtime_dir / CONTROL_SOCKET).stat().st_mode & 0o777 == 0o660
    assert daemon.runtime_dir.stat().st_mode & 0o777 == 0o750


def test_random_bytes_are_hung_up_on(daemon: Daemon) -> None:
    """At once, each time."""
    for size in (1, 7, 100, 5000, 100_000):
        with connect(daemon) as sock:
            sock.send(random.randbytes(size))
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(100) == b""


def test_descriptors_sent_along_are_closed(daemon: Daemon) -> None:
    """They would use up the daemon's own."""
    with connect(daemon) as sock:
        for _ in range(300):
            socket.send_fds(sock, [msgspec.msgpack.encode(AskStatus())], [0, 1, 2])
            sock.recv(200_000)
        assert psutil.Process(daemon.pid).num_fds() < 60


def test_a_hundred_connections_that_say_nothing_lock_nobody_out(daemon: Daemon) -> None:
    """The most quiet one goes when a new one comes."""
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(connect(daemon))
        assert daemon.status()["daemon"]["pid"] == daemon.pid


def test_one_who_is_turned_out_while_he_speaks_harms_nobody(daemon: Daemon) -> None:
    """The newcomer knocks and the most quiet one asks in the same moment: his place goes, and his question with it."""
    with contextlib.ExitStack() as stack:
        quiet = [stack.enter_context(connect(daemon)) for _ in range(MAX_CLIENTS)]
        quiet[-1].send(msgspec.msgpack.encode(AskStatus()))
        assert quiet[-1].recv(200_000), "all of them are known by now"
        os.kill(daemon.pid, signal.SIGSTOP)
        stack.enter_context(connect(daemon))
        for sock in quiet:
            with contextlib.suppress(BrokenPipeError):
                sock.send(msgspec.msgpack.encode(AskStatus()))
        os.kill(daemon.pid, signal.SIGCONT)
        assert daemon.status()["daemon"]["pid"] == daemon.pid


def test_one_who_asks_and_never_reads_is_hung_up_on(daemon: Daemon) -> None:
    """What is kept for him is bounded; others are answered meanwhile."""
    with connect(daemon) as sock:
        sock.send(msgspec.msgpack.encode(AskEvents(follow=True)))
        for asked in range(20_000):
            try:
                sock.send(msgspec.msgpack.encode(AskStatus()))
            except (BrokenPipeError, ConnectionResetError):
                return
            if asked % 500 == 0:
                assert daemon.status()["daemon"]["pid"] == daemon.pid
    pytest.fail("20,000 answers are kept for one who reads none")


def test_sixteen_hostile_clients_cost_neither_detections_nor_memory(daemon: Daemon) -> None:
    """Bounds are generous here; `tests.benchmarks clients` measures the share of detections that is left."""
    supervisor = psutil.Process(daemon.pid)

    def results_of_a_second(began_s: float) -> int:
        before = daemon.status()["cameras"][0]["results"]
        daemon.until(lambda status: status["daemon"]["uptime_s"] > began_s + 3.0, "has worked for a while")
        after = daemon.status()
        return int((after["cameras"][0]["results"] - before) / (after["daemon"]["uptime_s"] - began_s))

    calm = results_of_a_second(daemon.status()["daemon"]["uptime_s"])
    before = supervisor.memory_info().rss
    with attack(daemon.runtime_dir):
        # other tests may take the processors for seconds, and the attack then looks as if it cost so much
        rates: list[int] = []
        while max(rates, default=-1) <= calm / 2:
            assert len(rates) < TRIES, rates
            rates.append(results_of_a_second(daemon.status()["daemon"]["uptime_s"]))
        assert daemon.events(), "another client is answered"
    assert supervisor.memory_info().rss < before + 30e6


def test_silent_newcomers_do_not_turn_out_a_client_that_asks(daemon: Daemon) -> None:
    with daemon.client() as client, contextlib.ExitStack() as stack:
        assert client.status().daemon.pid == daemon.pid
        for _ in range(3 * MAX_SILENT):
            stack.enter_context(connect(daemon))
        assert client.status().daemon.pid == daemon.pid


def test_one_who_leaves_before_the_answer_harms_nobody(daemon: Daemon) -> None:
    for _ in range(50):
        with connect(daemon) as sock:
            sock.send(msgspec.msgpack.encode(AskStatus()))


def test_what_cannot_be_done_is_refused_with_a_reason(daemon: Daemon) -> None:
    """And the connection stays."""
    with daemon.client() as client:
        with pytest.raises(Refused, match="no other cluster"):
            client.switch()
        with pytest.raises(Refused, match="no such fault: earthquake"):
            client.trouble("earthquake")
        with pytest.raises(Refused, match="stick sim-99 is not usable now"):
            client.trouble("hang", "sim-99")
        with pytest.raises(Refused, match="is not text"):
            client.trouble("heat", "\ud800")
        with pytest.raises(Refused, match="no page"):
            client.url()
        assert client.status().daemon.pid == daemon.pid


def test_a_follower_hears_each_event_once(daemon: Daemon) -> None:
    """In order, what had happened before and what happens now."""
    with daemon.client() as follower, daemon.client() as other:
        heard = follower.follow()
        before = next(heard)
        other.trouble("heat")
        later = next(heard)
        ids = [event.id for event in before + later]
        assert ids == list(range(1, len(ids) + 1))
        assert "heat wave" in later[0].text
