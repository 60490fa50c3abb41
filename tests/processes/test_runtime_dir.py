"""The runtime directory: what is refused, and why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ncs_cluster.errors import ConfigError
from ncs_cluster.processes.runtime_dir import LOCK, claim


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        claim(folder)
    return str(caught.value)


def test_it_is_made_locked_and_names_the_process_that_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "run"
    lock = claim(folder)
    assert (folder.stat().st_mode & 0o777, (folder / LOCK).read_text()) == (0o750, f"{os.getpid()}\n")
    ask = f"from pathlib import Path; from ncs_cluster.processes.runtime_dir import claim; claim(Path({os.fspath(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=60, check=False)
    assert f"another ncs-clusterd (pid {os.getpid()}) uses {folder}" in done.stderr
    os.close(lock)
    os.close(claim(folder))


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o752])
def test_one_that_everybody_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    """Another user could put a socket of his own there."""
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(mode)
    assert refusal(folder) == (
        f"runtime directory {folder} can be written by everybody; chmod o-w {folder}, or choose another folder with --runtime-dir"
    )


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_a_lock_that_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / LOCK
    if kind == "fifo":
        os.mkfifo(path)
        assert refusal(tmp_path).startswith(f"{path} is not a file; remove it")
        return
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    assert refusal(tmp_path).startswith(f"runtime directory {tmp_path} cannot be used (")


def test_one_that_is_a_file_or_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    assert "cannot be used" in refusal(tmp_path / "file")
    assert "belongs to another user" in refusal(tmp_path / "link")
