"""Hosts in network namespaces: what one of them reaches, and what is left of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from ncs_cluster.testing.daemon import gone
from tests.conftest import ROOT
from tests.hosts.rig import Host, hosts

SEND = "import socket, sys; s = socket.create_connection((sys.argv[1], 7), timeout=0.5); print(s.recv(5).decode())"
ECHO = """
import socket
s = socket.create_server(('', 7))
print(flush=True)
while True:
    c, _ = s.accept()
    with c:
        while piece := c.recv(65536):
            c.sendall(piece)
"""
ROUND_TRIPS = """
import hashlib, socket, sys, time
host, port = sys.argv[1].split(":")
sent = [bytes([number]) * 1000 for number in range(int(sys.argv[2]))]
with socket.create_connection((host, int(port))) as s:
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    began_s, back = time.monotonic(), []
    for each in sent:
        s.sendall(each)
        got = b""
        while len(got) < len(each):
            got += s.recv(1000)
        back.append(got)
assert back == sent
print(time.monotonic() - began_s)
"""
SERVE = "import socket; s = socket.create_server(('', 7)); print(flush=True)\nwhile True: s.accept()[0].sendall(b'hello')"
MAKE = """
import sys
from tests.hosts.rig import hosts
with hosts("attic") as rig:
    rig["attic"].popen("sh", "-c", "echo $$; exec sleep 600")
    sys.stdin.read()
"""


def networks() -> set[int]:
    """Of all processes of this machine."""
    found = set()
    for process in Path("/proc").glob("[0-9]*/ns/net"):
        # it may end meanwhile
        with contextlib.suppress(OSError):
            found.add(process.stat().st_ino)
    return found


def answer(host: Host, of: Host) -> str:
    return host.run(sys.executable, "-c", SEND, of.address).stdout.strip()


def test_hosts_reach_each_other_but_one_that_is_cut_and_none_of_another_rig() -> None:
    with hosts("attic", "cellar", "shed") as rig, hosts("attic", "cellar") as other:
        server = rig["attic"].popen(sys.executable, "-c", SERVE, stdout=subprocess.PIPE)
        assert server.stdout is not None
        server.stdout.readline()
        try:
            assert (answer(rig["cellar"], rig["attic"]), answer(other["cellar"], other["attic"])) == ("hello", "")
            rig["cellar"].cut()
            assert (answer(rig["cellar"], rig["attic"]), answer(rig["shed"], rig["attic"])) == ("", "hello")
            rig["cellar"].join()
            assert answer(rig["cellar"], rig["attic"]) == "hello"
        finally:
            server.kill()
            server.communicate()


def test_nothing_is_left_of_hosts_whose_test_is_killed() -> None:
    test = subprocess.Popen([sys.executable, "-c", MAKE], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert test.stdout is not None
    inside = int(test.stdout.readline())
    network = Path(f"/proc/{inside}/ns/net").stat().st_ino
    assert network in networks()
    started = psutil.Process(test.pid).children(recursive=True)
    assert inside in [process.pid for process in started]
    os.kill(test.pid, signal.SIGKILL)
    test.communicate()
    assert gone(started, 60.0)
    assert network not in networks()


def test_a_long_line_delays_each_way_and_loses_no_byte_and_a_bad_one_takes_longer() -> None:
    with hosts("attic", "server") as rig, rig["server"].popen(sys.executable, "-c", ECHO, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            server.stdout.readline()
            with (
                rig["attic"].link_to(rig["server"].address, 7, delay_ms=5) as long,
                rig["attic"].link_to(rig["server"].address, 7, loss=1) as bad,
            ):
                trips = [(long, "20"), (bad, "2")]
                took_s = [float(rig["attic"].run(sys.executable, "-c", ROUND_TRIPS, *each).stdout) for each in trips]
        finally:
            server.kill()
    # 20 times there and back in 5 ms each, 2 times in 200 ms each
    assert took_s[0] >= 0.2
    assert took_s[1] >= 0.8
