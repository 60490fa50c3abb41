"""TCP ports that the daemon listens on: whether another program has taken them, by the kernel's list of sockets. None is opened."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip
from ncs_cluster.cli.doctor.holders import sockets
from ncs_cluster.cli.doctor.machine import Machine

LISTENING = "0A"
EVERYWHERE = ("0.0.0.0", "::", "*")
LOWEST = 1024
"""Ports below it are root's, where net.ipv4.ip_unprivileged_port_start does not say otherwise."""


class Wanted(NamedTuple):
    what: str
    """ "the page", "Frigate's detector"."""
    host: str
    port: int
    flag: str
    """The flag that sets another port."""
    taken: bool
    holder: tuple[int, str] | None
    """Id and name of the process, where this user may see it."""


class Facts(NamedTuple):
    wanted: list[Wanted]
    daemon_runs: bool
    """The daemon holds its ports itself, and its status has those that it could not open."""
    privileged: bool
    """The daemon's user may listen on every port."""
    lowest: int


def probe(case: Case) -> Facts:
    listed = _listening(case.machine)
    lowest = case.machine.number("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    found = []
    for what, host, port, flag in _places(case):
        inode = next((each for address, number, each in listed if number == port and _clash(address, host)), None)
        found.append(Wanted(what, host, port, flag, inode is not None, None if inode is None else sockets(case.machine, inode)))
    return Facts(found, case.status is not None, case.subject.uid == 0, LOWEST if lowest is None else lowest)


def judge(facts: Facts) -> list[Finding]:
    found = []
    for what, host, port, flag, taken, holder in facts.wanted:
        address = f"{host}:{port}"
        if facts.daemon_runs:
            found.append(
                passed(f"{what} is at {address}") if taken else fail(f"no process listens for {what} at {address}", "ncsctl events")
            )
        elif port < facts.lowest and not facts.privileged:
            found.append(fail(f"{what}: port {port} is not for ordinary users", f"ncs-clusterd {flag} {host}:{port + 8000}"))
        elif taken:
            who = f"{holder[1]} (pid {holder[0]})" if holder else "another program"
            remedy = f"sudo ss -ltnp 'sport = :{port}'; or choose another: ncs-clusterd {flag} {host}:{port + 1}"
            found.append(fail(f"{what}: {who} listens on {address} already", remedy))
        else:
            found.append(passed(f"{what}: {address} is free"))
    return found or [skip("the settings serve nothing over TCP")]


def _places(case: Case) -> list[tuple[str, str, int, str]]:
    page, found = case.settings.gateway, []
    if page is not None:
        found.append(("the page", page.host, page.port, "--listen"))
        if page.api_address is not None:
            found.append(("the API", *page.api_address, "--api-listen"))
        if page.grpc_address is not None:
            found.append(("the API over gRPC", *page.grpc_address, "--api-grpc"))
    for intake in case.settings.intakes:
        match = re.fullmatch(r"tcp://\[?([^\]]+?)\]?:(\d+)", intake.shown)
        if match is not None:
            found.append((f"{intake.name.capitalize()}'s detector", match[1], int(match[2]), f"--{intake.name}"))
    # port 0: the kernel chooses a free one
    return [each for each in found if each[2] != 0]


def _clash(address: str, host: str) -> bool:
    host = {"localhost": "127.0.0.1"}.get(host, host)
    return address in EVERYWHERE or host in EVERYWHERE or address == host


def _listening(machine: Machine) -> list[tuple[str, int, str]]:
    """Address, port and inode of each listening socket: proc(5), /proc/net/tcp."""
    found = []
    for file, family in (("/proc/net/tcp", socket.AF_INET), ("/proc/net/tcp6", socket.AF_INET6)):
        for line in (machine.text(file) or "").splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[3] == LISTENING:
                address, _, port = words[1].partition(":")
                # each 32 bits in the byte order of the machine
                raw = b"".join(bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8))
                found.append((socket.inet_ntop(family, raw), int(port, 16), words[9]))
    return found
