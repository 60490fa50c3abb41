"""The real ncsctl against a control socket: its commands, exit codes and signals, with a terminal and without."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncs_cluster.control_messages import NO_PAGE, PAGE_NOT_READY
from ncs_cluster.testing.control import FakeControl, control
from tests.cli.asking import NCSCTL, ncsctl


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeControl]:
    with control(tmp_path) as fake:
        yield fake


def test_url_waits_for_a_page_that_is_not_ready_and_for_no_other_refusal(daemon: FakeControl, tmp_path: Path) -> None:
    daemon.refusal, daemon.code = "there is no page: it is not ready yet and never will be", NO_PAGE
    assert ncsctl("url", place=tmp_path).returncode == 1
    assert len(daemon.requests) == 1
    daemon.refusal, daemon.code = "in any words", PAGE_NOT_READY
    with subprocess.Popen([*NCSCTL, "url", "--runtime-dir", str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        deadline_s = time.monotonic() + 60
        while len(daemon.requests) < 3 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        daemon.refusal = None
        assert process.communicate(timeout=60)[0] == "http://127.0.0.1:8080/\n"


def test_the_runtime_directory_may_stand_before_or_after_the_command_or_in_the_environment(
    daemon: FakeControl, tmp_path: Path
) -> None:
    assert ncsctl("status", place=tmp_path).returncode == 0
    assert ncsctl("status", "--runtime-dir", str(tmp_path)).returncode == 0
    assert ncsctl("status", RUNTIME_DIRECTORY=str(tmp_path)).returncode == 0


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["top"], ["switch"], ["events"], ["events", "-f"], ["url"]])
def test_without_a_daemon_it_says_so_in_one_line_and_exits_3(command: list[str], tmp_path: Path) -> None:
    done = ncsctl(*command, place=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"ncsctl: ncs-clusterd is not running: no process listens on {tmp_path}/control.sock (--runtime-dir names another folder); "
        "ncsctl doctor looks for the cause\n"
    )


def test_wrong_usage_exits_2(tmp_path: Path) -> None:
    for argv in ([], ["dance"], ["status", "--json", "--watch"]):
        assert ncsctl(*argv, place=tmp_path).returncode == 2


def test_switch_and_url_say_what_the_daemon_says(daemon: FakeControl, tmp_path: Path) -> None:
    assert ncsctl("switch", place=tmp_path).stdout == "switched to sim-3, sim-4\n"
    assert ncsctl("url", place=tmp_path).stdout == "http://127.0.0.1:8080/\n"
    daemon.refusal = "there is no other cluster"
    done = ncsctl("switch", place=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "ncsctl: there is no other cluster\n")


def test_events_are_lines_and_a_reader_that_leaves_is_no_error(daemon: FakeControl, tmp_path: Path) -> None:
    for number in range(2000):
        daemon.add_event(f"event {number}", level="warning")
    lines = ncsctl("events", place=tmp_path).stdout.splitlines()
    assert len(lines) == 2000
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  warning stick sim-1   event 0", lines[0])
    command = shlex.join([*NCSCTL, "events", "--runtime-dir", str(tmp_path)]) + " | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_following_ends_quietly_with_ctrl_c_and_with_3_when_the_daemon_goes(daemon: FakeControl, tmp_path: Path) -> None:
    daemon.add_event("hello")
    for end, code in ((lambda process: process.send_signal(signal.SIGINT), 130), (lambda _: daemon.close(), 3)):
        process = subprocess.Popen(
            [*NCSCTL, "events", "--follow", "--runtime-dir", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert "hello" in process.stdout.readline()
        end(process)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (code, "")
        assert err == ("" if code == 130 else "ncsctl: ncs-clusterd closed the connection\n")


def on_terminal(*argv: str, until: bytes, times: int = 1, **environ: str) -> tuple[bytes, int]:
    """Output on a terminal of 80 x 24 and the exit code. Ctrl-C is pressed when these bytes have come so many times."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [*NCSCTL, *argv], {**os.environ, "TERM": "xterm", **environ})
    got, deadline_s = b"", time.monotonic() + 60
    try:
        while got.count(until) < times and time.monotonic() < deadline_s and select.select([fd], [], [], 30)[0]:
            got += os.read(fd, 65536)
        os.write(fd, b"\x03")
        while True:
            got += os.read(fd, 65536)
    except OSError:
        pass  # the terminal is gone: the program has ended
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return got, os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("command", [["status", "--watch"], ["top"]])
def test_live_views_redraw_and_leave_the_terminal_as_it_was(daemon: FakeControl, tmp_path: Path, command: list[str]) -> None:
    # at the end of the second picture, because Ctrl-C makes the terminal discard what it has not passed on
    got, code = on_terminal(*command, "--runtime-dir", str(tmp_path), until=b"\x1b[J", times=2)
    assert code == 0
    assert got.count(b"ncs-clusterd 0.1.0") >= 2
    assert got.startswith(b"\x1b[?1049h\x1b[?25l")
    assert got.rstrip().endswith(b"\x1b[?25h\x1b[?1049l")
    assert b"Traceback" not in got


def test_colour_is_for_terminals_that_want_it(daemon: FakeControl, tmp_path: Path) -> None:
    where = ("status", "--runtime-dir", str(tmp_path))
    assert b"\x1b[32mok\x1b[0m" in on_terminal(*where, until=b"RESTARTS")[0]
    assert b"\x1b" not in on_terminal(*where, until=b"RESTARTS", NO_COLOR="1")[0]
