"""Which processes hold device nodes open, as far as this user may look: /proc/PID/fd."""

from __future__ import annotations

import os

from ncs_cluster.cli.doctor.machine import Machine


def holders(machine: Machine, below: str, without: int | None = None) -> dict[str, str]:
    """Node -> "python3 (pid 812)", for open files whose path begins with `below`. `without`: a process that is left out with its
    children."""
    found: dict[str, str] = {}
    for pid in (name for name in machine.names("/proc") if name.isdigit()):
        for fd in machine.names(f"/proc/{pid}/fd"):
            try:
                path = os.readlink(machine.at(f"/proc/{pid}/fd/{fd}"))
            except OSError:
                continue
            if path.startswith(below) and not (without is not None and _is_of(machine, int(pid), without)):
                found.setdefault(path, f"{machine.text(f'/proc/{pid}/comm') or '?'} (pid {pid})")
    return found


def sockets(machine: Machine, inode: str) -> tuple[int, str] | None:
    """Id and name of the process that holds the socket with this inode; None where it is not told."""
    for pid in (name for name in machine.names("/proc") if name.isdigit()):
        for fd in machine.names(f"/proc/{pid}/fd"):
            try:
                if os.readlink(machine.at(f"/proc/{pid}/fd/{fd}")) == f"socket:[{inode}]":
                    return int(pid), machine.text(f"/proc/{pid}/comm") or "?"
            except OSError:
                continue
    return None


def _is_of(machine: Machine, pid: int, ancestor: int) -> bool:
    """Whether a process is `ancestor`, or one of its children's children."""
    for _ in range(64):
        if pid == ancestor:
            return True
        stat = machine.text(f"/proc/{pid}/stat") or ""
        # behind the name, which may hold spaces and brackets: state, parent
        words = stat.rpartition(")")[2].split()
        if len(words) < 2 or int(words[1]) <= 1:
            return False
        pid = int(words[1])
    return False
