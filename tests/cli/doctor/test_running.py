"""Checks run at the same time, each in a process of its own: one that crashes or hangs is a finding."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ncs_cluster.cli.doctor import running
from ncs_cluster.cli.doctor.case import Case, Read, Subject
from ncs_cluster.cli.doctor.finding import Finding, passed
from ncs_cluster.cli.doctor.machine import Machine
from ncs_cluster.cli.doctor.read import NOTHING
from ncs_cluster.cli.doctor.running import Check
from ncs_cluster.testing.daemon import gone

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
CASE = Case(Machine(), Subject("a daemon", "ncs", 990, [990]), Read(NOTHING))
LONG_S = 120.0


def tell(fact: str) -> list[Finding]:
    return [passed(fact)]


def crash(case: Case) -> str:
    os.kill(os.getpid(), signal.SIGSEGV)
    return ""


def fail(case: Case) -> str:
    raise ValueError("no\nnumber")


def chatter(case: Case) -> str:
    os.write(1, b"a library prints")
    os.write(2, b"a library complains")
    return "quiet"


def test_a_crash_and_an_exception_of_one_check_leave_the_others_alone(capfd: pytest.CaptureFixture[str]) -> None:
    checks = [
        Check("first", "the first", lambda case: "well", tell, LONG_S),
        Check("crash", "what crashes", crash, tell, LONG_S, "reinstall it"),
        Check("fail", "what fails", fail, tell, LONG_S, "look at it"),
        Check("last", "the last", chatter, tell, LONG_S),
    ]
    assert running.examine(CASE, checks, time.monotonic() + LONG_S) == [
        Finding("PASS", "well", None, "first"),
        Finding("FAIL", "what crashes: the process that tried it died (SIGSEGV)", "reinstall it", "crash"),
        Finding("WARN", "what fails: cannot be judged: ValueError: no number", "look at it", "fail"),
        Finding("PASS", "quiet", None, "last"),
    ]
    assert capfd.readouterr() == ("", "")


def test_a_check_that_hangs_is_given_up_with_what_it_has_started(tmp_path: Path) -> None:
    """It ignores SIGTERM, as a process in the kernel's hands does, and has a child that would run on."""
    told = tmp_path / "pid"

    def hang(case: Case) -> str:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        told.write_text(str(child.pid))
        time.sleep(1000)
        return ""

    def wait(case: Case) -> str:
        while not told.exists() or not told.read_text():
            time.sleep(0.01)
        return "there"

    checks = [Check("hang", "what hangs", hang, tell, 4.0, "wait"), Check("other", "the other", wait, tell, LONG_S)]
    # the limit of the first begins to count before its child is started, on a machine that may be busy
    found = running.examine(CASE._replace(patience=2.0), checks, time.monotonic() + LONG_S)
    assert found == [
        Finding("WARN", "what hangs: no answer within 8 s", "wait", "hang"),
        Finding("PASS", "there", None, "other"),
    ]
    with contextlib.suppress(psutil.NoSuchProcess):
        assert gone([psutil.Process(int(told.read_text()))], LONG_S)


def test_work_apart_returns_its_answer_or_says_how_it_ended() -> None:
    assert running.apart(lambda: [1, 2], list[int], LONG_S) == [1, 2]
    with pytest.raises(running.Died, match="exit code 7"):
        running.apart(lambda: os._exit(7), list[int], LONG_S)
    with pytest.raises(running.Late):
        running.apart(lambda: time.sleep(1000), list[int], 0.1)
