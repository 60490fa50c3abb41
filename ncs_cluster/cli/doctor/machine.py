"""The machine that is looked at: files below a root, its users, its programs. Small reads; what cannot be read is None.

The root is / but in tests, which make a tree with the faults of a broken machine. Paths are absolute, as on that machine.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LONGEST = 1 << 20
"""Bytes read of a file."""
RUN_S = 3.0


class Who(NamedTuple):
    """The user that a daemon runs as."""

    name: str
    uid: int
    groups: frozenset[int]


class Access(NamedTuple):
    """Owner and rights of a file, as stat(2) tells them."""

    path: str
    mode: int
    uid: int
    gid: int
    mine: bool | None = None
    """Whether this process's user may read and write it, access lists included; None where that user is not the one asked about."""

    def allows(self, who: Who, want: int = os.R_OK | os.W_OK) -> bool:
        """Whether `who` has all rights of `want`."""
        if who.uid == 0 or self.mine:
            return True
        shift = 6 if who.uid == self.uid else 3 if self.gid in who.groups else 0
        return (self.mode >> shift) & want == want


class Machine:
    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    @property
    def real(self) -> bool:
        """The root is that of the machine that this process runs on."""
        return str(self.root) == "/"

    def at(self, path: str) -> Path:
        """Where the machine's absolute path is."""
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str | None:
        """A regular file, without the white space around it. No call waits for a writer."""
        try:
            fd = os.open(self.at(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            return None
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            whole = bytearray()
            # files of /proc come in small pieces
            while (part := os.read(fd, 1 << 16)) and len(whole) < LONGEST:
                whole += part
            return whole.decode(errors="replace").strip()
        except OSError:
            return None
        finally:
            os.close(fd)

    def number(self, path: str, base: int = 10) -> int | None:
        try:
            return int(self.text(path) or "", base)
        except ValueError:
            return None

    def names(self, path: str) -> list[str]:
        """Entries of a folder, sorted; none where there is no such folder."""
        try:
            return sorted(os.listdir(self.at(path)))
        except OSError:
            return []

    def access(self, path: str, who: Who) -> Access | None:
        """None where there is no such file, or it cannot be looked at."""
        place = self.at(path)
        try:
            found = place.stat()
        except (OSError, ValueError):
            return None
        mine = os.access(place, os.R_OK | os.W_OK) if who.uid == os.geteuid() else None
        return Access(path, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, mine)

    def blocked(self, path: str, who: Who, want: int = os.R_OK) -> Access | None:
        """The first folder on the way to a file that `who` may not enter, or the file where `who` lacks a right of `want`. None
        where nothing is in the way, and where it does not exist."""
        for folder in (*reversed(Path(path).parents), Path(path)):
            last = str(folder) == path
            found = self.access(str(folder), who)
            if found is None:
                return None
            mine = None if found.mine is None else os.access(self.at(str(folder)), want if last else os.X_OK)
            if not found._replace(mine=mine).allows(who, want if last else os.X_OK):
                return found
        return None

    def user(self, name: str) -> Who | None:
        """By name, with its groups."""
        for row in self._rows("/etc/passwd"):
            if row[0] == name and len(row) > 3 and row[2].isdigit() and row[3].isdigit():
                return Who(name, int(row[2]), frozenset({int(row[3]), *self._member(name)}))
        return None

    def user_name(self, uid: int) -> str:
        return next((row[0] for row in self._rows("/etc/passwd") if row[2:3] == [str(uid)]), str(uid))

    def home(self, uid: int) -> str:
        """Its folder; / where the user is not known."""
        return next((row[5] for row in self._rows("/etc/passwd") if row[2:3] == [str(uid)] and len(row) > 5), "/")

    def group_name(self, gid: int) -> str:
        return next((row[0] for row in self._rows("/etc/group") if row[2:3] == [str(gid)]), str(gid))

    def group(self, name: str) -> int | None:
        return next((int(row[2]) for row in self._rows("/etc/group") if row[0] == name and len(row) > 2 and row[2].isdigit()), None)

    def _member(self, name: str) -> Iterator[int]:
        for row in self._rows("/etc/group"):
            if len(row) > 3 and row[2].isdigit() and name in row[3].split(","):
                yield int(row[2])

    def _rows(self, path: str) -> Iterator[list[str]]:
        return (line.split(":") for line in (self.text(path) or "").splitlines())

    def run(self, program: str, *arguments: str) -> str | None:
        """What a program of the machine prints; None where it is not there, fails, or takes longer than RUN_S."""
        if self.real:
            found = shutil.which(program)
        else:
            found = next((str(each) for each in map(self.at, (f"/usr/bin/{program}", f"/bin/{program}")) if each.is_file()), None)
        if found is None:
            return None
        try:
            done = subprocess.run(
                [found, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=RUN_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
