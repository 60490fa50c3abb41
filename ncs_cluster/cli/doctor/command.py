"""The steps of `ncsctl doctor`: ask the daemon, find the daemon to judge, read its settings, run the checks, print."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ncs_cluster
from ncs_cluster.cli.doctor import running, subject
from ncs_cluster.cli.doctor.case import Case, Subject
from ncs_cluster.cli.doctor.checks import CHECKS
from ncs_cluster.cli.doctor.finding import FAIL, PASS, SKIP, WARN, Finding
from ncs_cluster.cli.doctor.machine import Machine
from ncs_cluster.cli.doctor.read import read
from ncs_cluster.cli.doctor.running import Check
from ncs_cluster.cli.text import Cell, Terminal, printable
from ncs_cluster.client import Client
from ncs_cluster.errors import NcsClusterError, NotRunning, WrongUsage
from ncs_cluster.status import Status

WHOLE_S = 9.0
"""The whole command; the interpreter's start and its end come on top."""
ASK_S, READ_S = 2.0, 4.0
"""Asking the daemon, reading the settings."""
STYLE = {PASS: "good", WARN: "warn", FAIL: "bad", SKIP: "dim"}
CODE = {PASS: 0, SKIP: 0, WARN: 1, FAIL: 2}


def run(runtime_dir: str | None, config: str | None, root: Path, patience: float, names: Sequence[str], *, json: bool) -> int:
    """Returns the exit code. `names`: of checks; none: all. Raises WrongUsage for a `root` that is no folder, and for an unknown
    check."""
    if not root.is_dir():
        raise WrongUsage(f"--root {root}: there is no such folder")
    about, found = examine(runtime_dir, config, root, patience, _chosen(names))
    if json:
        _print_json(about, found)
    else:
        _print(about, found)
    return max((CODE[each.level] for each in found), default=0)


def examine(
    runtime_dir: str | None, config: str | None, root: Path, patience: float = 1.0, checks: Sequence[Check[Any]] = CHECKS
) -> tuple[Subject | None, list[Finding]]:
    """Whose daemon was judged, and everything that was found. `patience`: limits of time are so many times the usual ones."""
    until_s = time.monotonic() + patience * WHOLE_S
    machine = Machine(root.absolute())
    # in another tree no daemon listens but one of a test, whose folder is named
    status, silence = _ask(runtime_dir, patience * ASK_S) if machine.real or runtime_dir is not None else (None, None)
    try:
        whose = subject.find(machine, None if status is None else status.daemon.pid, config)
    except subject.NoSuchUser as error:
        remedy = "sudo adduser --system --group --no-create-home --home /nonexistent ncs"
        return None, [Finding(FAIL, str(error), remedy, "service")]
    case = Case(machine, whose, read(machine, whose, patience * READ_S), status, silence, patience)
    return whose, running.examine(case, checks, until_s)


def _chosen(names: Sequence[str]) -> Sequence[Check[Any]]:
    known = [check.name for check in CHECKS]
    for name in names:
        if name not in known:
            raise WrongUsage(f"there is no check {name}; known: {', '.join(known)}")
    return [check for check in CHECKS if check.name in names] if names else CHECKS


def _ask(runtime_dir: str | None, limit_s: float) -> tuple[Status | None, str | None]:
    try:
        with Client(runtime_dir, timeout_s=limit_s) as daemon:
            return daemon.status(), None
    except NotRunning as error:
        return None, None if "is not running" in str(error) else str(error)
    except NcsClusterError as error:
        return None, str(error)


def _print(about: Subject | None, found: list[Finding]) -> None:
    terminal = Terminal()
    if about is not None:
        print(terminal.render([Cell(f"for {about.what}, user {about.user}", "dim")]))
    width = max((len(each.check) for each in found), default=0)
    for each in found:
        dim = "dim" if each.level == SKIP else ""
        print(
            terminal.render(
                [Cell(each.level, STYLE[each.level]), Cell(f"  {each.check:<{width}}  ", "dim"), Cell(printable(each.text), dim)]
            )
        )
        if each.remedy is not None:
            print(terminal.render([Cell(" " * (width + 8)), Cell(f"→ {printable(each.remedy)}", dim)]))
    count = Counter(each.level for each in found)
    words = {FAIL: "failed", WARN: "warning" if count[WARN] == 1 else "warnings", PASS: "passed", SKIP: "skipped"}
    print(", ".join(f"{count[level]} {word}" for level, word in words.items()))


def _print_json(about: Subject | None, found: list[Finding]) -> None:
    import json

    document = {
        "version": ncs_cluster.__version__,
        "at": time.time(),
        "host": os.uname().nodename,
        "for": about and {"what": about.what, "user": about.user, "unit": about.unit, "pid": about.pid},
        "level": max((each.level for each in found), key=lambda level: (CODE[level], level == PASS), default=PASS),
        "findings": [{"check": each.check, "level": each.level, "text": each.text, "remedy": each.remedy} for each in found],
    }
    print(json.dumps(document, indent=2, ensure_ascii=False))
