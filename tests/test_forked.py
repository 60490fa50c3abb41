"""A command that is forked ends as one that is started, and the test's process stays as it was."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from tests import forked


def returns() -> int:
    return 3


def exits() -> None:
    sys.exit(3)


def complains() -> None:
    sys.exit("it is wrong")


def fails() -> None:
    raise ValueError("a bug")


def ends_at_once() -> None:
    os._exit(4)


def is_warned() -> None:
    warnings.warn("old", DeprecationWarning, stacklevel=1)


@pytest.mark.parametrize(
    ("main", "code", "said"),
    [
        (returns, 0, ""),
        (exits, 3, ""),
        (complains, 1, "it is wrong\n"),
        (fails, 1, "ValueError: a bug\n"),
        (ends_at_once, 4, ""),
        (is_warned, 0, ""),
    ],
)
def test_its_exit_code_and_last_line_are_those_of_the_interpreter(main, code: int, said: str) -> None:
    done = forked.run(main, ["command"])
    assert (done.returncode, done.stdout, done.stderr.splitlines(keepends=True)[-1:]) == (code, "", [said] if said else [])


def test_it_has_its_own_words_input_environment_and_folder_and_changes_none_of_the_tests(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def tells() -> None:
        print(sys.argv, sys.stdin.read(), dict(os.environ), os.getcwd(), flush=True)
        subprocess.run(["sh", "-c", "echo a child"], check=True)
        sys.stderr.write("no line")
        os.environ["LEFT"] = "1"

    before = (sys.argv, dict(os.environ), os.getcwd(), len(os.listdir("/proc/self/fd")))
    done = forked.run(tells, ["command", "--flag"], text="given", env={"ONE": "1"}, cwd=tmp_path)
    assert done.stdout == f"['command', '--flag'] given {{'ONE': '1'}} {tmp_path}\na child\n"
    assert (done.returncode, done.stderr) == (0, "no line")
    assert (sys.argv, dict(os.environ), os.getcwd(), len(os.listdir("/proc/self/fd"))) == before
    assert capfd.readouterr() == ("", "")


def test_no_descriptor_of_the_test_is_open_in_it() -> None:
    with open(os.devnull) as kept:
        done = forked.run(lambda: print(os.path.exists(f"/proc/self/fd/{kept.fileno()}")), ["command"])
    assert done.stdout == "False\n"


def test_one_that_does_not_end_is_killed_and_fails_the_test() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"the command takes longer than 0\.05 s"):
        forked.run(lambda: time.sleep(600), ["command"], timeout_s=0.05)
