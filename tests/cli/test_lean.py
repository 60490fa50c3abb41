"""What a command that asks the daemon costs: plain command lines are read without argparse, and nothing heavy is imported."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncs_cluster.cli import commands, lean, parser
from ncs_cluster.testing.control import FakeControl, control
from tests.cli.asking import ncsctl

CPU_S = 0.08
"""What one command may cost; asserted at four times that, as a time-out."""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeControl]:
    with control(tmp_path) as fake:
        yield fake


HEAVY = (
    *("cv2", "openvino", "numpy", "pydantic", "pydantic_settings", "rich"),
    *("argparse", "pathlib", "tempfile", "shutil", "subprocess", "logging", "asyncio", "inspect", "typing_extensions", "json"),
    *("ncs_cluster.messages", "ncs_cluster.specs", "ncs_cluster.core", "ncs_cluster.config", "ncs_cluster.cli.parser"),
)


@pytest.mark.parametrize("command", [["status"], ["switch"], ["events"], ["url"]])
def test_a_command_that_asks_the_daemon_imports_nothing_heavy(daemon: FakeControl, tmp_path: Path, command: list[str]) -> None:
    code = (
        "import os, sys; os._exit = sys.exit; from ncs_cluster.cli.ncsctl import main\n"
        "try: main()\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    argv = [sys.executable, "-c", code, *command, "--runtime-dir", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    imported = set(done.stderr.split())
    assert {"msgspec", "ncs_cluster.client"} <= imported
    assert imported & set(HEAVY) == set()


@pytest.mark.parametrize(
    ("argv", "plain"),
    [
        ("status", ("status", None, {"json": False, "watch": False})),
        ("--runtime-dir a status --json", ("status", "a", {"json": True, "watch": False})),
        ("--runtime-dir a status --runtime-dir b", ("status", "b", {"json": False, "watch": False})),
        ("events --follow", ("events", None, {"follow": True})),
        ("top", ("top", None, {})),
        *(
            (line, None)
            for line in ("", "dance", "status --json --watch", "--json status", "status --js", "events -f", "top --json")
        ),
        *(
            (line, None)
            for line in ("status --help", "--version", "status status", "status --runtime-dir", "--runtime-dir -x status")
        ),
        *((line, None) for line in ("--runtime-dir=a status", "graphs list", "status --", "status --json --json")),
    ],
)
def test_plain_command_lines_are_read_without_argparse_and_as_argparse_reads_them(
    argv: str, plain: tuple[str, str | None, dict[str, bool]] | None
) -> None:
    assert lean.read_plain(argv.split(), commands.FLAGS) == plain
    if plain is not None:
        given = vars(parser.make().parse_args(argv.split()))
        given.pop("run")
        assert given == {**plain[2], **({} if plain[1] is None else {"runtime_dir": plain[1]})}


def test_a_command_costs_little(daemon: FakeControl, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ncsctl("status", place=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 4 * CPU_S
