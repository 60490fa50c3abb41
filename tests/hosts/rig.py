"""Hosts with addresses of their own on this machine: network namespaces at one bridge.

    with hosts("attic", "cellar") as rig:
        with running(settings, before=rig["attic"].enter) as daemon:
            rig["attic"].cut()

All of it lies in a user, a mount and a network namespace of one process, the anchor: no root is needed, names and addresses of two
rigs cannot collide, and the kernel takes everything down when the anchor ends. The anchor is killed with the test's process, and so
is what a test starts with `Host.enter`. Files, control sockets and process ids are this machine's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.needs import need_network_namespaces
from tests.tied import TIED

ROOT = Path(__file__).resolve().parents[2]
ANCHOR = ("unshare", "--user", "--map-root-user", "--net", "--mount")
NETWORK, FIRST = "10.77.0", 1
"""The hosts have the addresses FIRST, FIRST + 1 ... of it."""


class Host:
    """One network namespace. `enter`: words before a command that shall run in it."""

    def __init__(self, rig: Rig, name: str, address: str) -> None:
        self.name, self.address = name, address
        self._rig = rig
        # the thread that starts a command is its parent also after nsenter: what changes its rights forgets whom it dies with
        self.enter = (*rig.enter(f"root/run/netns/{name}"), *TIED)

    def popen(self, *command: str, **given: Any) -> subprocess.Popen[Any]:
        return subprocess.Popen([*self.enter, *command], **given)

    def run(self, *command: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """A command to its end, with what it prints."""
        return subprocess.run([*self.enter, *command], capture_output=True, text=True, check=False, timeout=timeout_s)

    def ncsctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "ncs_cluster.cli.ncsctl", *words)

    @contextmanager
    def link_to(self, address: str, port: int, *, delay_ms: float = 0.0, loss: float = 0.0) -> Iterator[str]:
        """A long line from this host to a server: "HOST:PORT" on this host, where `relay` passes on what comes."""
        with self.popen(
            *(sys.executable, "-m", "tests.hosts.relay", f"{address}:{port}", "--delay-ms", str(delay_ms), "--loss", str(loss)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().strip()
            finally:
                process.kill()

    def cut(self) -> None:
        """Nothing reaches the host or leaves it: the cable is pulled at the switch, so the host has its address still."""
        self._rig.ip(f"link set {self.name} down")

    def join(self) -> None:
        """End a cut."""
        self._rig.ip(f"link set {self.name} up")


class Rig:
    """Made hosts, by name."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._anchor = subprocess.Popen(
            [*ANCHOR, *TIED, "sh", "-ec", _setup(names)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._anchor.stdout is not None
        said = self._anchor.stdout.readline()
        if said != "made\n":
            self.close()
            raise AssertionError(f"no hosts: {said}")
        self._hosts = {name: Host(self, name, f"{NETWORK}.{number}") for number, name in enumerate(names, FIRST)}

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def enter(self, namespace: str) -> tuple[str, ...]:
        """Words before a command that shall run in a network namespace; `namespace`: below the anchor's folder in /proc."""
        proc = f"/proc/{self._anchor.pid}"
        return ("nsenter", "--preserve-credentials", f"--user={proc}/ns/user", f"--net={proc}/{namespace}", "--")

    def ip(self, line: str) -> None:
        """A line of ip(8) at the bridge. Raises CalledProcessError."""
        subprocess.run([*self.enter("ns/net"), "ip", *line.split()], check=True)

    def close(self) -> None:
        """The namespaces go with their last process."""
        self._anchor.kill()
        self._anchor.communicate()


@contextmanager
def hosts(*names: str) -> Iterator[Rig]:
    """Hosts that reach each other. Skips where the kernel does not allow them."""
    need_network_namespaces()
    rig = Rig(names)
    try:
        yield rig
    finally:
        rig.close()


def _setup(names: tuple[str, ...]) -> str:
    """The anchor's script: /run is its own, so `ip netns` knows the hosts by their names."""
    lines = ["link set lo up", "link add bridge type bridge", f"addr add {NETWORK}.254/24 dev bridge", "link set bridge up"]
    inside = []
    for number, name in enumerate(names, FIRST):
        lines += [
            f"netns add {name}",
            f"link add {name} type veth peer name eth0 netns {name}",
            f"link set {name} master bridge up",
        ]
        own = rf"link set lo up\naddr add {NETWORK}.{number}/24 dev eth0\nlink set eth0 up\n"
        inside.append(f"printf '{own}' | ip -n {name} -batch -")
    batch = "\\n".join(lines)
    made = [f"printf '{batch}\\n' | ip -batch -", *inside]
    return "\n".join(["mount -t tmpfs none /run", "mkdir /run/netns", *made, "echo made", "exec cat >/dev/null"])
