"""`python -m tests.soak.fleet [--hosts N [N ...]] [--sticks N] [--seconds S]`: what a fleet costs its NATS server and its network.

A real server, the hosts of `many_hosts` and `ncsctl` have a network namespace each, so the interfaces' own counters say how many
bytes and packets went over the line, with TCP and its acknowledgements. One row is printed for each size: measured over S seconds
after all hosts are there. A second table is computed from the smallest and the largest of them.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.hosts.rig import ROOT, Host, hosts
from tests.nats_server import NatsServer, nats_server

COMPUTED = (10, 100, 1000)
LOOKS = 5


class Traffic(NamedTuple):
    """Of one interface, since it was made."""

    received_bytes: int
    received_packets: int
    sent_bytes: int
    sent_packets: int

    def since(self, before: Traffic) -> Traffic:
        return Traffic(*(now - then for now, then in zip(self, before, strict=True)))


class Measured(NamedTuple):
    hosts: int
    bytes_to: float
    """A second and host, from the host to the server."""
    bytes_from: float
    packets: float
    """A second and host, both ways."""
    server_cpu: float
    """Share of one core."""
    server_rss: int
    """Bytes, at the end."""
    look_s: float
    """The fastest of LOOKS `ncsctl fleet status`."""
    look_cpu_s: float
    look_bytes: float
    load: float
    """The machine's, of the last minute."""


def traffic(host: Host) -> Traffic:
    words = host.run("cat", "/proc/net/dev").stdout.partition("eth0:")[2].split()
    return Traffic(int(words[0]), int(words[1]), int(words[8]), int(words[9]))


def look(reader: Host, place: NatsServer, expected: int) -> tuple[float, float]:
    """Seconds of time and of processor time of one command."""
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    shown = reader.ncsctl("fleet", "status", "--nats", place.url)
    took_s, after = time.monotonic() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = sum(line.startswith("host-") and " ok " in line for line in shown.stdout.splitlines())
    assert rows == expected, f"{rows} of {expected} hosts are shown as ok\n{shown.stdout[-500:]}{shown.stderr}"
    return took_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(count: int, sticks: int, seconds: float) -> Measured:
    with (
        tempfile.TemporaryDirectory() as folder,
        hosts("server", "fleet", "reader") as rig,
        nats_server(Path(folder), host=rig["server"]) as place,
        rig["fleet"].popen(
            *(sys.executable, "-m", "tests.soak.many_hosts", place.url, "--hosts", str(count), "--sticks", str(sticks)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as fleet,
    ):
        try:
            assert fleet.stdout is not None
            assert fleet.stdout.readline() == "ready\n", f"the hosts have ended with {fleet.wait()}"
            server = psutil.Process(place.pid)
            before, cpu_before, began_s = traffic(rig["fleet"]), server.cpu_times(), time.monotonic()
            time.sleep(seconds)
            cpu, line = server.cpu_times(), traffic(rig["fleet"]).since(before)
            took_s = time.monotonic() - began_s
            looked_before = traffic(rig["reader"])
            looks = [look(rig["reader"], place, count) for _ in range(LOOKS)]
            looked = traffic(rig["reader"]).since(looked_before)
            each = took_s * count
            return Measured(
                count,
                line.sent_bytes / each,
                line.received_bytes / each,
                (line.sent_packets + line.received_packets) / each,
                (cpu.user + cpu.system - cpu_before.user - cpu_before.system) / took_s,
                server.memory_info().rss,
                min(wall for wall, _ in looks),
                min(own for _, own in looks),
                (looked.sent_bytes + looked.received_bytes) / LOOKS,
                psutil.getloadavg()[0],
            )
        finally:
            fleet.kill()


def row(found: Measured, load: str) -> str:
    megabits = found.hosts * (found.bytes_to + found.bytes_from) * 8 / 1e6
    return (
        f"{found.hosts:5d}  {found.bytes_to:8.0f}  {found.bytes_from:8.0f}  {found.packets:7.2f}  {megabits:6.3f}"
        f"  {100 * found.server_cpu:7.2f}  {found.server_rss / 2**20:7.1f}  {found.look_s:7.2f}  {found.look_cpu_s:7.2f}"
        f"  {found.look_bytes / 1024:10.0f}  {load:>5}"
    )


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m tests.soak.fleet", description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[10, 100, 200])
    parser.add_argument("--sticks", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    head = "hosts    B/s to  B/s from  packets  Mbit/s    CPU %  RSS MiB  status s   CPU s  status KiB   load"
    print(f"measured, {given.sticks} sticks a host; to and from the server, packets: a second and host", head, sep="\n")
    found = []
    for count in given.hosts:
        found.append(measured(count, given.sticks, given.seconds))
        print(row(found[-1], f"{found[-1].load:.1f}"), flush=True)
    print("computed from the largest and the smallest of these", head, sep="\n")
    for count in COMPUTED:
        print(row(computed(count, min(found), max(found)), ""))


def computed(count: int, few: Measured, many: Measured) -> Measured:
    """What grows with the number of hosts lies on the line through two measurements; what is one host's is as in the larger one."""

    def at(low: float, high: float) -> float:
        rise = 0.0 if many.hosts == few.hosts else (high - low) / (many.hosts - few.hosts)
        return max(0.0, high + rise * (count - many.hosts))

    return many._replace(
        hosts=count,
        server_cpu=at(few.server_cpu, many.server_cpu),
        server_rss=int(at(few.server_rss, many.server_rss)),
        look_s=at(few.look_s, many.look_s),
        look_cpu_s=at(few.look_cpu_s, many.look_cpu_s),
        look_bytes=at(few.look_bytes, many.look_bytes),
    )


if __name__ == "__main__":
    main()
