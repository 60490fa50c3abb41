"""Runs checks at the same time, each in a process of its own: a probe that crashes or hangs is a finding, and disturbs no other.

The process that waits touches no file that may hang; what cannot be killed (D state) is left behind.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import FAIL, WARN, Finding
from ncs_cluster.plugins import reason
from ncs_cluster.processes.child import die_with_parent

F = TypeVar("F")
T = TypeVar("T")


class Check(NamedTuple, Generic[F]):
    """One line of the registry."""

    name: str
    about: str
    """What is looked at, for people: the table in docs/operate.md has it."""
    probe: Callable[[Case], F]
    """Gathers the facts: reads files, starts programs, loads libraries."""
    judge: Callable[[F], list[Finding]]
    """Pure: what the facts mean."""
    limit_s: float = 4.0
    otherwise: str = "sudo dmesg | tail -n 30"
    """The remedy where the probe itself crashes or hangs."""


class Late(Exception):
    """The process took longer than its limit."""


class Died(Exception):
    """The process ended without an answer; the text says how."""


class _Started(NamedTuple):
    pid: int
    pipe: int
    until_s: float


def examine(case: Case, checks: Sequence[Check[Any]], until_s: float) -> list[Finding]:
    """The findings of all checks, in their order. `until_s`: time.monotonic() at which every probe is given up."""
    started = {
        check.name: _start(partial(_findings, check, case), min(until_s, time.monotonic() + case.patience * check.limit_s))
        for check in checks
    }
    answers = _gather(started)
    found: list[Finding] = []
    for check in checks:
        answer = answers[check.name]
        if isinstance(answer, Late):
            limit_s = case.patience * check.limit_s
            several = [Finding(WARN, f"{check.about}: no answer within {limit_s:.0f} s", check.otherwise)]
        elif isinstance(answer, Died):
            several = [Finding(FAIL, f"{check.about}: the process that tried it died ({answer})", check.otherwise)]
        else:
            several = msgspec.msgpack.decode(answer, type=list[Finding])
        found += [msgspec.structs.replace(each, check=check.name) for each in several]
    return found


def apart(work: Callable[[], Any], answer: type[T], limit_s: float) -> T:
    """The result of `work`, done in a process of its own. Raises Late or Died."""
    (got,) = _gather({"": _start(work, time.monotonic() + limit_s)}).values()
    if isinstance(got, Exception):
        raise got
    return msgspec.msgpack.decode(got, type=answer)


def _findings(check: Check[Any], case: Case) -> list[Finding]:
    try:
        return check.judge(check.probe(case))
    except Exception as error:
        return [Finding(WARN, f"{check.about}: cannot be judged: {reason(error)}", check.otherwise)]


def _start(work: Callable[[], Any], until_s: float) -> _Started:
    readable, writable = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(writable)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        return _Started(pid, readable, until_s)
    code = 1
    try:
        # a group of its own: what it starts ends with it
        os.setpgid(0, 0)
        die_with_parent(parent)
        # a crash is a finding: no core file, no traceback
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        faulthandler.disable()
        os.close(readable)
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        with os.fdopen(writable, "wb") as pipe:
            pipe.write(msgspec.msgpack.encode(work()))
        code = 0
    finally:
        os._exit(code)


def _gather(started: dict[str, _Started]) -> dict[str, bytes | Late | Died]:
    waiting, parts = selectors.DefaultSelector(), {name: list[bytes]() for name in started}
    answers: dict[str, bytes | Late | Died] = {}
    for name, each in started.items():
        waiting.register(each.pipe, selectors.EVENT_READ, name)
    try:
        while waiting.get_map():
            now_s = time.monotonic()
            for name, each in started.items():
                if name not in answers and each.until_s <= now_s:
                    answers[name] = Late()
                    waiting.unregister(each.pipe)
            due_s = min((each.until_s for name, each in started.items() if name not in answers), default=now_s)
            for key, _ in waiting.select(max(0.0, due_s - now_s)) if waiting.get_map() else []:
                if part := os.read(key.fd, 1 << 16):
                    parts[key.data].append(part)
                    continue
                waiting.unregister(key.fd)
                # a process that has closed its pipe is about to end; what it has left behind ends with it
                pid = started[key.data].pid
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
                _kill(pid)
                _, status = os.waitpid(pid, 0)
                code = os.waitstatus_to_exitcode(status)
                answers[key.data] = b"".join(parts[key.data]) if code == 0 else Died(_how(code))
    finally:
        for name, each in started.items():
            os.close(each.pipe)
            if isinstance(answers.get(name, Late()), Late):
                _kill(each.pid)
                with contextlib.suppress(OSError):
                    os.waitpid(each.pid, os.WNOHANG)
    return answers


def _kill(group: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(group, signal.SIGKILL)


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
