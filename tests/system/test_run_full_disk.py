"""A job whose disk is full waits, and goes on by itself once there is room: the outputs are those of a run with room."""

from __future__ import annotations

import shlex
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.jobs.making import picture
from tests.needs import missing
from tests.system.test_run import DONE_S, command, results, run

pytestmark = pytest.mark.slow

FRAMES = 150
MANY = ("--threshold", "0.001")
"""Long records: many detections."""
ROOM = 1 << 20
"""Bytes of the disk."""


def mounts() -> bool:
    """Whether this user may mount a file system in a namespace of its own."""
    return (
        subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode == 0
    )


def test_a_job_waits_for_room_on_its_disk(tmp_path: Path) -> None:
    if not mounts():
        missing("user namespaces are not allowed here: sysctl kernel.unprivileged_userns_clone=1")
    for number in range(FRAMES):
        picture(tmp_path / "tree" / f"{number}.png", number)
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    job = shlex.join(command(str(tmp_path / "tree"), *MANY, "--out", str(disk / "out"), graph="demo"))
    script = f"""
        mount -t tmpfs -o size={ROOM} none {disk} && head -c {ROOM - 240_000} /dev/zero > {disk}/filler || exit 99
        {job}; code=$?
        cp -r {disk}/out {copy} && exit $code"""
    process = subprocess.Popen(["unshare", "-rm", "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        inside = Path(f"/proc/{process.pid}/root{disk}")
        until_s = time.monotonic() + DONE_S
        while "cannot write" not in (inside / "out/run.log").read_text() if (inside / "out/run.log").exists() else True:
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            assert time.monotonic() < until_s
            time.sleep(0.1)
        time.sleep(1.5)
        assert process.poll() is None
        (inside / "filler").unlink()
        said, _ = process.communicate(timeout=DONE_S)
        assert process.returncode == 0, said
    finally:
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            child.kill()
        process.kill()
    assert run(str(tmp_path / "tree"), *MANY, "--out", str(tmp_path / "reference"), graph="demo").returncode == 0
    assert results(copy) == results(tmp_path / "reference")
    assert len(results(copy)) == FRAMES
