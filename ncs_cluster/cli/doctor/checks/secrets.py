"""Files with passwords and tokens: who else may read them, and who may change what the daemon does."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.cli.doctor.machine import Access, Machine

_IN_ADDRESS = re.compile(r"[a-z]://[^/\s\"'@]*:[^/\s\"'@]+@")
_KEY = re.compile(r"^\s*[\w.\"-]*(password|secret|token)\s*=", re.M)
"""Not password-file and its like, which name a file."""
OTHERS_READ, OTHERS_WRITE, GROUP_WRITE = 0o004, 0o002, 0o020


class Facts(NamedTuple):
    file: Access | None
    """The file of settings."""
    secret: bool
    """It holds a password."""
    on_command_line: bool
    """The running daemon's command line holds one, which every user can list."""


def probe(case: Case) -> Facts:
    file = case.read.file
    # settings name their files as this process sees them
    text = file and Machine().text(file)
    return Facts(
        Machine().access(file, case.subject.who) if file else None,
        bool(text) and holds_secret(str(text)),
        case.subject.pid is not None and any(_IN_ADDRESS.search(word) for word in case.subject.argv),
    )


def holds_secret(text: str) -> bool:
    """Whether a TOML text holds a password, in an address or by itself. Comments do not count."""
    bare = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    return bool(_IN_ADDRESS.search(bare) or _KEY.search(bare))


def judge(facts: Facts) -> list[Finding]:
    found = []
    if facts.on_command_line:
        text = "the daemon's command line holds a password, which every user can list"
        found.append(warn(text, "write it into a file of mode 0600, and start the daemon with --config FILE"))
    if facts.file is None:
        return found or [skip("no file of settings")]
    path = shlex.quote(facts.file.path)
    if facts.file.mode & OTHERS_WRITE:
        found.append(fail(f"every user may change {facts.file.path}", f"sudo chmod go-w {path}"))
    if facts.secret and facts.file.mode & OTHERS_READ:
        found.append(fail(f"{facts.file.path} holds a password, and every user may read it", f"sudo chmod o-rwx {path}"))
    return found or [passed(f"{facts.file.path}: {'a password, ' if facts.secret else ''}mode {facts.file.mode:04o}")]
