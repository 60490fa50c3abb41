"""Whether the daemon would take its settings. Graphs, and what the machine must have for the settings, have checks of their own."""

from __future__ import annotations

import os
from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn

ELSEWHERE = ("graphs",)
"""Parts of the settings that another check tells of."""
RIGHTS = ("Permission denied", "by this user", "this user can reach")
"""Words of a refusal that another user would not get."""


class Facts(NamedTuple):
    file: str | None
    refused: dict[str, str]
    flags: bool
    """They are given on a command line."""
    foreign: bool
    """They were judged by another user than the daemon's."""
    late: bool
    """Reading them took too long."""


def probe(case: Case) -> Facts:
    refused = {part: line for part, line in case.read.refused.items() if part not in ELSEWHERE}
    return Facts(_file(case), refused, bool(case.subject.argv), case.subject.uid != os.geteuid(), case.read.late)


def judge(facts: Facts) -> list[Finding]:
    remedy = f"sudoedit {facts.file}; then: sudo ncsctl config check --config {facts.file}" if facts.file else "ncs-clusterd --help"
    found = []
    if facts.late:
        (line,) = facts.refused.values()
        return [warn(f"{line}: the rest is judged without them", "ncsctl doctor --patience 5")]
    for line in facts.refused.values():
        if facts.foreign and any(word in line for word in RIGHTS):
            found.append(skip(f"not judged: {line}", "sudo ncsctl doctor"))
        else:
            found.append(fail(f"the daemon refuses its settings: {line}", remedy))
    if found:
        return found
    if facts.file is not None:
        return [passed(f"{facts.file} is right")]
    return [passed(f"no file of settings: {'flags' if facts.flags else 'the defaults'} hold")]


def _file(case: Case) -> str | None:
    if case.read.file is not None:
        return case.read.file
    argv = case.subject.argv
    return argv[argv.index("--config") + 1] if "--config" in argv[:-1] else None
