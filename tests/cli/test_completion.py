"""Completions and manual pages are those of the parsers, and shells and man can read them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy import describe
from ncs_cluster.cli import whole
from ncs_cluster.cli.ncsctl import OWN_COMMAND_LINES
from tests.cli.test_own_commands import ncsctl
from tests.conftest import ROOT
from tests.needs import need_program

SHIPPED = ROOT / "deploy/completions"
ASK = """
source "$1"
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_shtab_{prefix}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(*words: str) -> set[str]:
    """What bash offers for the last word."""
    quoted = " ".join(f"'{word}'" for word in words)
    file = SHIPPED / f"{words[0]}.bash"
    script = ASK.format(words=quoted, prefix=words[0].replace("-", "_"))
    done = subprocess.run(["bash", "-c", script, "bash", str(file)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


def test_bash_completes_commands_flags_and_choices() -> None:
    assert completed("ncsctl", "st") == {"status", "stick"}
    assert completed("ncsctl", "firmware", "") >= {"install", "check"}
    assert completed("ncsctl", "run", "--fo") == {"--format"}
    assert completed("ncsctl", "completion", "z") == {"zsh"}
    assert completed("ncs-clusterd", "--cluster-s") == {"--cluster-size"}


def test_the_shipped_completions_are_made_from_the_parsers(tmp_path: Path) -> None:
    describe.completions(tmp_path)
    for file in tmp_path.iterdir():
        assert (SHIPPED / file.name).read_text() == file.read_text(), "stale: make docs"
    assert {file.name for file in SHIPPED.iterdir()} == {file.name for file in tmp_path.iterdir()}


def test_every_command_line_of_its_own_is_part_of_the_whole() -> None:
    assert set(whole.OWN) == set(OWN_COMMAND_LINES)


@pytest.mark.parametrize("name", ["ncsctl", "ncs-clusterd"])
def test_man_formats_the_manual_page_without_a_warning(tmp_path: Path, name: str) -> None:
    describe.man(tmp_path)
    page = tmp_path / f"{name}.1"
    man = need_program("man", "man-db")
    done = subprocess.run([man, "--warnings", "-E", "UTF-8", "-l", page], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"NAME {name} - " in " ".join(done.stdout.split())
    assert "--cluster-size" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_ncsctl_prints_the_completions_of_both_commands(shell: str) -> None:
    done = ncsctl("completion", shell)
    expected = "".join((SHIPPED / f"{name}.{shell}").read_text() for name in ("ncsctl", "ncs-clusterd"))
    assert (done.returncode, done.stdout) == (0, expected)
